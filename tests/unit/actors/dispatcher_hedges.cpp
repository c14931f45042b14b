#include "catch.hpp"

#include <cstdint>
#include <vector>

#include "dispatcher_fixture.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

using fixture = dispatcher_fixture;
using numbers = std::vector<std::uint64_t>;

namespace {

/// Answers twenty messages after ten milliseconds each: so long does the work take, and one hedge is earned.
void learn(fixture& f, const fixture::worker& from) {
  for (std::uint64_t at = 100; at < 120; ++at) {
    f.want(at);
    f.system.pass(10ms);
    f.finish(from, from.mail->orders.back());
  }
}

void hold_back(fixture& f, std::uint64_t at) {
  f.system.send(f.dispatcher, work_wanted{fixture::orders, {}, {}, {}, {{position{at}, core::chain_index{0}}}});
}

} // namespace

TEST_CASE("a head that holds results back for longer than work takes is given to another worker, too, and one counts") {
  fixture f;
  const auto first = f.join("first");
  learn(f, first);
  f.want(1, true);
  const auto slow = first.mail->orders.back();
  const auto second = f.join("second");
  hold_back(f, 1);
  f.system.pass(5ms);
  CHECK(second.mail->orders.empty());
  f.system.pass(15ms);
  CHECK(second.only_order().message->id() == "m1");
  CHECK(second.only_order().attempt == slow.attempt);
  const auto known = f.inspect(1);
  REQUIRE(known);
  REQUIRE(known->status.history.size() == 2);
  CHECK((!known->status.history[0].hedge && known->status.history[1].hedge));
  CHECK(known->workers == std::vector<std::string>{"first", "second"});

  const auto before = f.done().size();
  auto& counted = *f.used.measured;
  SECTION("the hedge") {
    f.finish(second, second.only_order());
    f.finish(first, slow);
    CHECK(counted.hedges_won.Value() == 1);
  }
  SECTION("the first copy") {
    f.finish(first, slow);
    f.finish(second, second.only_order());
    CHECK(counted.hedges_lost.Value() == 1);
  }
  SECTION("the first copy, after the hedge failed") {
    f.give(second, fixture::answer_to(second.only_order(), answer_kind::failed));
    CHECK(f.inspect(1)->status.attempts == 0);
    f.finish(first, slow);
    CHECK(counted.hedges_failed.Value() == 1);
    CHECK(counted.attempts_failed.Value() == 0);
  }
  CHECK(f.done().size() == before + 1);
  CHECK(counted.hedges_won.Value() + counted.hedges_lost.Value() + counted.hedges_failed.Value() == 1);
}

TEST_CASE("a head that holds nothing back stays with its worker") {
  fixture f;
  const auto first = f.join("first");
  learn(f, first);
  f.want(1, true);
  const auto second = f.join("second");
  f.system.pass(1s);
  CHECK(second.mail->orders.empty());
}
