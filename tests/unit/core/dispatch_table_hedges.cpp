#include "catch.hpp"

#include <cstdint>
#include <vector>

#include "dispatch_table_fixture.hpp"

using namespace dispatch_example;

namespace {

/// A chain that is known to take ten milliseconds, and as many copies behind it as one hedge costs.
struct experienced : fixture {
  explicit experienced(const retry_settings& policy = prompt(), int copies = 20) : fixture(policy) {
    const auto teacher = join(1);
    for (int i = 0; i < copies; ++i) {
      submit(1000 + static_cast<std::uint64_t>(i));
      const auto d = only();
      now += 10ms;
      REQUIRE(answer(d, attempt_end::done));
    }
    table.leave(teacher, departure::lost, now);
    first = join(1);
  }

  /// Position `at` runs at the first worker, is a head, and holds results back from now on.
  dispatch held_back(std::uint64_t at = 1) {
    submit(at, true);
    const auto d = only();
    second = join(4);
    table.hold_back(key(at), now);
    return d;
  }

  std::vector<dispatch> after(duration time) {
    pass(time);
    return table.assign(now);
  }

  worker_id first;
  worker_id second;
};

} // namespace

TEST_CASE("a head that holds results back for longer than its chain takes gets a second copy, at another worker") {
  experienced f;
  const auto d = f.held_back();
  CHECK(f.after(7ms).empty());
  const auto hedges = f.after(8ms);
  REQUIRE(hedges.size() == 1);
  CHECK(hedges[0].hedge);
  CHECK(hedges[0].worker == f.second);
  CHECK(hedges[0].at == position{1});
  CHECK(hedges[0].number == d.number);
  CHECK(f.table.counters().hedged == 1);
  CHECK(f.after(100ms).empty());

  const auto history = f.table.inspect(f.key(1))->history;
  REQUIRE(history.size() == 2);
  CHECK((!history[0].hedge && history[1].hedge));
  CHECK((history[0].outcome == "running" && history[1].outcome == "running"));

  SECTION("whose answer counts if it is the first") {
    CHECK(f.answer(hedges[0], attempt_end::done));
    CHECK_FALSE(f.answer(d, attempt_end::done));
    CHECK(f.table.counters().hedges_won == 1);
  }
  SECTION("or else the first copy's") {
    CHECK(f.answer(d, attempt_end::done));
    CHECK_FALSE(f.answer(hedges[0], attempt_end::done));
    CHECK(f.table.counters().hedges_lost == 1);
  }
  CHECK(f.table.counters().late == 1);
  CHECK(f.table.in_flight() == 0);
  CHECK(f.table.waiting() == 0);
  CHECK_FALSE(f.table.next_deadline().has_value());
}

TEST_CASE("a third copy follows when the second one takes too long as well, and no fourth") {
  experienced f(fixture::prompt(), 200);
  const auto d = f.held_back();
  const auto second = f.after(20ms).at(0);
  CHECK(f.after(5ms).empty());
  const auto third = f.after(15ms).at(0);
  CHECK((third.hedge && third.number == d.number));
  CHECK(f.after(100ms).empty());
  CHECK(f.answer(second, attempt_end::failed));
  CHECK(f.answer(d, attempt_end::failed));
  CHECK(f.table.inspect(f.key(1))->attempts == 0);
  CHECK(f.answer(third, attempt_end::done));
  CHECK(f.table.counters().hedged == 2);
  CHECK(f.table.counters().hedges_failed == 1);
  CHECK(f.table.counters().hedges_won == 1);
}

TEST_CASE("a head that holds nothing back, and what is no head, get no second copy") {
  experienced f;
  f.submit(1, true);
  f.only();
  f.join(4);
  f.submit(2);
  f.only();
  f.table.hold_back(f.key(2), f.now);
  f.table.hold_back(f.key(99), f.now);
  CHECK(f.after(1s).empty());
}

TEST_CASE("hedging can be turned off") {
  auto policy = fixture::prompt();
  policy.hedge = false;
  experienced f(policy);
  f.held_back();
  CHECK(f.after(1s).empty());
}

TEST_CASE("without other workers the second copy goes to another slot") {
  experienced f;
  f.table.leave(f.first, departure::lost, f.now);
  const auto alone = f.join(2);
  f.submit(1, true);
  f.only();
  f.table.hold_back(f.key(1), f.now);
  const auto hedges = f.after(20ms);
  REQUIRE(hedges.size() == 1);
  CHECK(hedges[0].worker == alone);
}

TEST_CASE("an error is a failed attempt only when no other copy is in flight, and then it is one") {
  experienced f;
  const auto d = f.held_back();
  const auto hedge = f.after(20ms).at(0);
  const auto earlier = GENERATE(true, false);
  CHECK(f.answer(earlier ? d : hedge, attempt_end::failed, "no luck"));
  CHECK(f.table.inspect(f.key(1))->attempts == 0);
  CHECK(f.table.assign(f.now).empty());
  CHECK(f.answer(earlier ? hedge : d, attempt_end::failed, "no luck either"));
  const auto status = *f.table.inspect(f.key(1));
  CHECK(status.attempts == 1);
  CHECK(status.last_error == "no luck either");
  CHECK(status.history.size() == 2);
  CHECK(f.table.counters().failed == 1);
  CHECK(f.table.counters().hedges_failed == 1);
}

TEST_CASE("a permanent error waits for the other copy, too, and stays one") {
  experienced f;
  const auto d = f.held_back();
  const auto hedge = f.after(20ms).at(0);
  CHECK(f.answer(d, attempt_end::permanent, "never"));
  CHECK(f.table.take_given_up().empty());
  SECTION("unless that one works") { CHECK(f.answer(hedge, attempt_end::done)); }
  SECTION("which fails") {
    CHECK(f.answer(hedge, attempt_end::failed, "no luck"));
    CHECK(f.table.take_given_up().size() == 1);
  }
  SECTION("whose worker goes") {
    f.table.leave(f.second, GENERATE(departure::died, departure::lost), f.now);
    CHECK(f.table.assign(f.now).empty());
    const auto lost = f.table.take_given_up();
    REQUIRE(lost.size() == 1);
    CHECK(lost[0].attempts == 1);
    CHECK(lost[0].last_error == "never");
    CHECK(f.table.counters().failed == 1);
  }
}

TEST_CASE("a hedge has as much time as the first copy had, and both are one attempt") {
  experienced f;
  const auto d = f.held_back();
  const auto hedge = f.after(500ms).at(0);
  f.pass(1500ms);
  CHECK(f.table.inspect(f.key(1))->attempts == 0);
  CHECK(f.table.inspect(f.key(1))->history.front().outcome == "timed out");
  CHECK_FALSE(f.answer(d, attempt_end::failed, "too late"));
  f.pass(499ms);
  CHECK(f.table.inspect(f.key(1))->attempts == 0);
  f.pass(1ms);
  CHECK(f.table.inspect(f.key(1))->attempts == 1);
  CHECK(f.table.counters().timed_out == 1);
  CHECK(f.table.counters().hedges_failed == 1);
}

TEST_CASE("the death of one copy's worker leaves the attempt to the other") {
  experienced f;
  const auto d = f.held_back();
  const auto hedge = f.after(20ms).at(0);
  const auto first_dies = GENERATE(true, false);
  f.table.leave(first_dies ? f.first : f.second, departure::died, f.now);
  CHECK(f.table.assign(f.now).empty());
  CHECK(f.table.inspect(f.key(1))->attempts == 0);
  CHECK(f.answer(first_dies ? hedge : d, attempt_end::done));
}

TEST_CASE("what was in flight on a worker that died is not sent to two others at once") {
  experienced f;
  f.submit(1, true);
  f.only();
  f.table.leave(f.first, departure::died, f.now);
  f.join(1);
  f.only();
  f.join(1);
  f.table.hold_back(f.key(1), f.now);
  CHECK(f.after(1s).empty());
}

TEST_CASE("at most one copy in twenty is a hedge, and at most eight come at once") {
  experienced f(fixture::prompt(), 400);
  f.table.leave(f.first, departure::lost, f.now);
  f.join(100);
  for (std::uint64_t at = 1; at <= 30; ++at) {
    f.submit(at, true);
    f.table.hold_back(f.key(at), f.now);
  }
  CHECK(f.table.assign(f.now).size() == 30);
  CHECK(f.after(20ms).size() == 8);
  CHECK(f.after(20ms).empty());
  for (std::uint64_t at = 31; at <= 70; ++at) f.submit(at);
  const auto more = f.table.assign(f.now);
  CHECK(more.size() == 40);
  CHECK(f.table.assign(f.now).size() == 2);
  CHECK(f.table.counters().hedged == 10);
}

TEST_CASE("a second copy waits for a free slot, and is not sent when it is no use any more") {
  experienced f;
  f.submit(1, true);
  const auto d = f.only();
  f.table.hold_back(f.key(1), f.now);
  CHECK(f.after(1s).empty());
  CHECK(f.answer(d, attempt_end::done));
  f.submit(2);
  CHECK(f.only().at == position{2});
}

TEST_CASE("each attempt of a head that holds results back may be hedged") {
  auto policy = fixture::prompt();
  policy.timeout = 100ms;
  experienced f(policy, 100);
  f.held_back();
  CHECK(f.after(20ms).size() == 1);
  f.pass(100ms); // both copies have timed out
  const auto again = f.after(1ms);
  REQUIRE(again.size() == 1);
  CHECK_FALSE(again[0].hedge);
  CHECK(again[0].number == attempt{2});
  const auto hedges = f.after(20ms);
  REQUIRE(hedges.size() == 1);
  CHECK(hedges[0].hedge);
  CHECK(hedges[0].number == attempt{2});
}
