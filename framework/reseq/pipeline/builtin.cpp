#include "reseq/pipeline/builtin.hpp"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>
#include <typeinfo>

#include <sys/prctl.h>

#include "reseq/pipeline/chain.hpp"
#include "reseq/pipeline/hash.hpp"

namespace reseq {
namespace {

/// splitmix64: few bits of seed, such as neighbouring attempts, still give unrelated numbers.
class generator {
public:
  explicit generator(std::uint64_t seed) : state_(seed) {}

  /// From 0 up to, and never, 1.
  double next() {
    auto z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return static_cast<double>((z ^ (z >> 31U)) >> 11U) * 0x1.0p-53;
  }

private:
  std::uint64_t state_;
};

duration scaled(duration unit, double factor) {
  const auto wanted = static_cast<double>(unit.count()) * factor;
  constexpr auto longest = static_cast<double>(duration::max().count()) / 2;
  return duration{static_cast<duration::rep>(std::min(wanted, longest))};
}

duration draw_time(const delay_settings& settings, double number) {
  switch (settings.distribution) {
  case delay_settings::shape::fixed: return settings.min;
  case delay_settings::shape::uniform:
    return settings.min + scaled(std::max(settings.max - settings.min, duration::zero()), number);
  case delay_settings::shape::exponential: {
    const auto drawn = scaled(settings.min, -std::log1p(-number));
    return settings.max > settings.min ? std::min(drawn, settings.max) : drawn;
  }
  }
  return settings.min;
}

[[noreturn]] void hang() {
  std::mutex mutex;
  std::condition_variable never_signalled;
  std::unique_lock lock(mutex);
  for (;;) never_signalled.wait(lock);
}

handed_over hand_on(const step_input& in) { return {std::make_shared<content_ptr>(content_of(in.current))}; }

content_ptr finish(const std::shared_ptr<void>& value, const message&) {
  return std::move(*static_cast<content_ptr*>(value.get()));
}

step pass_through(std::string name, std::function<handed_over(const step_input&)> invoke) {
  step made;
  made.name = std::move(name);
  made.input = typeid(message).name();
  made.output = typeid(content_ptr).name();
  made.takes_message = true;
  made.invoke = std::move(invoke);
  made.finish = &finish;
  return made;
}

/// The system may let a thread's timers go off 50 us late, to save wake-ups; that is no part of the delay.
void sleep_exactly(duration time) {
  prctl(PR_SET_TIMERSLACK, 1UL);
  std::this_thread::sleep_for(time);
}

handed_over delayed(const delay_settings& settings, const step_input& in) {
  const auto plan = plan_delay(settings, in.current->id(), in.context.number);
  if (plan.takes > duration::zero()) sleep_exactly(plan.takes);
  switch (plan.then) {
  case delay_plan::ending::succeed: break;
  case delay_plan::ending::fail: throw std::runtime_error("failed on purpose (fail_rate)");
  case delay_plan::ending::hang: hang();
  case delay_plan::ending::crash: std::abort();
  }
  return hand_on(in);
}

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

} // namespace

delay_plan plan_delay(const delay_settings& settings, std::string_view message_id, attempt number) {
  generator random(detail::hasher{}.add(settings.seed).add(message_id).add(std::uint64_t{number.value()}).value());
  delay_plan plan;
  plan.takes = draw_time(settings, random.next());
  const auto luck = random.next();
  if (luck < settings.crash_rate)
    plan.then = delay_plan::ending::crash;
  else if (luck < settings.crash_rate + settings.hang_rate)
    plan.then = delay_plan::ending::hang;
  else if (luck < settings.crash_rate + settings.hang_rate + settings.fail_rate)
    plan.then = delay_plan::ending::fail;
  return plan;
}

std::optional<step> built_in(const transform_settings& settings) {
  if (settings.use == "identity") return pass_through("identity", hand_on);
  if (settings.use == "delay") {
    auto tuned = settings.delay;
    if (tuned.seed == 0) tuned.seed = random_seed();
    return pass_through("delay", [tuned](const step_input& in) { return delayed(tuned, in); });
  }
  return std::nullopt;
}

} // namespace reseq
