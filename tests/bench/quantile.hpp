/// Quantiles of what was measured.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace reseq::bench {

/// The value that a `share` (0 to 1) of them are not above; 0 of none.
inline double quantile(std::span<const double> values, double share) {
  if (values.empty()) return 0;
  std::vector<double> sorted(values.begin(), values.end());
  const auto at = std::min(static_cast<std::size_t>(share * static_cast<double>(sorted.size())), sorted.size() - 1);
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(at), sorted.end());
  return sorted[at];
}

inline double median(std::span<const double> values) { return quantile(values, 0.5); }

inline std::span<const double> first_quarter(std::span<const double> values) { return values.first(values.size() / 4); }
inline std::span<const double> last_quarter(std::span<const double> values) { return values.last(values.size() / 4); }

} // namespace reseq::bench
