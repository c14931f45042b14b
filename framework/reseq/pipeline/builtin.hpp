/// The transforms that every program has, for trials and tests: `identity` and `delay`.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/settings.hpp"
#include "reseq/pipeline/step.hpp"

namespace reseq {

inline constexpr std::array<std::string_view, 2> built_in_names = {"delay", "identity"};

/// The built-in transform that `settings.use` names, or nothing. Both hand the content on without copying it.
///
/// `delay` takes the calling thread a while and then, by its rates, fails, never returns, or ends the process by
/// `std::abort`. A seed of 0 is replaced by a random one here.
[[nodiscard]] std::optional<step> built_in(const transform_settings& settings);

/// What one attempt of `delay` does.
struct delay_plan {
  enum class ending { succeed, fail, hang, crash };
  duration takes{};
  ending then = ending::succeed;
};

/// A pure function of its arguments: another attempt, another draw. `min` at least 0; a `max` below `min` counts as
/// `min` (as unset, for `exponential`).
[[nodiscard]] delay_plan plan_delay(const delay_settings& settings, std::string_view message_id, attempt number);

} // namespace reseq
