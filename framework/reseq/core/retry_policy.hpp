/// How long an attempt may take, when the next one starts, and when to stop trying. Pure functions.
#pragma once

#include <cstdint>

#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/settings.hpp"

namespace reseq::core {

/// How long attempt `number` (the first is 1) may go unanswered: `timeout`, multiplied with each attempt after the
/// first, at most `max_timeout`.
[[nodiscard]] duration attempt_timeout(const retry_settings& policy, attempt number);

/// How long to wait after attempt `failed` (the first is 1) before the next: the share `unit_random` (0 to 1, clamped)
/// of `jitter`, which grows like the timeout and is at most `max_timeout`.
[[nodiscard]] duration retry_delay(const retry_settings& policy, attempt failed, double unit_random);

/// Whether `failed_attempts` are enough, `since_first` after the first attempt started: at least `max_attempts`, and
/// not before `give_up_after`.
[[nodiscard]] bool exhausted(const retry_settings& policy, std::uint32_t failed_attempts, duration since_first);

} // namespace reseq::core
