#include "catch.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <vector>

#include "reseq/core/work_times.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace std::chrono_literals;

namespace {

double ms(duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

} // namespace

TEST_CASE("nothing is said of a chain's times before there are twenty of them") {
  work_times times;
  for (int i = 0; i < 19; ++i) times.add(10ms);
  CHECK_FALSE(times.p95().has_value());
  times.add(10ms);
  REQUIRE(times.p95().has_value());
  CHECK(ms(*times.p95()) == Approx(10).epsilon(0.25));
}

TEST_CASE("the percentile is within a quarter of the true one, for any shape and scale of times") {
  std::mt19937_64 random{7};
  const auto scale = GENERATE(50e3, 1e6, 75e6, 2e9);
  const auto heavy = GENERATE(false, true);
  work_times times;
  std::vector<double> all;
  for (int i = 0; i < 1000; ++i) {
    const auto u = (static_cast<double>(random() >> 11U) + 1) * 0x1p-53;
    const auto ns = heavy ? scale / std::sqrt(u) : scale * (1 + u);
    all.push_back(ns);
    times.add(duration{static_cast<std::int64_t>(ns)});
  }
  std::ranges::sort(all);
  REQUIRE(times.p95().has_value());
  CHECK(static_cast<double>(times.p95()->count()) == Approx(all[950]).epsilon(0.25));
}

TEST_CASE("one slow time in a hundred does not show in the percentile") {
  work_times times;
  for (int i = 0; i < 5000; ++i) times.add(i % 100 == 50 ? 500ms : 10ms);
  CHECK(ms(*times.p95()) == Approx(10).epsilon(0.25));
}

TEST_CASE("times that change are noticed within some thousand samples, in both directions") {
  work_times times;
  for (int i = 0; i < 100'000; ++i) times.add(10ms);
  for (int i = 0; i < 2000; ++i) times.add(200ms);
  CHECK(ms(*times.p95()) == Approx(200).epsilon(0.25));
  for (int i = 0; i < 6000; ++i) times.add(1ms);
  CHECK(ms(*times.p95()) == Approx(1).epsilon(0.25));
}

TEST_CASE("the shortest and the longest times count as the bounds") {
  work_times times;
  for (int i = 0; i < 100; ++i) times.add(duration{0});
  CHECK(*times.p95() <= 17us);
  for (int i = 0; i < 3000; ++i) times.add(24h);
  CHECK(*times.p95() >= 60s);
}
