#include "catch.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "dispatcher_fixture.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

using fixture = dispatcher_fixture;
using numbers = std::vector<std::uint64_t>;
using names = std::vector<std::string>;

TEST_CASE("a worker that agrees is welcome") {
  fixture f;
  const auto w = f.greet(fixture::hello_of());
  CHECK(w.mail->welcomes[0].accepted);
  CHECK(w.mail->welcomes[0].pipelines == names{"orders"});
  CHECK(w.mail->welcomes[0].refused.empty());
  CHECK(f.status().workers == names{"node"});
  CHECK(f.status().slots == 8);
}

TEST_CASE("a worker that does not agree is told why, and gets no work") {
  struct row {
    std::string says;
    std::function<void(hello&)> change;
  };
  const std::vector<row> rows{
    {"it speaks protocol version 4294967295", [](hello& h) { h.protocol = ~0U; }},
    {"protocol version 0", [](hello& h) { h.protocol = 0; }},
    {"cluster.token", [](hello& h) { h.token = "Secret"; }},
    {"cluster.token", [](hello& h) { h.token = ""; }},
    {"cluster.token", [](hello& h) { h.token = "secre"; }},
    {"cluster.token", [](hello& h) { h.token = "secret2"; }},
    {"0 slots", [](hello& h) { h.slots = 0; }},
    {"100001 slots", [](hello& h) { h.slots = 100'001; }},
    {"malformed", [](hello& h) { h.fingerprints.clear(); }},
    {"malformed", [](hello& h) { h.fingerprints.emplace_back("another"); }},
    {"none of its pipelines", [](hello& h) { h.fingerprints = {"other"}; }},
    {"none of its pipelines", [](hello& h) { h.pipelines = {"unknown"}; }},
    {"none of its pipelines",
     [](hello& h) {
       h.pipelines.clear();
       h.fingerprints.clear();
     }},
  };
  for (const auto& [says, change] : rows) {
    CAPTURE(says);
    fixture f;
    f.want(1);
    auto who = fixture::hello_of();
    change(who);
    const auto w = f.greet(who);
    CHECK_FALSE(w.mail->welcomes[0].accepted);
    CHECK(w.mail->welcomes[0].why.find(says) != std::string::npos);
    CHECK(w.mail->welcomes[0].why.find("secret") == std::string::npos);
    CHECK(w.mail->orders.empty());
    CHECK(f.status().workers.empty());
  }
}

TEST_CASE("a worker with another protocol version is told so even when its token is another one, too") {
  fixture f;
  auto who = fixture::hello_of();
  who.protocol = protocol_version + 1;
  who.token = "";
  CHECK(f.greet(who).mail->welcomes[0].why.find("protocol") != std::string::npos);
}

TEST_CASE("workers of one name are told apart") {
  fixture f;
  const auto first = f.join("b");
  f.join("b");
  f.join("a");
  CHECK(f.join("b").mail->welcomes[0].name == "b#3");
  const auto joined = [&f] {
    auto all = f.status().workers;
    std::ranges::sort(all);
    return all;
  };
  CHECK(joined() == names{"a", "b", "b#2", "b#3"});
  f.kill(first);
  CHECK(joined() == names{"a", "b#2", "b#3"});
  f.join("b");
  CHECK(joined() == names{"a", "b", "b#2", "b#3"});
}

TEST_CASE("work comes for those pipelines only whose fingerprints agree") {
  fixture f;
  auto who = fixture::hello_of();
  who.pipelines = {"orders", "returns", "unknown"};
  who.fingerprints = {"other", "print-r", "print-u"};
  const auto w = f.greet(who);
  const auto& welcome = w.mail->welcomes[0];
  CHECK(welcome.accepted);
  CHECK(welcome.pipelines == names{"returns"});
  REQUIRE(welcome.refused.size() == 2);
  CHECK(welcome.refused[0].find("pipeline orders has other transforms") != std::string::npos);
  CHECK(welcome.refused[1].find("pipeline unknown is not configured") != std::string::npos);
  f.want(1);
  CHECK(w.mail->orders.empty());
  f.want(2, false, {0}, fixture::returns);
  CHECK(w.only_order().pipeline == "returns");
  CHECK(w.only_order().message->id() == "m2");
}

TEST_CASE("work waits for a worker and goes to it as soon as it joins") {
  fixture f;
  f.want(7);
  CHECK(f.status().waiting == 1);
  const auto w = f.join();
  const auto& job = w.only_order();
  CHECK(job.pipeline == "orders");
  CHECK(job.attempt == 1);
  CHECK(job.chains == names{""});
  CHECK(job.message->id() == "m7");
  CHECK(f.status().waiting == 0);
  CHECK(f.status().in_flight == 1);
}

TEST_CASE("chains of one message travel together, under their destinations' names") {
  fixture f;
  f.want(1, false, {0, 2, 1});
  const auto w = f.join();
  auto chains = w.only_order().chains;
  std::ranges::sort(chains);
  CHECK(chains == names{"", "audit", "billing"});
}

TEST_CASE("a worker has never more than its slots, and the next order comes with its answer") {
  fixture f;
  for (std::uint64_t at = 1; at <= 5; ++at) f.want(at);
  const auto w = f.join("node", 2);
  REQUIRE(w.mail->orders.size() == 2);
  f.finish(w, w.mail->orders[1]);
  REQUIRE(w.mail->orders.size() == 3);
  CHECK(w.mail->orders[2].message->id() == "m3");
}

TEST_CASE("the shard hears of what was produced, dropped and narrowed") {
  fixture f;
  const auto w = f.join();
  for (std::uint64_t at = 1; at <= 3; ++at) f.want(at);
  REQUIRE(w.mail->orders.size() == 3);
  auto narrowed = fixture::answer_to(w.mail->orders[2], answer_kind::produced);
  narrowed.narrowed = true;
  narrowed.only_to = {"audit"};
  f.system.send_as(w.handle, f.dispatcher,
                   answers{{fixture::answer_to(w.mail->orders[0], answer_kind::produced),
                            fixture::answer_to(w.mail->orders[1], answer_kind::dropped), narrowed}});
  REQUIRE(f.shard->work_done.size() == 1); // a batch of answers is a batch of news
  const auto& items = f.shard->work_done[0].done;
  REQUIRE(items.size() == 3);
  CHECK(items[0].at == position{1});
  CHECK(items[0].chain == core::chain_index{0});
  CHECK(items[0].asked == core::asking{11});
  REQUIRE(items[0].done.body);
  CHECK(items[0].done.body->payload == "result of m1");
  CHECK_FALSE(items[0].done.only_to);
  CHECK_FALSE(items[1].done.body);
  CHECK(items[2].done.body);
  CHECK(items[2].done.only_to == std::vector<destination_id>{destination_id{2}});
  CHECK(f.returns_shard->work_done.empty());
  CHECK_FALSE(f.inspect(1));
}

TEST_CASE("a result that is the message's own content comes without it, and its shard gets what it sent") {
  fixture f;
  const auto w = f.join();
  f.want(1);
  auto same = fixture::answer_to(w.only_order(), answer_kind::unchanged);
  same.narrowed = true;
  same.only_to = {"audit"};
  f.give(w, same);
  REQUIRE(f.shard->work_done.size() == 1);
  const auto& done = f.shard->work_done[0].done.at(0).done;
  REQUIRE(done.body);
  CHECK(*done.body == make_message("m1")->body());
  CHECK(done.only_to == std::vector<destination_id>{destination_id{2}});
}

TEST_CASE("a result for a destination that the pipeline does not have is a failed attempt, which says so") {
  fixture f;
  const auto w = f.join();
  f.want(1);
  auto misspelt = fixture::answer_to(w.only_order(), answer_kind::produced);
  SECTION("one of several") {
    misspelt.narrowed = true;
    misspelt.only_to = {"audit", "biling"};
  }
  SECTION("another transform has narrowed it away") {
    misspelt.narrowed = true;
    misspelt.only_to = {"audit"};
    misspelt.named = {"audit", "biling", "audit"};
  }
  SECTION("and so this destination, which has a chain of its own, does not get it") {
    misspelt.kind = answer_kind::dropped;
    misspelt.named = {"biling"};
  }
  f.give(w, misspelt);
  CHECK(f.shard->work_done.empty());
  const auto known = f.inspect(1);
  REQUIRE(known);
  CHECK(known->status.attempts == 1);
  CHECK(known->status.last_error == "a transform narrows to 'biling', which is no destination of this pipeline");
}

TEST_CASE("a killed worker's work is dispatched again at once, and that is no failed attempt") {
  fixture f;
  const auto first = f.join("first");
  f.want(1);
  const auto job = first.only_order();
  const auto second = f.join("second");
  CHECK(second.mail->orders.empty());

  f.system.kill(first.handle);
  CHECK(second.only_order().message->id() == "m1");
  CHECK(second.only_order().attempt == 1);
  CHECK(second.only_order().dispatch != job.dispatch);
  const auto known = f.inspect(1);
  REQUIRE(known);
  CHECK(known->status.attempts == 0);
  REQUIRE(known->status.history.size() == 2);
  CHECK(known->status.history[0].outcome == "worker died");
  CHECK(known->status.history[1].outcome == "running");
  CHECK(known->workers == names{"first", "second"});
  CHECK(f.status().worker_deaths == 1);
  CHECK(f.status().workers == names{"second"});
  CHECK(f.used.measured->worker_deaths.Value() == 1);
  CHECK(f.used.measured->attempts_failed.Value() == 0);
  CHECK(f.used.measured->attempts_orphaned.Value() == 1);

  f.finish(second, second.only_order());
  CHECK(f.done() == numbers{1});
}

TEST_CASE("a killed worker's work waits when there is no other, without losing its message") {
  fixture f;
  const auto first = f.join("first");
  f.want(1);
  f.system.kill(first.handle);
  f.system.pass(10min);
  const auto second = f.join("second");
  CHECK(second.only_order().message->id() == "m1");
  CHECK(second.only_order().attempt == 1);
}

TEST_CASE("answers of those that are no workers here count for nothing") {
  fixture f;
  const auto member = f.join("member");
  f.want(1);
  const auto job = member.only_order();
  auto stranger = fixture::worker{};
  stranger.handle = f.system.spawn(fake_worker, stranger.mail);
  f.finish(stranger, job);
  auto refused_hello = fixture::hello_of();
  refused_hello.token = "other";
  const auto refused = f.greet(refused_hello);
  f.finish(refused, job);
  const auto other = f.join("other");
  f.finish(other, job); // a worker, but this is not its work
  CHECK(f.shard->work_done.empty());
  CHECK(f.status().in_flight == 1);
  f.finish(member, job);
  CHECK(f.done() == numbers{1});
}

TEST_CASE("answers for copies and chains that do not exist count for nothing") {
  fixture f;
  const auto w = f.join();
  f.want(1);
  const auto& job = w.only_order();
  auto no_such_copy = fixture::answer_to(job, answer_kind::produced);
  no_such_copy.dispatch += 100;
  f.give(w, no_such_copy);
  f.give(w, fixture::answer_to(job, answer_kind::produced, 1));
  CHECK(f.shard->work_done.empty());
  CHECK(f.status().in_flight == 1);
  f.finish(w, job);
  f.finish(w, job); // a second answer to the same
  CHECK(f.done() == numbers{1});
}

TEST_CASE("a chain that is answered twice does not answer for the other chains of its copy") {
  fixture f;
  const auto w = f.join();
  f.want(1, false, {1, 2});
  const auto& job = w.only_order();
  REQUIRE(job.chains.size() == 2);
  f.give(w, fixture::answer_to(job, answer_kind::produced, 0));
  f.give(w, fixture::answer_to(job, answer_kind::produced, 0));
  f.give(w, fixture::answer_to(job, answer_kind::produced, 1));
  CHECK(f.done() == numbers{1, 1});
  CHECK(f.status().in_flight == 0);
}

TEST_CASE("a worker that is leaving gets nothing new, and what it has still counts") {
  fixture f;
  const auto leaving = f.join("leaving");
  f.want(1);
  f.want(2);
  REQUIRE(leaving.mail->orders.size() == 2);
  f.say_farewell(leaving);
  CHECK(leaving.mail->farewells_confirmed == 1);
  f.want(3);
  f.finish(leaving, leaving.mail->orders[0]);
  CHECK(f.done() == numbers{1});
  CHECK(leaving.mail->orders.size() == 2);

  f.say_farewell(leaving); // once more at its end: confirmed, and nothing else
  CHECK(leaving.mail->farewells_confirmed == 2);
  f.system.kill(leaving.handle);
  CHECK(f.status().worker_deaths == 0);
  CHECK(f.status().workers.empty());
  const auto next = f.join("next");
  REQUIRE(next.mail->orders.size() == 2);
  CHECK(next.mail->orders[0].message->id() == "m2");
  CHECK(next.mail->orders[0].attempt == 1);
  CHECK(next.mail->orders[1].message->id() == "m3");
}

TEST_CASE("a farewell of somebody unknown is confirmed and changes nothing") {
  fixture f;
  const auto member = f.join();
  fixture::worker stranger;
  stranger.handle = f.system.spawn(fake_worker, stranger.mail);
  f.say_farewell(stranger);
  CHECK(stranger.mail->farewells_confirmed == 1);
  f.want(1);
  CHECK(member.mail->orders.size() == 1);
}

TEST_CASE("a worker that says hello again begins anew") {
  fixture f;
  const auto w = f.join();
  f.want(1);
  const auto before = w.only_order();
  f.system.send(f.dispatcher, fixture::hello_of(), worker_actor{w.handle});
  REQUIRE(w.mail->orders.size() == 2);
  CHECK(w.mail->orders[1].message->id() == "m1");
  f.finish(w, before); // of the time before
  CHECK(f.shard->work_done.empty());
  f.finish(w, w.mail->orders[1]);
  CHECK(f.done() == numbers{1});
  CHECK(f.status().workers == names{"node"});
  CHECK(f.status().worker_deaths == 0);
  f.system.kill(w.handle);
  CHECK(f.status().workers.empty());
  CHECK(f.status().worker_deaths == 1);
}

TEST_CASE("what is withdrawn is not dispatched, and an answer to it is late") {
  fixture f;
  f.want(1);
  f.want(2, false, {0, 1});
  f.system.send(
    f.dispatcher,
    work_wanted{fixture::orders, {{position{1}, core::chain_index{0}}, {position{2}, core::chain_index{0}}}, {}, {}});
  const auto w = f.join();
  const auto job = w.only_order();
  CHECK(job.message->id() == "m2");
  CHECK(job.chains == names{"billing"});
  f.system.send(f.dispatcher, work_wanted{fixture::orders, {{position{2}, core::chain_index{1}}}, {}, {}});
  f.finish(w, job);
  CHECK(f.shard->work_done.empty());
  CHECK(f.used.measured->attempts_late.Value() == 1);
  CHECK(f.status().in_flight == 0);
}

TEST_CASE("work that is wanted again after it was withdrawn is not answered by the copy from before") {
  fixture f;
  const auto w = f.join();
  f.want(1);
  const auto before = w.only_order();
  f.system.send(f.dispatcher, work_wanted{fixture::orders, {{position{1}, core::chain_index{0}}}, {}, {}});
  f.want(1);
  REQUIRE(w.mail->orders.size() == 2);
  f.finish(w, before);
  CHECK(f.shard->work_done.empty());
  f.finish(w, w.mail->orders[1]);
  CHECK(f.done() == numbers{1});
}

TEST_CASE("heads go first, then the oldest") {
  fixture f;
  f.want(3);
  f.want(1);
  f.want(9, true);
  f.want(2);
  const auto w = f.join("node", 4);
  names got;
  for (const auto& job : w.mail->orders) got.push_back(job.message->id());
  CHECK(got == names{"m9", "m1", "m2", "m3"});
}

TEST_CASE("pipelines share a worker, and each shard hears of its own") {
  fixture f;
  auto who = fixture::hello_of();
  who.pipelines = {"orders", "returns"};
  who.fingerprints = {"print-o", "print-r"};
  const auto w = f.greet(who);
  f.want(1);
  f.want(1, false, {0}, fixture::returns);
  REQUIRE(w.mail->orders.size() == 2);
  f.system.send_as(w.handle, f.dispatcher,
                   answers{{fixture::answer_to(w.mail->orders[0], answer_kind::produced),
                            fixture::answer_to(w.mail->orders[1], answer_kind::dropped)}});
  REQUIRE(f.shard->work_done.size() == 1);
  REQUIRE(f.returns_shard->work_done.size() == 1);
  CHECK(f.shard->work_done[0].done.at(0).done.body);
  CHECK_FALSE(f.returns_shard->work_done[0].done.at(0).done.body);
}
