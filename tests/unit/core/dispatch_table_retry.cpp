#include "dispatch_table_fixture.hpp"

#include <cstdint>
#include <string>

using namespace dispatch_example;

TEST_CASE("without an answer in time the task is dispatched again, to another worker, after a random delay") {
  fixture f{retry_settings{}};
  const auto one = f.join(5);
  const auto two = f.join(5);
  f.submit(1);
  const auto first = f.only();
  CHECK(f.table.next_deadline() == f.now + 2s);
  f.pass(2s - 1ns);
  CHECK(f.table.counters().timed_out == 0);
  f.pass(1ns);
  CHECK(f.table.counters().timed_out == 1);
  CHECK(f.table.assign(f.now).empty());

  const auto status = f.table.inspect(f.key(1));
  REQUIRE(status.has_value());
  CHECK(status->attempts == 1);
  CHECK(status->last_error == "no answer within 2000 ms");
  REQUIRE(status->next_attempt.has_value());
  CHECK(*status->next_attempt <= f.now + 1s);
  CHECK(f.table.next_deadline() == status->next_attempt);

  f.pass(*status->next_attempt - f.now);
  const auto second = f.only();
  CHECK(second.worker == (first.worker == one ? two : one));
  CHECK(second.number == attempt{2});
  CHECK(f.table.next_deadline() == f.now + 4s);
}

TEST_CASE("the same worker is tried again when no other has a free slot") {
  fixture f;
  const auto worker = f.join(2);
  f.submit(1);
  f.only();
  f.pass(2s);
  CHECK(f.only().worker == worker);
}

TEST_CASE("a timed-out copy keeps its slot until it is answered or its worker dies") {
  fixture f;
  const auto worker = f.join(1);
  f.submit(1);
  const auto hung = f.only();
  f.pass(2s);
  CHECK(f.table.free_slots() == 0);
  CHECK(f.table.assign(f.now).empty());

  SECTION("its late failure frees the slot and is no second failed attempt") {
    CHECK_FALSE(f.answer(hung, attempt_end::failed, "late"));
    CHECK(f.table.inspect(f.key(1))->attempts == 1);
    CHECK(f.table.counters().failed == 0);
    CHECK(f.table.counters().late == 1);
    CHECK(f.only().number == attempt{2});
  }
  SECTION("its late result counts, being the first") {
    CHECK(f.answer(hung, attempt_end::done));
    CHECK(f.table.waiting() == 0);
    CHECK(f.table.free_slots() == 1);
  }
  SECTION("its worker's death frees it and changes nothing for the task") {
    f.table.leave(worker, departure::died, f.now);
    CHECK(f.table.in_flight() == 0);
    CHECK(f.table.inspect(f.key(1))->attempts == 1);
    CHECK(f.table.inspect(f.key(1))->history.back().outcome == "timed out");
    f.join(1);
    CHECK(f.only().number == attempt{2});
  }
}

TEST_CASE("while a second copy runs") {
  fixture f;
  f.join(5);
  f.join(5);
  f.submit(1, true);
  const auto first = f.only();
  f.pass(2s);
  const auto second = f.only();

  SECTION("a late failure of the first, even a permanent one, does not disturb it") {
    CHECK_FALSE(f.answer(first, GENERATE(attempt_end::failed, attempt_end::permanent), "late"));
    CHECK(f.table.inspect(f.key(1))->attempts == 1);
    CHECK(f.answer(second, attempt_end::done));
  }
  SECTION("a late result of the first wins, and the second's is late") {
    CHECK(f.answer(first, attempt_end::done));
    CHECK(f.table.in_flight() == 1);
    CHECK_FALSE(f.table.next_deadline().has_value());
    CHECK_FALSE(f.answer(second, attempt_end::done));
    CHECK(f.table.counters().done == 1);
    CHECK(f.table.in_flight() == 0);
  }
  SECTION("the second's result wins, and the first's is late") {
    CHECK(f.answer(second, attempt_end::done));
    CHECK_FALSE(f.answer(first, attempt_end::done));
    CHECK(f.table.in_flight() == 0);
  }
}

TEST_CASE("a failure that the transform answers backs off like a timeout") {
  fixture f{retry_settings{}};
  f.join(1);
  f.submit(1);
  CHECK(f.answer(f.only(), attempt_end::failed, "502 from enrichment"));
  const auto status = f.table.inspect(f.key(1));
  REQUIRE(status.has_value());
  CHECK(status->last_error == "502 from enrichment");
  REQUIRE(status->next_attempt.has_value());
  CHECK(*status->next_attempt <= f.now + 1s);
  CHECK(f.table.assign(f.now).empty());
  f.pass(1s);
  CHECK(f.only().number == attempt{2});
}

TEST_CASE("a head that used up its attempts is given up, and forgotten") {
  fixture f;
  f.join(1);
  f.submit(1, true);
  std::uint32_t failed = 0;
  while (f.table.counters().given_up == 0) {
    CHECK(f.answer(f.only(), attempt_end::failed, "no luck " + std::to_string(++failed)));
    f.pass(7s);
  }
  const auto gone = f.table.take_given_up();
  REQUIRE(gone.size() == 1);
  CHECK(gone[0].key == f.key(1));
  CHECK(gone[0].attempts == 10); // at 0, 7, 14 … 63 s: five are not enough before a minute has passed
  CHECK(gone[0].last_error == "no luck 10");
  REQUIRE(gone[0].history.size() == 8);
  CHECK(gone[0].history.front().error == "no luck 3");
  CHECK(gone[0].history.back().number == attempt{10});
  CHECK(f.table.take_given_up().empty());
  CHECK_FALSE(f.table.inspect(f.key(1)).has_value());
  CHECK_FALSE(f.table.next_deadline().has_value());

  f.submit(1, true);
  CHECK(f.only().number == attempt{1});
}

TEST_CASE("what used up its attempts and is no head goes on being tried until it becomes one") {
  fixture f;
  f.join(1);
  f.submit(1);
  const auto failed = f.exhaust();
  CHECK(f.table.take_given_up().empty());

  SECTION("it may still succeed") { CHECK(f.answer(f.only(), attempt_end::done)); }
  SECTION("becoming the head while nothing of it is in flight ends it") {
    f.table.make_head(f.key(1), f.now);
    const auto gone = f.table.take_given_up();
    REQUIRE(gone.size() == 1);
    CHECK(gone[0].attempts == failed);
    CHECK(f.table.assign(f.now).empty());
  }
  SECTION("becoming the head while a copy may still answer waits for that copy") {
    const auto running = f.only();
    f.table.make_head(f.key(1), f.now);
    CHECK(f.table.take_given_up().empty());
    SECTION("which may succeed") { CHECK(f.answer(running, attempt_end::done)); }
    SECTION("which may time out") {
      f.pass(60s);
      REQUIRE(f.table.take_given_up().size() == 1);
      CHECK_FALSE(f.answer(running, attempt_end::done));
    }
  }
}

TEST_CASE("a permanent error skips the remaining attempts") {
  fixture f;
  f.join(1);

  SECTION("of a head, which is given up at once") {
    f.submit(1, true);
    CHECK(f.answer(f.only(), attempt_end::permanent, "no such customer"));
    const auto gone = f.table.take_given_up();
    REQUIRE(gone.size() == 1);
    CHECK(gone[0].attempts == 1);
    CHECK(gone[0].last_error == "no such customer");
  }
  SECTION("of another, which waits to become the head") {
    f.submit(1);
    CHECK(f.answer(f.only(), attempt_end::permanent, "no such customer"));
    CHECK(f.table.take_given_up().empty());
    CHECK(f.table.waiting() == 1);
    CHECK_FALSE(f.table.next_deadline().has_value());
    f.pass(1h);
    CHECK(f.table.assign(f.now).empty());
    f.submit(1, true);
    CHECK(f.table.take_given_up().size() == 1);
    CHECK(f.table.waiting() == 0);
  }
}

TEST_CASE("a task tells its last eight attempts, the oldest first") {
  fixture f;
  f.join(1);
  f.submit(1);
  for (int i = 1; i <= 10; ++i) {
    REQUIRE(f.answer(f.only(), attempt_end::failed, "error " + std::to_string(i)));
    f.pass(1s);
  }
  const auto running = f.only();
  const auto status = f.table.inspect(f.key(1));
  REQUIRE(status.has_value());
  CHECK(status->attempts == 10);
  CHECK(status->last_error == "error 10");
  CHECK_FALSE(status->next_attempt.has_value());
  REQUIRE(status->history.size() == 8);
  CHECK(status->history.front().number == attempt{4});
  CHECK(status->history.front().error == "error 4");
  CHECK(status->history.front().outcome == "failed");
  CHECK(status->history.front().ended == status->history.front().started);
  CHECK(status->history.back().number == attempt{11});
  CHECK(status->history.back().outcome == "running");
  CHECK(status->history.back().worker == running.worker);
  CHECK_FALSE(status->history.back().ended.has_value());
}
