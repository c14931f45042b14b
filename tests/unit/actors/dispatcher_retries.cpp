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

TEST_CASE("no answer within the timeout sends the work to another worker, and the first answer counts") {
  fixture f;
  const auto first = f.join("first");
  f.want(1);
  const auto second = f.join("second");
  f.system.pass(1999ms);
  CHECK(second.mail->orders.empty());
  f.system.pass(2ms);
  CHECK(second.only_order().message->id() == "m1");
  CHECK(second.only_order().attempt == 2);
  CHECK(first.mail->orders.size() == 1);

  SECTION("also when it is the late one") {
    f.finish(first, first.only_order());
    f.finish(second, second.only_order());
  }
  SECTION("and the late one then counts for nothing") {
    f.finish(second, second.only_order());
    f.finish(first, first.only_order());
  }
  CHECK(f.done() == numbers{1});
  CHECK(f.used.measured->attempts_done.Value() == 1);
  CHECK(f.used.measured->attempts_timed_out.Value() == 1);
  CHECK(f.used.measured->attempts_late.Value() == 1);
}

TEST_CASE("each further attempt has twice the time") {
  fixture f;
  const auto w = f.join();
  f.want(1);
  const std::vector<duration> timeouts{2s, 4s, 8s, 16s};
  for (std::size_t i = 0; i < timeouts.size(); ++i) {
    CAPTURE(i);
    f.system.pass(timeouts[i] - 2ms);
    CHECK(w.mail->orders.size() == i + 1);
    f.system.pass(2ms);
    CHECK(w.mail->orders.size() == i + 2);
  }
}

TEST_CASE("a failed attempt is made again, and nobody else hears of it") {
  fixture f;
  const auto w = f.join();
  f.want(1);
  f.give(w, fixture::answer_to(w.only_order(), answer_kind::failed));
  f.system.pass(1ms);
  REQUIRE(w.mail->orders.size() == 2);
  CHECK(w.mail->orders[1].attempt == 2);
  CHECK(f.shard->work_done.empty());
  const auto known = f.inspect(1);
  REQUIRE(known);
  CHECK(known->status.attempts == 1);
  CHECK(known->status.last_error == "no luck");
  CHECK(known->status.history.at(0).outcome == "failed");
}

TEST_CASE("of a copy's chains one may fail: it is made again alone") {
  fixture f;
  const auto w = f.join();
  f.want(1, false, {1, 2});
  const auto job = w.only_order();
  const auto audit = static_cast<std::uint32_t>(std::ranges::find(job.chains, "audit") - job.chains.begin());
  f.give(w, fixture::answer_to(job, answer_kind::failed, audit));
  f.give(w, fixture::answer_to(job, answer_kind::produced, 1 - audit));
  CHECK(f.done() == numbers{1});
  f.system.pass(1ms);
  REQUIRE(w.mail->orders.size() == 2);
  CHECK(w.mail->orders[1].chains == names{"audit"});
}

TEST_CASE("a head that used up its attempts is given up, and its shard is told") {
  fixture f;
  const auto w = f.join();
  f.want(1, true);
  std::size_t failed = 0;
  for (const auto end = f.system.now() + 61s; f.system.now() < end && f.shard->work_done.empty(); f.system.pass(1s))
    for (; failed < w.mail->orders.size(); ++failed)
      f.give(w, fixture::answer_to(w.mail->orders[failed], answer_kind::failed));
  REQUIRE(f.shard->work_done.size() == 1);
  const auto& news = f.shard->work_done[0];
  CHECK(news.done.empty());
  REQUIRE(news.given_up.size() == 1);
  CHECK(news.given_up[0].at == position{1});
  CHECK(news.given_up[0].asked == core::asking{11});
  CHECK(news.given_up[0].attempts >= 5);
  CHECK(news.given_up[0].attempts == failed);
  CHECK(news.given_up[0].last_error == "no luck");
  CHECK_FALSE(f.inspect(1));
  const auto past = f.inspect(1, true); // people look at what is held
  REQUIRE(past);
  CHECK(past->status.attempts == failed);
  REQUIRE(past->status.history.size() == std::min<std::size_t>(failed, 8));
  CHECK(past->status.history.back().error == "no luck");
  CHECK(past->workers.back() == "node");
  const auto orders = w.mail->orders.size();
  f.system.pass(10min);
  CHECK(w.mail->orders.size() == orders);

  f.want(1, true); // an operator's retry, or another destination's
  CHECK(w.mail->orders.size() == orders + 1);
  CHECK(f.inspect(1)->status.attempts == 0);
  CHECK(f.inspect(1, true)->status.attempts == failed);
}

TEST_CASE("an error for good is no reason to give up before it is a head") {
  fixture f;
  const auto w = f.join();
  f.want(5);
  f.give(w, fixture::answer_to(w.only_order(), answer_kind::permanent));
  f.system.pass(10min);
  CHECK(w.mail->orders.size() == 1);
  CHECK(f.shard->work_done.empty());
  f.system.send(f.dispatcher, work_wanted{fixture::orders, {}, {}, {{position{5}, core::chain_index{0}}}});
  REQUIRE(f.shard->work_done.size() == 1);
  REQUIRE(f.shard->work_done[0].given_up.size() == 1);
  CHECK(f.shard->work_done[0].given_up[0].attempts == 1);
  CHECK(f.shard->work_done[0].given_up[0].permanent);
}
