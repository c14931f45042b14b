#include "reseq/core/retry_policy.hpp"

#include <algorithm>
#include <cmath>

namespace reseq::core {
namespace {

/// `base` as it is for try `number`. In floating point, because it is compared with the cap before it is a duration:
/// the thousandth power of two is no reason to overflow.
duration grown(duration base, const retry_settings& policy, attempt number) {
  const auto cap = std::max(policy.max_timeout, duration::zero());
  if (base <= duration::zero()) return duration::zero();
  if (number.value() <= 1 || !(policy.multiplier > 1.0)) return std::min(base, cap);
  const auto factor = std::pow(policy.multiplier, static_cast<double>(number.value() - 1));
  const auto wanted = static_cast<double>(base.count()) * factor;
  if (!(wanted < static_cast<double>(cap.count()))) return cap;
  return duration{static_cast<duration::rep>(wanted)};
}

} // namespace

duration attempt_timeout(const retry_settings& policy, attempt number) { return grown(policy.timeout, policy, number); }

duration retry_delay(const retry_settings& policy, attempt failed, double unit_random) {
  const auto most = grown(policy.jitter, policy, failed);
  if (!(unit_random > 0.0)) return duration::zero();
  if (unit_random >= 1.0) return most;
  return std::min(most, duration{static_cast<duration::rep>(static_cast<double>(most.count()) * unit_random)});
}

bool exhausted(const retry_settings& policy, std::uint32_t failed_attempts, duration since_first) {
  return failed_attempts >= std::max(policy.max_attempts, 1U) && since_first >= policy.give_up_after;
}

} // namespace reseq::core
