// A shard and its resequencer outside: what passes between the two actors.
#include "actors/resequencer.hpp"

#include <memory>
#include <utility>
#include <vector>

#include "actors/shard.hpp"
#include "actors/system.hpp"
#include "catch.hpp"
#include "fakes.hpp"
#include "heard_log.hpp"
#include "reseq/store/memory_resequencer.hpp"
#include "virtual_system.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;
using namespace std::chrono_literals;

namespace {

/// Refuses everything with one error, while there is one.
class moody_resequencer final : public store::resequencer {
public:
  explicit moody_resequencer(std::shared_ptr<core::lane_store> kept) : well_(std::move(kept)) {}

  result<core::lanes_found> open(epoch ours, std::span<const core::lane_name> lanes) override {
    if (trouble) return tl::unexpected(*trouble);
    return well_.open(ours, lanes);
  }
  result<core::lanes_seen> look(std::span<const core::lane_name> lanes) override {
    if (trouble) return tl::unexpected(*trouble);
    return well_.look(lanes);
  }
  result<core::lane_answers> apply(const core::lane_updates& updates) override {
    if (trouble) return tl::unexpected(*trouble);
    return well_.apply(updates);
  }
  result<std::vector<core::stored_result>> load(std::span<const core::work_key> keys) override {
    if (trouble) return tl::unexpected(*trouble);
    return well_.load(keys);
  }

  std::optional<error> trouble;

private:
  store::memory_resequencer well_;
};

struct lanes_fixture {
  explicit lanes_fixture(std::optional<error> trouble = {}) {
    keeps->trouble = std::move(trouble);
    core::destination_setup lane;
    lane.id = billing;
    lane.settings.name = "billing";
    lane.progress.destination = billing;
    shard_setup setup;
    setup.pipeline = "orders";
    setup.owner = epoch{3};
    setup.machine = std::make_shared<core::shard>(std::vector{lane}, give_up::hold, 1, system.now(), setup.owner,
                                                  core::resequencing{200ms, 5ms});
    setup.sinks = {{billing, system.spawn(fake_sink, to_billing)}};
    setup.journal = system.spawn(fake_journal_writer, journal);
    setup.reader = system.spawn(fake_reader, reader);
    setup.dispatcher = system.spawn(fake_dispatcher, dispatcher);
    setup.measured = measured;
    setup.resequencer = system.spawn(become<resequencer_state, resequencer_actor, resequencer_setup>,
                                     resequencer_setup{"orders", epoch{3}, {{billing, "billing"}}, keeps});
    shard = system.spawn(become<shard_state, shard_actor, shard_setup>, setup);
    system.run();
  }

  void accept(std::uint64_t at) {
    accepted news{
      {{position{at}, make_message("m" + std::to_string(at)), {{billing, sequence{at}}}}}, 100, system.now()};
    system.send(shard, std::move(news));
  }
  void work(std::uint64_t at, duration took = 10ms) {
    core::finished_work one{
      position{at}, core::chain_index{}, {make_body("r"), {}}, dispatcher->asked(position{at}), took};
    system.send(shard, work_done{{std::move(one)}, {}});
  }
  [[nodiscard]] std::vector<core::work_key> kept() const {
    auto copy = *lanes;
    return copy.open(epoch{9}, {})->results;
  }

  virtual_system system;
  std::shared_ptr<core::lane_store> lanes = std::make_shared<core::lane_store>();
  std::shared_ptr<moody_resequencer> keeps = std::make_shared<moody_resequencer>(lanes);
  std::shared_ptr<sink_mail> to_billing = std::make_shared<sink_mail>();
  std::shared_ptr<journal_mail> journal = std::make_shared<journal_mail>();
  std::shared_ptr<reader_mail> reader = std::make_shared<reader_mail>();
  std::shared_ptr<dispatcher_mail> dispatcher = std::make_shared<dispatcher_mail>();
  std::shared_ptr<metrics> measured = std::make_shared<metrics>();
  shard_actor shard;
};

const error away{errc::unavailable, "away", {}};

} // namespace

TEST_CASE("what the resequencer releases is sent, and expensive results are kept there") {
  lanes_fixture f;
  f.accept(1);
  f.accept(2);
  f.work(2);
  CHECK(f.to_billing->requests.empty());
  CHECK(f.kept().size() == 1);
  f.work(1, 1ms);
  REQUIRE(f.to_billing->requests.size() == 1);
  CHECK(f.to_billing->requests[0].items.size() == 1);
  CHECK(f.kept().size() == 1);
}

TEST_CASE("while the resequencer is away everything goes on, and lanes that it lost are told anew and counted") {
  lanes_fixture f;
  f.accept(1);
  f.keeps->trouble = away;
  f.work(1);
  CHECK(f.to_billing->requests.size() == 1);
  CHECK(f.measured->rebuilds[static_cast<std::size_t>(core::drift::silence)]->Value() == 1);
  f.keeps->trouble.reset();
  *f.lanes = {};
  f.accept(2);
  f.system.pass(10s);
  auto now_there = *f.lanes;
  CHECK(now_there.open(epoch{9}, std::vector<core::lane_name>{{billing, "billing"}})->lanes.size() == 1);
}

TEST_CASE("a resequencer that knows more than the journal stops the shard, and producers are refused") {
  lanes_fixture f(error{errc::diverged, "was told of sequence 7", {}});
  REQUIRE(f.journal->refused.size() == 1);
  CHECK(f.journal->refused[0].why.what.find("was told of sequence 7") != std::string::npos);
  f.accept(1);
  f.work(1);
  CHECK(f.to_billing->requests.empty());
}

TEST_CASE("a divergence that the resequencer finds is said once, and not that deliveries go on") {
  lanes_fixture f;
  const heard log;
  f.keeps->trouble = error{errc::diverged, "was told of sequence 7", {}};
  f.accept(1);
  f.system.pass(10s);
  CHECK(f.journal->refused.size() == 1);
  CHECK(log.times("has diverged") == 1);
  CHECK(log.times("deliveries go on") == 0);
}

TEST_CASE("lanes that are told to the resequencer anew again and again are logged once a minute") {
  lanes_fixture f;
  const heard log;
  std::uint64_t messages = 0;
  const auto fail_for_a_moment = [&] {
    f.keeps->trouble = error{errc::unavailable, "it is full", {}};
    f.accept(++messages);
    f.system.pass(1s);
    f.keeps->trouble.reset();
    f.system.pass(1s);
  };
  for (int i = 0; i < 5; ++i) fail_for_a_moment();
  CHECK(log.times("written to Redis anew") == 1);
  f.system.pass(60s);
  fail_for_a_moment();
  CHECK(log.times("written to Redis anew") == 2);
}

TEST_CASE("a later owner that only the resequencer knows of stops the shard, too") {
  lanes_fixture f(error{errc::fenced, "a later owner", {}});
  REQUIRE(f.reader->epochs.size() == 1);
  CHECK(f.journal->refused.empty());
  f.reader->epochs[0].done(epoch{3});
  f.system.run();
  REQUIRE(f.journal->refused.size() == 1);
  CHECK(f.journal->refused[0].why.what.find("later owner") != std::string::npos);
}
