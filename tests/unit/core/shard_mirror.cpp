// A shard with a resequencer outside: what it tells, what it waits for, and what it does without an answer.
#include "reseq/core/shard_mirror.hpp"

#include "catch.hpp"
#include "reseq/core/lane_store.hpp"
#include "shard_fixture.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace reseq::core::test;
using namespace std::chrono_literals;

namespace {

constexpr resequencing outside{200ms, 5ms};

destination_setup by_key(std::uint32_t id) {
  auto d = setup(id);
  d.settings.order = delivery_order::key;
  return d;
}

struct mirror_fixture : shard_fixture {
  explicit mirror_fixture(std::vector<destination_setup> setups = {setup(1)})
    : shard_fixture(std::move(setups), give_up::hold, outside) {}

  void accept(const std::vector<std::uint32_t>& to) {
    const auto call = todo.lanes;
    shard_fixture::accept(to);
    if (call) todo.lanes = call;
  }
  /// Whatever the shard says to the resequencer is done and answered, until it has nothing to say.
  void talk() {
    while (todo.lanes) {
      const auto call = *std::exchange(todo.lanes, std::nullopt);
      if (call.updates)
        tested.lanes_answered(call.id, *store.apply(epoch{3}, *call.updates), t0);
      else
        tested.lanes_opened(call.id, *store.open(epoch{3}, names()), t0);
      gather();
    }
  }
  /// Keeps what was to be done already.
  void gather() {
    auto before = std::move(todo);
    take();
    auto& more = todo;
    more.work.insert(more.work.begin(), before.work.begin(), before.work.end());
    if (more.sends.empty()) more.sends = before.sends;
    if (more.load.empty()) more.load = before.load;
    if (!more.lanes) more.lanes = before.lanes;
  }
  [[nodiscard]] std::vector<lane_name> names() const { return {{destination_id{1}, "d1"}, {destination_id{2}, "d2"}}; }

  /// An owner before left this behind.
  void leave_behind(const std::vector<stored_result>& results, std::uint64_t admitted = 0) {
    static_cast<void>(store.open(epoch{2}, names()));
    lane_updates said;
    said.results = results;
    const sequence last{admitted};
    if (admitted > 0)
      said.lanes.push_back({destination_id{1}, lane_version{1}, lane_step{1}, true, last, {last}, {}, {}});
    REQUIRE(store.apply(epoch{2}, said));
  }
  void load() {
    tested.loaded(store.load(todo.load), t0);
    todo.load.clear();
    gather();
  }
  [[nodiscard]] std::vector<work_key> kept() const {
    auto copy = store;
    return copy.open(epoch{9}, {})->results;
  }
  void work_for(std::uint64_t at, duration took) {
    tested.worked({{position{at}, chain_index{}, {body(), {}}, asked(at), took}}, t0);
    take();
  }

  lane_store store;
};

stored_result left(std::uint64_t at, const std::string& message_id = "") {
  return {{position{at}, chain_index{}}, message_id, {body("found"), {}}};
}

} // namespace

TEST_CASE("what the resequencer has not released is not sent") {
  mirror_fixture f;
  f.talk();
  f.accept({1});
  f.talk();
  f.work(1);
  CHECK(f.sent().empty());
  CHECK(f.phase() == "resequencer");
  REQUIRE(f.todo.lanes);
  f.talk();
  CHECK(f.sent() == numbers{1});
}

TEST_CASE("without an answer in time the shard releases by itself, and tells the lane anew afterwards") {
  mirror_fixture f;
  f.talk();
  f.accept({1});
  f.talk();
  f.work(1);
  REQUIRE(f.todo.lanes);
  const auto call = *f.todo.lanes;
  CHECK(f.tested.wakeup() == after(200));
  f.tick(after(199));
  CHECK(f.sent().empty());
  f.tick(after(200));
  CHECK(f.sent() == numbers{1});
  f.tested.lanes_failed(call.id, {errc::unavailable, "away", {}}, after(210));
  f.take();
  CHECK_FALSE(f.todo.lanes);
  REQUIRE(f.tested.wakeup());
  f.tick(*f.tested.wakeup());
  REQUIRE(f.todo.lanes);
  REQUIRE(f.todo.lanes->updates);
  CHECK(f.todo.lanes->updates->lanes.at(0).version == lane_version{2});
  CHECK(f.todo.lanes->updates->lanes.at(0).step == lane_step{1});
}

TEST_CASE("no work is handed out before it is known what an earlier owner left, or that this cannot be known") {
  mirror_fixture f;
  f.accept({1});
  CHECK(f.asked().empty());
  SECTION("nothing was left") {
    f.talk();
    CHECK(f.asked() == numbers{1});
  }
  SECTION("there is no answer") {
    mirror_fixture silent;
    const auto open = *silent.todo.lanes;
    silent.accept({1});
    silent.tick(after(200));
    CHECK(silent.asked() == numbers{1});
    CHECK_FALSE(silent.tested.wakeup() == after(200));
  }
}

TEST_CASE("a result that an earlier owner left is delivered without being worked out again") {
  mirror_fixture f;
  f.leave_behind({left(1), left(2, "another message")});
  f.accept({1});
  f.accept({1});
  f.accept({1});
  f.talk();
  CHECK(f.asked() == numbers{3});
  REQUIRE(f.todo.load.size() == 2);
  f.load();
  CHECK(f.asked() == numbers{3, 2});
  f.talk();
  REQUIRE(f.sent() == numbers{1});
  CHECK(f.todo.sends[0].items[0].body->payload == "found");
  CHECK(f.tested.outside()->adopted() == 1);
  CHECK(f.kept() == std::vector{work_key{position{1}, chain_index{}}}); // the other message's is deleted
}

TEST_CASE("work that another lane's head shares is a head's work after the look-up, too") {
  auto first = setup(1);
  first.settings.name = "d1";
  mirror_fixture f({first, by_key(2)});
  f.accept({1}); // sequence 2 of the first lane waits behind it, and is the first of the other
  f.accept({1, 2});
  f.talk();
  REQUIRE(f.asked() == numbers{1, 2});
  CHECK(f.todo.work[1].head);
}

TEST_CASE("what an earlier owner left is used for what is read from the journal, and deleted if that is not there") {
  auto waiting = setup(1);
  waiting.last = sequence{2};
  mirror_fixture f({waiting});
  f.leave_behind({left(1), left(9)});
  REQUIRE(f.todo.reads.size() == 1);
  f.talk();
  f.tested.backlog(destination_id{1},
                   {{sequence{1}, position{1}, payload(10)}, {sequence{2}, position{2}, payload(10)}}, t0);
  f.gather();
  CHECK(f.asked() == numbers{2});
  REQUIRE(f.todo.load.size() == 1);
  f.load();
  f.talk();
  CHECK(f.sent() == numbers{1});
  CHECK(f.kept() == std::vector{work_key{position{1}, chain_index{}}});
}

TEST_CASE("results that cannot be loaded are worked out again") {
  mirror_fixture f;
  f.leave_behind({left(1)});
  f.accept({1});
  f.talk();
  CHECK(f.asked().empty());
  f.tested.loaded(fail(errc::unavailable, "away"), t0);
  f.gather();
  CHECK(f.asked() == numbers{1});
}

TEST_CASE("what is found after workers were asked for it gives way to what they make") {
  mirror_fixture f;
  f.leave_behind({left(1), left(2), left(3)});
  f.accept({1});
  f.accept({1});
  const auto opening = *f.todo.lanes;
  f.tick(after(200));
  REQUIRE(f.asked() == numbers{1, 2});
  f.work_for(2, 10ms); // before the answer
  f.tested.lanes_opened(opening.id, *f.store.open(epoch{3}, f.names()), after(210));
  f.gather();
  f.talk();
  f.work_for(1, 1ms); // too cheap to be kept
  f.talk();
  CHECK(f.kept() == std::vector{work_key{position{2}, chain_index{}}});
  const auto found = f.store.load(f.kept());
  REQUIRE(found.size() == 1);
  CHECK(found[0].done.body->payload == "result");
}

TEST_CASE("only results of work that took long are kept, and only while a window needs them") {
  mirror_fixture f({setup(1), setup(2)});
  f.talk();
  for (int i = 0; i < 3; ++i) f.accept({1, 2});
  f.talk();
  f.work_for(3, 5ms);
  f.talk();
  CHECK(f.kept() == std::vector{work_key{position{3}, chain_index{}}});
  f.work_for(2, 4ms);
  f.talk();
  CHECK(f.kept().size() == 1);
  f.work_for(1, 1ms);
  f.talk();
  auto first = f.todo.sends;
  f.todo.sends.clear();
  f.tested.answered(destination_id{1}, request_id{1}, confirmed{}, t0, f.wall);
  f.gather();
  f.talk();
  CHECK(f.kept().size() == 1); // the other destination needs it still
  f.tested.answered(destination_id{2}, request_id{1}, confirmed{}, t0, f.wall);
  f.gather();
  f.talk();
  CHECK(f.kept().empty());
}

TEST_CASE("a resequencer that has seen more than the journal ever assigned stops the shard") {
  mirror_fixture f;
  f.leave_behind({}, 7);
  f.accept({1});
  const auto call = *f.todo.lanes;
  auto names = f.names();
  names[0].assigned = sequence{1};
  f.tested.lanes_failed(call.id, f.store.open(epoch{3}, names).error(), t0);
  f.take();
  REQUIRE(f.todo.diverged);
  CHECK(*f.todo.diverged == "Redis was told of sequence 7 of d1, and the journal has assigned none after 1");
  CHECK(f.status().state == lane_state::diverged);
  CHECK(f.status().reason == *f.todo.diverged);
  f.work(1);
  CHECK(f.sent().empty());
  CHECK_FALSE(f.todo.save);
  CHECK_FALSE(f.todo.lanes);
}

TEST_CASE("a shard that has diverged before it ever ran says nothing to the resequencer") {
  shard tested({setup(1)}, give_up::hold, 1, t0, epoch{3}, outside);
  tested.diverge("the copy is an old one");
  const auto todo = tested.take();
  CHECK(todo.diverged);
  CHECK_FALSE(todo.lanes);
}

TEST_CASE("with order by key nothing waits for the resequencer, and expensive results are kept all the same") {
  mirror_fixture f({by_key(1)});
  f.talk();
  f.accept({1});
  f.talk();
  f.work_for(1, 10ms);
  CHECK(f.sent() == numbers{1});
  f.talk();
  CHECK(f.kept().size() == 1);
}

TEST_CASE("with order by key the resequencer has what is in the window, and its silence holds nothing up") {
  mirror_fixture f({by_key(1)});
  f.talk();
  f.accept({1});
  f.accept({1});
  f.talk();
  CHECK(f.store.sequences() == 2);
  f.work_for(2, 0ms);
  f.talk();
  CHECK(f.store.sequences() == 3); // one of them is ready, too
  f.work_for(1, 0ms);
  CHECK(f.sent() == numbers{1, 2}); // before it was told
  f.tested.answered(destination_id{1}, f.todo.sends.at(0).id, confirmed{}, t0, f.wall);
  f.gather();
  f.talk();
  CHECK(f.store.sequences() == 0);
}
