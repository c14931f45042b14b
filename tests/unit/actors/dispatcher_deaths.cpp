#include "catch.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "dispatcher_fixture.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

using fixture = dispatcher_fixture;
using numbers = std::vector<std::uint64_t>;

TEST_CASE("a message that was in flight on two workers that died runs alone, and is charged when it kills that one") {
  fixture f;
  f.want(1, true);
  for (int death = 0; death < 2; ++death) f.kill(f.join());
  CHECK(f.status().suspects == 1);
  CHECK(f.used.measured->attempts_crashed.Value() == 0);

  const auto third = f.join("third", 2);
  CHECK(third.only_order().attempt == 1);
  f.want(2);
  CHECK(third.mail->orders.size() == 1);
  f.kill(third);
  CHECK(f.used.measured->attempts_crashed.Value() == 1);
  CHECK(f.used.measured->attempts_failed.Value() == 0);
  CHECK(f.used.measured->worker_deaths.Value() == 3);
  const auto known = f.inspect(1);
  REQUIRE(known);
  CHECK(known->status.attempts == 1);
  CHECK(known->status.history.back().outcome == "crashed");
  CHECK(known->status.last_error == "its worker died, and ran nothing else");

  const auto fourth = f.join("fourth", 2);
  f.system.pass(1ms);
  REQUIRE_FALSE(fourth.mail->orders.empty());
  CHECK(fourth.mail->orders[0].message->id() == "m2");
}

namespace {

/// So many workers in turn get what is due, and end after a second, in which they are heard of or not.
void end_workers(fixture& f, int count, bool pulses) {
  for (int death = 0; death < count; ++death) {
    const auto w = f.join();
    REQUIRE(w.mail->orders.size() == 1);
    for (int i = 0; i < 6; ++i) {
      f.system.pass(200ms);
      if (pulses) f.pulse(w);
    }
    f.kill(w);
  }
}

} // namespace

TEST_CASE("a worker that was heard of lately has died, and one that was not has fallen silent, which suspects nobody") {
  fixture f;
  f.want(1, true);
  const auto end_of_two_workers = [&f](bool pulses) { end_workers(f, 2, pulses); };
  SECTION("silent") {
    end_of_two_workers(false);
    CHECK(f.status().suspects == 0);
    CHECK(f.inspect(1)->status.history.back().outcome == "worker lost");
  }
  SECTION("pulsating") {
    end_of_two_workers(true);
    CHECK(f.status().suspects == 1);
    CHECK(f.inspect(1)->status.history.back().outcome == "worker died");
  }
  CHECK(f.status().worker_deaths == 2);
}

TEST_CASE("what silences one worker after the other before they end runs alone, and is charged") {
  fixture f;
  f.want(1, true);
  end_workers(f, 3, false);
  CHECK(f.status().suspects == 0);
  end_workers(f, 1, false);
  CHECK(f.status().suspects == 1);
  end_workers(f, 1, false);
  const auto known = f.inspect(1);
  REQUIRE(known);
  CHECK(known->status.attempts == 1);
  CHECK(known->status.history.back().outcome == "crashed");
  CHECK(known->status.last_error == "its worker fell silent, and ran nothing else");
}

TEST_CASE("an end after a farewell suspects nobody") {
  fixture f;
  f.want(1, true);
  for (int leave = 0; leave < 10; ++leave) {
    const auto w = f.join();
    f.say_farewell(w);
    f.kill(w);
  }
  CHECK(f.status().suspects == 0);
  CHECK(f.status().worker_deaths == 0);
}

TEST_CASE("a worker all of whose slots hang is dismissed, and its end suspects nobody") {
  fixture f;
  f.want(1, true);
  f.want(2);
  const auto w = f.join("w", 2);
  REQUIRE(w.mail->orders.size() == 2);
  for (int i = 0; i < 5 * 70 && w.mail->dismissals.empty(); ++i) {
    f.system.pass(200ms);
    f.pulse(w);
  }
  REQUIRE(w.mail->dismissals.size() == 1);
  CHECK(w.mail->dismissals[0].why == "its slots hang");
  f.kill(w);
  CHECK(f.status().suspects == 0);
  const auto next = f.join("next", 2);
  CHECK(next.mail->orders.size() == 2);
}
