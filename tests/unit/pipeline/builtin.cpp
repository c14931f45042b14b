#include "catch.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reseq/pipeline/builtin.hpp"
#include "reseq/pipeline/chain.hpp"

using namespace reseq;
using ending = delay_plan::ending;

namespace {

constexpr int draws = 2000;

const message_ptr hello = std::make_shared<const message>("m-1", "", content{"hello", "", {}});

delay_settings between(duration min, duration max, delay_settings::shape shape = delay_settings::shape::uniform) {
  delay_settings settings;
  settings.min = min;
  settings.max = max;
  settings.distribution = shape;
  settings.seed = 1;
  return settings;
}

chain delay_with(const delay_settings& tuned) {
  transform_settings settings;
  settings.use = "delay";
  settings.delay = tuned;
  auto made = built_in(settings);
  REQUIRE(made);
  return chain({*made});
}

std::vector<duration> times(const delay_settings& settings) {
  std::vector<duration> all;
  for (int i = 0; i < draws; ++i) all.push_back(plan_delay(settings, std::to_string(i), attempt{1}).takes);
  return all;
}

int count(const delay_settings& settings, ending wanted) {
  int found = 0;
  for (int i = 0; i < draws; ++i) found += plan_delay(settings, std::to_string(i), attempt{1}).then == wanted;
  return found;
}

} // namespace

TEST_CASE("only identity and delay are built in") {
  transform_settings settings;
  for (const auto name : built_in_names) {
    settings.use = name;
    CHECK(built_in(settings)->name == name);
  }
  settings.use = "enrich";
  CHECK(!built_in(settings));
}

TEST_CASE("a delay is the same for the same seed, message and attempt, and another for another") {
  auto settings = between(duration{0}, std::chrono::hours{1});
  const auto first = plan_delay(settings, "m", attempt{1}).takes;
  CHECK(plan_delay(settings, "m", attempt{1}).takes == first);
  CHECK(plan_delay(settings, "m", attempt{2}).takes != first);
  CHECK(plan_delay(settings, "n", attempt{1}).takes != first);
  settings.seed = 2;
  CHECK(plan_delay(settings, "m", attempt{1}).takes != first);
}

TEST_CASE("a uniform delay lies within its bounds and fills them") {
  const auto all = times(between(std::chrono::milliseconds{5}, std::chrono::milliseconds{60}));
  const auto [least, most] = std::minmax_element(all.begin(), all.end());
  CHECK(*least >= std::chrono::milliseconds{5});
  CHECK(*least < std::chrono::milliseconds{6});
  CHECK(*most < std::chrono::milliseconds{60});
  CHECK(*most > std::chrono::milliseconds{59});
}

TEST_CASE("a fixed delay takes its minimum") {
  for (const auto t : times(between(duration{7}, duration{9}, delay_settings::shape::fixed))) CHECK(t == duration{7});
}

TEST_CASE("an exponential delay has its minimum as mean and ends at its maximum") {
  const auto mean_of = [](const std::vector<duration>& all) {
    duration sum{};
    for (const auto t : all) sum += t;
    return sum / draws;
  };
  const auto free = times(between(std::chrono::seconds{10}, duration{0}, delay_settings::shape::exponential));
  CHECK(mean_of(free) > std::chrono::seconds{9});
  CHECK(mean_of(free) < std::chrono::seconds{11});
  CHECK(*std::max_element(free.begin(), free.end()) > std::chrono::seconds{40});
  const auto capped =
    times(between(std::chrono::seconds{10}, std::chrono::seconds{15}, delay_settings::shape::exponential));
  CHECK(*std::max_element(capped.begin(), capped.end()) == std::chrono::seconds{15});
}

TEST_CASE("a maximum below the minimum counts as the minimum") {
  for (const auto t : times(between(duration{7}, duration{0}))) CHECK(t == duration{7});
}

TEST_CASE("a delay misbehaves as often as its rates say") {
  delay_settings settings;
  settings.seed = 3;
  CHECK(count(settings, ending::succeed) == draws);
  settings.fail_rate = 0.2;
  settings.hang_rate = 0.1;
  settings.crash_rate = 0.05;
  CHECK(std::abs(count(settings, ending::fail) - 400) < 80);
  CHECK(std::abs(count(settings, ending::hang) - 200) < 60);
  CHECK(std::abs(count(settings, ending::crash) - 100) < 40);
  settings.hang_rate = 0;
  settings.crash_rate = 0;
  settings.fail_rate = 1;
  CHECK(count(settings, ending::fail) == draws);
}

TEST_CASE("a delay hands the content on, or fails, after its time") {
  auto tuned = between(std::chrono::microseconds{50}, std::chrono::microseconds{100});
  const auto result = delay_with(tuned).run(hello, attempt{1});
  REQUIRE(std::holds_alternative<produced>(result));
  CHECK(std::get<produced>(result).body.get() == &hello->body());

  tuned.fail_rate = 1;
  const auto failure = delay_with(tuned).run(hello, attempt{1});
  REQUIRE(std::holds_alternative<failed>(failure));
  CHECK(std::get<failed>(failure).what == "delay: failed on purpose (fail_rate)");
  CHECK(!std::get<failed>(failure).permanent);
}

TEST_CASE("a seed of zero is another one each time the transform is made") {
  auto tuned = between(duration{0}, duration{0});
  tuned.seed = 0;
  tuned.fail_rate = 0.5;
  const auto pattern = [&] {
    const auto made = delay_with(tuned);
    std::string all;
    for (std::uint32_t n = 1; n <= 128; ++n)
      all += std::holds_alternative<failed>(made.run(hello, attempt{n})) ? 'f' : '.';
    return all;
  };
  CHECK(pattern() != pattern());
}

TEST_CASE("a delay that crashes ends the process") {
  auto tuned = between(duration{0}, duration{0});
  tuned.crash_rate = 1;
  const auto crashing = delay_with(tuned);
  const auto child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    std::signal(SIGABRT, SIG_DFL);
    static_cast<void>(crashing.run(hello, attempt{1}));
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
}
