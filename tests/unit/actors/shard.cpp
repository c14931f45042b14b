#include "catch.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/shard.hpp"
#include "actors/system.hpp"
#include "fakes.hpp"
#include "heard_log.hpp"
#include "virtual_system.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;
using namespace std::chrono_literals;

namespace {

constexpr store::shard_handle handle{4};
constexpr core::pipeline_index pipeline{3};

core::destination_setup destination(destination_id id, const std::string& name) {
  core::destination_setup made;
  made.id = id;
  made.settings.name = name;
  made.progress.destination = id;
  return made;
}

/// A shard of two destinations among fakes. `billing` has a backlog of `backlog` sequences from an earlier life.
struct shard_fixture {
  explicit shard_fixture(std::uint64_t backlog = 0, duration retry_max = 1min,
                         std::vector<core::sequence_range> lost = {}) {
    auto first = destination(billing, "billing");
    first.last = sequence{backlog};
    first.settings.retry_max = retry_max;
    first.lost = std::move(lost);
    shard_setup setup;
    setup.pipeline = "orders";
    setup.handle = handle;
    for (const auto& [id, name] : {std::pair{billing, "billing"}, std::pair{audit, "audit"}})
      setup.known.push_back({id, name, {}, {}, {}, {}});
    setup.index = pipeline;
    setup.owner = epoch{3};
    reader->owner = setup.owner;
    setup.machine =
      std::make_shared<core::shard>(std::vector<core::destination_setup>{std::move(first), destination(audit, "audit")},
                                    give_up::hold, 1, system.now(), setup.owner);
    setup.sinks = {{billing, system.spawn(fake_sink, to_billing)}, {audit, system.spawn(fake_sink, to_audit)}};
    setup.transactional = {audit};
    setup.journal = system.spawn(fake_journal_writer, journal);
    setup.reader = system.spawn(fake_reader, reader);
    setup.dispatcher = system.spawn(fake_dispatcher, dispatcher);
    setup.measured = measured;
    shard = system.spawn(become<shard_state, shard_actor, shard_setup>, setup);
  }

  void accept(std::uint64_t at, std::vector<core::enrolment> enrolled, std::uint64_t bytes = 100,
              duration ago = duration::zero()) {
    core::accepted_message one{position{at}, make_message("m" + std::to_string(at)), std::move(enrolled)};
    system.send(shard, accepted{{std::move(one)}, bytes, system.now() - ago});
  }
  void work(std::uint64_t at) {
    core::finished_work one{
      position{at}, core::chain_index{0}, {make_body("r" + std::to_string(at)), {}}, dispatcher->asked(position{at})};
    system.send(shard, work_done{{std::move(one)}, {}});
  }
  void answer(const core::send_request& request, core::receiver_answer how = core::confirmed{}) {
    system.send(shard, delivered{request.destination, request.id, std::move(how)});
  }
  void save(bool durable = true) { system.send(shard, saved{durable, system.now()}); }

  answered<std::uint64_t> operate_on(operate::kind what, destination_id where, std::optional<sequence> seq = {}) {
    answered<std::uint64_t> asked;
    system.send(shard, operate{what, where, seq, asked.reply()});
    return asked;
  }

  core::destination_status status(destination_id of) {
    answered<std::vector<core::destination_status>> asked;
    system.send(shard, ask_status{of, asked.reply()});
    return asked.get().value().at(0);
  }

  [[nodiscard]] delivery_counters deliveries(const std::string& to) const {
    return measured->deliveries_to(labels_of("orders", to, 2));
  }

  virtual_system system;
  std::shared_ptr<journal_mail> journal = std::make_shared<journal_mail>();
  std::shared_ptr<reader_mail> reader = std::make_shared<reader_mail>();
  std::shared_ptr<dispatcher_mail> dispatcher = std::make_shared<dispatcher_mail>();
  std::shared_ptr<sink_mail> to_billing = std::make_shared<sink_mail>();
  std::shared_ptr<sink_mail> to_audit = std::make_shared<sink_mail>();
  std::shared_ptr<metrics> measured = std::make_shared<metrics>();
  shard_actor shard;
};

} // namespace

TEST_CASE("a message goes from acceptance by the dispatcher and its sink to saved progress") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}}, 123);
  CHECK(f.journal->taken_bytes == std::vector<std::uint64_t>{123});
  REQUIRE(f.dispatcher->wanted.size() == 1);
  CHECK(f.dispatcher->wanted[0].pipeline == pipeline);
  REQUIRE(f.dispatcher->wanted[0].work.size() == 1);
  CHECK(f.dispatcher->wanted[0].work[0].at == position{1});
  CHECK(f.dispatcher->wanted[0].work[0].message->id() == "m1");
  CHECK(f.dispatcher->wanted[0].work[0].head);

  f.work(1);
  REQUIRE(f.to_billing->requests.size() == 1);
  CHECK(f.to_audit->requests.empty());
  const auto request = f.to_billing->requests[0];
  REQUIRE(request.items.size() == 1);
  CHECK(request.items[0].seq == sequence{1});
  CHECK(request.items[0].body->payload == "r1");
  CHECK(f.journal->saves.empty());

  f.answer(request);
  REQUIRE(f.journal->saves.size() == 1);
  CHECK(f.journal->saves[0].shard == handle);
  REQUIRE(f.journal->saves[0].change.progress.size() == 1);
  CHECK(f.journal->saves[0].change.progress[0].watermark == sequence{1});
  CHECK(f.status(billing).settled == sequence{});
  f.save();
  CHECK(f.status(billing).settled == sequence{1});
  CHECK(f.measured->accepted.Add({{"pipeline", "orders"}}).Value() == 1);
  CHECK(f.deliveries("billing").confirmed->Value() == 1);
}

TEST_CASE("each destination's request goes to its own sink") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}, {audit, sequence{1}}});
  f.work(1);
  REQUIRE(f.to_billing->requests.size() == 1);
  REQUIRE(f.to_audit->requests.size() == 1);
  CHECK(f.to_billing->requests[0].destination == billing);
  CHECK(f.to_audit->requests[0].destination == audit);
}

TEST_CASE("a backlog from an earlier life is read, and delivered once it is worked out") {
  shard_fixture f{2};
  REQUIRE(f.reader->reads.size() == 1);
  const auto& [request, asker] = f.reader->reads[0];
  CHECK(request.shard == handle);
  CHECK(request.what.destination == billing);
  CHECK(request.what.from == sequence{1});
  CHECK(asker == f.shard);
  f.system.send(f.shard,
                backlog{billing, std::vector<core::backlog_item>{{sequence{1}, position{11}, make_message("m11")},
                                                                 {sequence{2}, position{12}, make_message("m12")}}});
  REQUIRE(f.dispatcher->wanted.size() == 1);
  CHECK(f.dispatcher->wanted[0].work.size() == 2);
  f.work(12);
  CHECK(f.to_billing->requests.empty());
  f.work(11);
  REQUIRE(f.to_billing->requests.size() == 1);
  CHECK(f.to_billing->requests[0].items.at(0).at == position{11});
  CHECK(f.measured->out_of_order.Value() == 1);
}

TEST_CASE("a backlog that could not be read is asked for again after a while") {
  shard_fixture f{2};
  f.system.send(f.shard, backlog{billing, fail(errc::unavailable, "it is away")});
  CHECK(f.reader->reads.size() == 1);
  f.system.pass(1min);
  CHECK(f.reader->reads.size() == 2);
}

TEST_CASE("a shard that saves something as soon as it starts is known to the journal before") {
  shard_fixture f(20, 1min, {{sequence{1}, sequence{20}}});
  f.system.run();
  REQUIRE(f.journal->saves.size() == 1);
  CHECK(f.journal->saves_of_nobody == 0);
}

TEST_CASE("progress that could not be saved is saved again after a while") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}});
  f.work(1);
  f.answer(f.to_billing->requests.at(0));
  REQUIRE(f.journal->saves.size() == 1);
  f.save(false);
  CHECK(f.journal->saves.size() == 1);
  f.system.pass(1min);
  REQUIRE(f.journal->saves.size() == 2);
  CHECK(f.journal->saves[1].change.progress.at(0).watermark == sequence{1});
  f.save();
  CHECK(f.status(billing).settled == sequence{1});
}

TEST_CASE("a failing receiver is tried again, later and later, without delaying the other one") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}, {audit, sequence{1}}});
  f.work(1);
  f.answer(f.to_billing->requests.at(0), core::failing{"503", std::nullopt});
  f.answer(f.to_audit->requests.at(0));
  CHECK(f.status(billing).state == core::lane_state::failing);
  CHECK(f.to_billing->requests.size() == 1);
  f.system.pass(30s);
  const auto tries = f.to_billing->requests.size();
  CHECK(tries == 2); // once more, and no further before that is answered
  CHECK(f.to_billing->requests.back().items.at(0).attempt == 2);
  f.accept(2, {{audit, sequence{2}}});
  f.work(2);
  CHECK(f.to_audit->requests.size() == 2);
  f.answer(f.to_billing->requests.back());
  CHECK(f.status(billing).state == core::lane_state::running);
  CHECK(f.deliveries("billing").failing->Value() == 1);
  CHECK(f.deliveries("billing").confirmed->Value() == 1);
  CHECK(f.deliveries("audit").failing->Value() == 0);
  CHECK(f.deliveries("audit").confirmed->Value() == 1);
}

TEST_CASE("a shard with nothing to wait for sets no timers") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}});
  f.work(1);
  f.answer(f.to_billing->requests.at(0), core::failing{"503", std::nullopt});
  f.system.pass(10s);
  REQUIRE(f.to_billing->requests.size() == 2);
  f.answer(f.to_billing->requests.at(1));
  f.save();
  f.system.pass(10min);
  CHECK(f.to_billing->requests.size() == 2);
  CHECK(f.journal->saves.size() == 1);
}

TEST_CASE("what a transform used up its attempts for is held, saved, and retried on demand") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}});
  const core::task_key key{pipeline, position{1}, core::chain_index{0}};
  f.system.send(f.shard, work_done{{}, {{key.at, key.chain, 5, "no luck", f.dispatcher->asked(key.at)}}});
  REQUIRE(f.journal->saves.size() == 1);
  REQUIRE(f.journal->saves[0].change.held.size() == 1);
  CHECK(f.journal->saves[0].change.held[0].last_error == "no luck");
  f.save();
  CHECK(f.status(billing).state == core::lane_state::held);

  const auto unknown = f.operate_on(operate::kind::retry, billing, sequence{9});
  REQUIRE_FALSE(unknown.get());
  CHECK(unknown.get().error().code == errc::conflict);

  const auto retried = f.operate_on(operate::kind::retry, billing, sequence{1});
  CHECK(retried.empty()); // not before it is durable
  REQUIRE(f.journal->saves.size() == 2);
  f.save();
  CHECK(retried.get() == 1);
  REQUIRE(f.dispatcher->wanted.size() == 2);
  CHECK(f.dispatcher->wanted[1].work.size() == 1);
}

TEST_CASE("a held message is skipped on demand, and the next one goes out after that is durable") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}});
  f.accept(2, {{billing, sequence{2}}});
  f.work(1);
  f.answer(f.to_billing->requests.at(0), core::refused{"422"});
  f.work(2);
  f.save();
  CHECK(f.to_billing->requests.size() == 1);
  const auto skipped = f.operate_on(operate::kind::skip, billing, sequence{1});
  CHECK(f.to_billing->requests.size() == 1);
  f.save();
  CHECK(skipped.get() == 1);
  REQUIRE(f.to_billing->requests.size() == 2);
  CHECK(f.to_billing->requests[1].items.at(0).seq == sequence{2});
  CHECK(f.deliveries("billing").refused->Value() == 1);
}

TEST_CASE("that a message is held is logged once that is saved, after what an operator did before") {
  shard_fixture f;
  const heard log;
  f.accept(1, {{billing, sequence{1}}});
  f.work(1);
  f.answer(f.to_billing->requests.at(0), core::refused{"422"});
  CHECK(log.times("is held") == 0);
  f.save(false);
  f.system.pass(10s);
  CHECK(log.times("is held") == 0);
  f.save();
  CHECK(log.times("message m1 (0:1, sequence 1) was refused and is held: 422") == 1);
  operate again{operate::kind::retry, billing, sequence{1},
                reply<std::uint64_t>([](const result<std::uint64_t>&) { spdlog::warn("tried again by an operator"); })};
  f.system.send(f.shard, std::move(again));
  f.answer(f.to_billing->requests.at(1), core::refused{"422"}); // before the retry is saved
  while (log.times("is held") < 2) {
    const auto saves = f.journal->saves.size();
    f.save();
    REQUIRE((f.journal->saves.size() > saves || log.times("is held") == 2));
  }
  const auto text = log.text();
  CHECK(text.find("tried again") < text.rfind("is held"));
}

TEST_CASE("operators' calls are answered each on its own, in whatever order they end") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}});
  f.work(1);
  const auto slow = f.operate_on(operate::kind::pause, billing); // waits for what is under way
  const auto fast = f.operate_on(operate::kind::pause, audit);
  const auto unknown = f.operate_on(operate::kind::resume, destination_id{9});
  REQUIRE_FALSE(unknown.get());
  CHECK(unknown.get().error().code == errc::not_found);
  while (fast.empty()) {
    const auto saves = f.journal->saves.size();
    f.save();
    if (f.journal->saves.size() == saves) break;
  }
  CHECK(fast.get());
  CHECK(slow.empty());
  f.answer(f.to_billing->requests.at(0));
  f.save();
  CHECK(slow.get());
  CHECK(f.status(billing).state == core::lane_state::paused);
}

TEST_CASE("status is of all destinations, of one, or of none by that number") {
  shard_fixture f;
  answered<std::vector<core::destination_status>> all;
  f.system.send(f.shard, ask_status{std::nullopt, all.reply()});
  REQUIRE(all.get());
  REQUIRE(all.get()->size() == 2);
  CHECK(all.get()->at(0).name == "billing");
  CHECK(f.status(audit).name == "audit");
  answered<std::vector<core::destination_status>> unknown;
  f.system.send(f.shard, ask_status{destination_id{9}, unknown.reply()});
  REQUIRE_FALSE(unknown.get());
  CHECK(unknown.get().error().code == errc::not_found);
}

TEST_CASE("what single sequences do is told for those that are known") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}});
  answered<std::vector<core::sequence_status>> asked;
  f.system.send(f.shard, ask_sequences{{{billing, sequence{1}}, {destination_id{9}, sequence{1}}}, "", asked.reply()});
  REQUIRE(asked.get());
  REQUIRE(asked.get()->size() == 1);
  CHECK(asked.get()->at(0).destination == billing);
  CHECK(asked.get()->at(0).state == "pending");
}

TEST_CASE("a drain with nothing under way is answered at once, as often as it is asked") {
  shard_fixture f;
  answered<bool> first;
  answered<bool> second;
  f.system.send(f.shard, drain{first.reply()});
  f.system.send(f.shard, drain{second.reply()});
  CHECK(first.get() == true);
  CHECK(second.get() == true);
}

TEST_CASE("a drain sends nothing more, and is answered when what was under way is saved") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}});
  f.accept(2, {{billing, sequence{2}}});
  f.work(1);
  f.work(2);
  REQUIRE(f.to_billing->requests.size() == 1);
  answered<bool> drained;
  f.system.send(f.shard, drain{drained.reply()});
  CHECK(drained.empty());
  f.answer(f.to_billing->requests[0]);
  CHECK(drained.empty());
  CHECK(f.to_billing->requests.size() == 1);
  REQUIRE(f.journal->saves.size() == 1);
  f.save();
  CHECK(drained.get() == true);
  CHECK(f.to_billing->requests.size() == 1);
}

TEST_CASE("a drain waits for a save that has to be made again") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}});
  f.work(1);
  answered<bool> drained;
  f.system.send(f.shard, drain{drained.reply()});
  f.answer(f.to_billing->requests.at(0));
  f.save(false);
  CHECK(drained.empty());
  f.system.pass(1min);
  REQUIRE(f.journal->saves.size() == 2);
  f.save();
  CHECK(drained.get() == true);
}

TEST_CASE("a receiver that has seen a later epoch makes the shard ask the journal, and goes on when that knows none") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}});
  f.work(1);
  f.reader->owner.reset();
  f.answer(f.to_billing->requests.at(0), core::stale{epoch{9}});
  REQUIRE(f.reader->epochs.size() == 1);
  CHECK(f.reader->epochs[0].shard == handle);
  f.reader->owner = epoch{3};
  f.reader->epochs[0].done(epoch{3});
  f.system.pass(1min);
  CHECK(f.to_billing->requests.size() == 2);
  CHECK(f.deliveries("billing").stale->Value() == 1);
}

TEST_CASE("a shard whose journal was not heard of for a while asks it whose it is before it sends anything") {
  shard_fixture f;
  f.reader->owner.reset();
  f.accept(1, {{billing, sequence{1}}});
  f.system.pass(2s);
  f.work(1);
  CHECK(f.to_billing->requests.empty());
  REQUIRE(f.reader->epochs.size() == 1);
  CHECK(f.reader->epochs[0].shard == handle);

  SECTION("nobody has taken it over") {
    f.reader->epochs[0].done(epoch{3});
    f.system.run();
    CHECK(f.to_billing->requests.size() == 1);
  }
  SECTION("it cannot be asked, and is asked again") {
    f.reader->epochs[0].done(fail(errc::unavailable, "away"));
    f.system.run();
    CHECK(f.to_billing->requests.empty());
    f.reader->owner = epoch{3};
    f.system.pass(200ms);
    CHECK(f.to_billing->requests.size() == 1);
  }
  SECTION("it takes longer to answer than what it says is taken to be so, and is given more time") {
    f.system.pass(1500ms);
    f.reader->epochs[0].done(epoch{3});
    f.system.run();
    CHECK(f.to_billing->requests.empty());
    REQUIRE(f.reader->epochs.size() == 2);
    f.system.pass(1500ms);
    f.reader->epochs[1].done(epoch{3});
    f.system.run();
    CHECK(f.to_billing->requests.size() == 1);
  }
  SECTION("a commit says so, too, if it began a short while ago") {
    f.accept(2, {{audit, sequence{1}}}, 100, 1500ms);
    CHECK(f.to_billing->requests.empty());
    f.accept(3, {{audit, sequence{2}}});
    CHECK(f.to_billing->requests.size() == 1);
  }
  SECTION("a receiver that keeps a record of owners sees to that itself") {
    f.accept(2, {{audit, sequence{1}}}, 100, 1500ms);
    f.work(2);
    CHECK(f.to_audit->requests.size() == 1);
    CHECK(f.to_billing->requests.empty());
  }
  CHECK(f.reader->epochs.size() <= 2);
}

TEST_CASE("late answers of receivers and workers change nothing") {
  shard_fixture f;
  f.accept(1, {{billing, sequence{1}}});
  f.work(1);
  const auto request = f.to_billing->requests.at(0);
  f.answer(request);
  f.answer(request, core::failing{"late", std::nullopt});
  f.work(1);
  f.save();
  CHECK(f.status(billing).state == core::lane_state::running);
  CHECK(f.status(billing).settled == sequence{1});
  CHECK(f.to_billing->requests.size() == 1);
}

TEST_CASE("a recovery takes along what receivers remember, where they do") {
  shard_fixture f;
  f.to_audit->received = store::receiver_record{epoch{4}, sequence{9}, "m9"};
  answered<store::recovery> too_early;
  f.system.send(f.shard, recover{{}, true, too_early.reply()});
  CHECK(too_early.get().error().code == errc::conflict);
  f.system.send(f.shard, no_later_owner{"Redis has a later owner"});
  answered<store::recovery> asked;
  f.system.send(f.shard, recover{{}, true, asked.reply()});
  REQUIRE(f.journal->recoveries.size() == 1);
  const auto& wish = f.journal->recoveries[0];
  CHECK(wish.shard == handle);
  CHECK(wish.dry_run);
  CHECK(wish.why.find("later owner") != std::string::npos);
  REQUIRE(wish.received.size() == 1);
  CHECK(wish.received[0].id == audit);
  CHECK(wish.received[0].has.last == sequence{9});
}

TEST_CASE("a recovery takes over what belongs to another installation only if that is wished") {
  shard_fixture f;
  f.to_audit->received =
    store::receiver_record{epoch{4}, sequence{9}, "m9", {}, "0123456789abcdef", "2026-01-02 03:04:05 UTC"};
  f.system.send(f.shard, no_later_owner{"Redis has a later owner"});
  for (const bool dry_run : {true, false}) {
    answered<store::recovery> asked;
    f.system.send(f.shard, recover{{}, dry_run, asked.reply()});
    CHECK(asked.get().error().code == errc::conflict);
    CHECK(asked.get().error().text().find("belongs to another installation") != std::string::npos);
  }
  CHECK(f.journal->recoveries.empty());
  for (const bool dry_run : {true, false}) {
    answered<store::recovery> asked;
    recover wish{{}, dry_run, asked.reply()};
    wish.take_over = true;
    f.system.send(f.shard, std::move(wish));
    CHECK(f.to_audit->taken_over == !dry_run);
  }
  CHECK(f.journal->recoveries.size() == 2);
}

TEST_CASE("a recovery takes nothing over while any of the receivers is in the way, and its dry run says so") {
  shard_fixture f{5};
  const store::receiver_record theirs{epoch{4}, sequence{9}, "m9", {}, "0123456789abcdef", "2026-01-02 03:04:05 UTC"};
  f.to_audit->received = theirs;
  f.to_audit->taken = store::receiver_record{epoch{4}, sequence{9}, "m9"};
  f.system.send(f.shard, no_later_owner{"Redis has a later owner"});
  const auto refusal = [&](bool dry_run) {
    answered<store::recovery> asked;
    recover wish{{}, dry_run, asked.reply()};
    wish.take_over = true;
    f.system.send(f.shard, std::move(wish));
    return asked.empty() ? "goes on" : asked.get().error().text();
  };
  std::string wanted;
  SECTION("one whose sequences are used where messages wait") {
    f.to_billing->received = theirs;
    wanted = "pipeline orders: destination billing: the receiver: messages wait here under sequences 1 to 5";
  }
  SECTION("one that does not answer") {
    f.to_billing->received = tl::unexpected(error{errc::unavailable, "it is away", {}});
    wanted = "pipeline orders: destination billing: it is away";
  }
  SECTION("one that has another history") {
    f.reader->other_history = std::optional<std::string>("the receiver of destination audit has another history");
    wanted = "pipeline orders: the receiver of destination audit has another history";
  }
  for (const bool dry_run : {true, false}) CHECK(refusal(dry_run).starts_with(wanted));
  CHECK_FALSE(f.to_audit->taken_over);
  CHECK_FALSE(f.to_billing->taken_over);
  CHECK(f.journal->recoveries.empty());

  f.to_billing->received = std::optional<store::receiver_record>{};
  f.reader->other_history = std::optional<std::string>{};
  CHECK(refusal(false) == "goes on");
  CHECK(f.to_audit->taken_over);
  REQUIRE_FALSE(f.reader->histories.empty());
  REQUIRE(f.reader->histories.back().shard.destinations.size() == 1); // the transactional one
  CHECK(f.reader->histories.back().shard.destinations[0].name == "audit");
  CHECK(f.reader->histories.back().seen.at(0).has.last == sequence{9});
  CHECK(f.journal->recoveries.at(0).received.at(0).has.foreign.empty());
}

TEST_CASE("a later owner at a transactional receiver that the journal does not know of means that it has gone back") {
  shard_fixture f;
  f.accept(1, {{audit, sequence{1}}});
  f.work(1);
  f.reader->owner.reset();
  f.answer(f.to_audit->requests.at(0), core::stale{epoch{9}});
  REQUIRE(f.reader->epochs.size() == 1);
  f.reader->epochs[0].done(epoch{3});
  f.system.run();
  CHECK(f.status(audit).state == core::lane_state::diverged);
  CHECK(f.status(audit).reason == "the receiver of destination audit has a later owner than the journal knows of");
}

TEST_CASE(
  "a shard whose journal has gone back while it ran is stopped, and not compared with that when it is recovered") {
  shard_fixture f;
  f.to_audit->received = store::receiver_record{epoch{2}, sequence{9}, "m9"};
  f.system.send(f.shard, journal_gone_back{"position 20 was durable"});
  CHECK(f.status(audit).state == core::lane_state::diverged);
  CHECK(f.status(audit).reason == "position 20 was durable");
  answered<store::recovery> asked;
  f.system.send(f.shard, recover{{}, true, asked.reply()});
  REQUIRE(f.journal->recoveries.size() == 1);
  CHECK(f.journal->recoveries[0].received.size() == 1);
  CHECK(f.reader->histories.at(0).shard.destinations.empty());
}

TEST_CASE("no recovery is planned while a receiver cannot say what it has") {
  shard_fixture f;
  f.to_audit->received = tl::unexpected(error{errc::unavailable, "it is away", {}});
  f.system.send(f.shard, no_later_owner{"Redis has a later owner"});
  answered<store::recovery> asked;
  f.system.send(f.shard, recover{{}, true, asked.reply()});
  CHECK(asked.get().error().text().find("it is away") != std::string::npos);
  CHECK(f.journal->recoveries.empty());
}
