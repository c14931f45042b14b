#include "reseq/config/units.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>

#include "reseq/config/forms.hpp"

namespace reseq::config {
namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::uint64_t second = 1'000'000'000;
constexpr unit durations[] = {{"ns", 1},          {"us", 1'000},         {"ms", 1'000'000},     {"s", second},
                              {"m", 60 * second}, {"h", 3'600 * second}, {"d", 86'400 * second}};

constexpr unit binary_sizes[] = {
  {"B", 1}, {"KiB", 1ULL << 10U}, {"MiB", 1ULL << 20U}, {"GiB", 1ULL << 30U}, {"TiB", 1ULL << 40U}};
constexpr unit sizes[] = {
  {"B", 1},      {"KiB", 1ULL << 10U}, {"MiB", 1ULL << 20U},  {"GiB", 1ULL << 30U},     {"TiB", 1ULL << 40U},
  {"kB", 1'000}, {"MB", 1'000'000},    {"GB", 1'000'000'000}, {"TB", 1'000'000'000'000}};

constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

struct quantity {
  std::string_view noun;    ///< "a duration"
  std::string_view example; ///< "750ms"
  std::span<const unit> units;
};

constexpr quantity a_duration{"a duration", "750ms", durations};
constexpr quantity a_size{"a size", "16MiB", sizes};

std::string unit_names(std::span<const unit> units) {
  std::string names;
  for (const auto& u : units) names += (names.empty() ? "" : ", ") + std::string(u.name);
  return names;
}

result<std::uint64_t> parse(std::string_view text, const quantity& kind) {
  std::uint64_t number = 0;
  const auto* const end = text.data() + text.size();
  const auto [rest, trouble] = std::from_chars(text.data(), end, number);
  if (trouble == std::errc::invalid_argument || (rest != end && (*rest == '.' || *rest == '_'))) {
    return fail(errc::invalid, in_quotes(text) + " is not " + std::string(kind.noun) +
                                 ": a whole number and a unit, for example " + std::string(kind.example));
  }
  const std::string_view name(rest, static_cast<std::size_t>(end - rest));
  if (name.empty()) {
    return fail(errc::invalid, in_quotes(text) + " needs a unit, for example " + std::string(kind.example));
  }
  const auto found = std::ranges::find(kind.units, name, &unit::name);
  if (found == kind.units.end()) {
    return fail(errc::invalid, in_quotes(text) + " has an unknown unit; known are " + unit_names(kind.units));
  }
  if (trouble != std::errc{} || number > largest / found->factor) {
    return fail(errc::invalid, in_quotes(text) + " is too large");
  }
  return number * found->factor;
}

/// Units are in ascending order: the last one that divides the value gives the shortest text.
std::string format(std::uint64_t value, std::span<const unit> units, std::string_view zero) {
  if (value == 0) return std::string(zero);
  const auto* best = &units.front();
  for (const auto& u : units) {
    if (value % u.factor == 0) best = &u;
  }
  return std::to_string(value / best->factor) + std::string(best->name);
}

} // namespace

result<duration> parse_duration(std::string_view text) {
  return parse(text, a_duration).map([](std::uint64_t ns) { return duration(static_cast<std::int64_t>(ns)); });
}

result<std::uint64_t> parse_size(std::string_view text) { return parse(text, a_size); }

std::string format_duration(duration value) {
  return format(static_cast<std::uint64_t>(value.count()), durations, "0s");
}

std::string format_size(std::uint64_t bytes) { return format(bytes, binary_sizes, "0B"); }

} // namespace reseq::config
