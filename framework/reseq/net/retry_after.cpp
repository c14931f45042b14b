#include "reseq/net/retry_after.hpp"

#include <algorithm>
#include <charconv>
#include <clocale>
#include <cstdint>
#include <ctime>
#include <string>

namespace reseq::net {
namespace {

std::optional<std::chrono::sys_seconds> read_date(const std::string& text) {
  static const auto english = newlocale(LC_ALL_MASK, "C", nullptr);
  for (const auto* const format : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"}) {
    std::tm date{};
    const auto* const end = strptime_l(text.c_str(), format, &date, english);
    if (end == text.c_str() + text.size()) return std::chrono::sys_seconds{std::chrono::seconds{timegm(&date)}};
  }
  return std::nullopt;
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

} // namespace

std::optional<duration> read_retry_after(std::string_view value, wall_time now) {
  constexpr auto longest = std::chrono::duration_cast<std::chrono::seconds>(longest_retry_after);
  if (all_digits(value)) {
    std::uint64_t seconds = 0;
    const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (failed != std::errc{} || seconds > static_cast<std::uint64_t>(longest.count())) return longest;
    return std::chrono::seconds{seconds};
  }
  const auto at = read_date(std::string(value));
  if (!at || *at <= now) return std::nullopt;
  return std::min<wall_time::duration>(*at - now, longest);
}

} // namespace reseq::net
