#include "reseq/core/retention_clock.hpp"

#include "catch.hpp"

using namespace reseq;
using namespace std::chrono_literals;
using core::retention_clock;

namespace {

/// Both clocks of a machine, and what is made of them.
struct machine {
  wall_time wall{std::chrono::sys_days{std::chrono::year{2026} / 11 / 29}};
  time_point steady{100h};
  retention_clock clock{wall, steady};

  void pass(std::chrono::milliseconds time) {
    wall += time;
    steady += time;
  }
  wall_time look() { return clock.look(wall, steady); }
};

} // namespace

TEST_CASE("the date of retention is the wall clock's while that goes as the monotonic one does") {
  machine m;
  CHECK(m.look() == m.wall);
  for (const auto drift : {0ms, 900ms, -300ms, 1000ms, -5000ms}) {
    m.pass(30s);
    m.wall += drift;
    CHECK(m.look() == m.wall);
  }
}

TEST_CASE("a wall clock that is ahead for less than an hour makes nothing older") {
  machine m;
  const auto right = m.wall;
  m.wall += 8 * 24h;
  for (auto passed = 0s; passed < 1h; passed += 30s) {
    CHECK(m.look() == right + passed);
    m.pass(30s);
  }
  m.wall -= 8 * 24h;
  CHECK(m.look() == m.wall);
  m.wall += 8 * 24h; // again: the hour begins anew
  CHECK(m.look() == right + 1h);
  m.pass(59min);
  CHECK(m.look() == right + 119min);
}

TEST_CASE("a wall clock that stays ahead for an hour is believed") {
  machine m;
  m.wall += 24h;
  CHECK(m.look() < m.wall);
  m.pass(59min);
  CHECK(m.look() < m.wall);
  m.pass(1min);
  CHECK(m.look() == m.wall);
  m.pass(30s);
  CHECK(m.look() == m.wall);
}

TEST_CASE("of a wall clock that was ahead by more for a while, the least is believed") {
  machine m;
  m.wall += 48h;
  m.look();
  m.wall -= 24h;
  m.pass(30min);
  const auto right = m.wall;
  m.look();
  m.wall += 48h;
  m.pass(30min);
  CHECK(m.look() == right + 30min);
}

TEST_CASE("a wall clock that is set back is believed at once, and what it gains then is not") {
  machine m;
  m.wall -= 24h;
  CHECK(m.look() == m.wall);
  const auto back = m.wall;
  m.wall += 24h;
  CHECK(m.look() == back);
}
