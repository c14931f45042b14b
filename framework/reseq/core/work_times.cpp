#include "reseq/core/work_times.hpp"

#include <algorithm>
#include <bit>

namespace reseq::core {
namespace {

constexpr std::int64_t unit_ns = 1 << 14;
constexpr std::uint32_t enough = 20;
constexpr std::uint32_t too_many = 1024;
/// An update looks at up to a hundred buckets.
constexpr std::uint32_t samples_an_update = 64;
constexpr std::uint32_t samples_an_early_update = 16;

/// Where a bucket begins, in units: 1, 1.25, 1.5, 1.75, 2, 2.5, …
double beginning_of(std::size_t bucket) {
  if (bucket == 0) return 0;
  const auto quarter = bucket - 1;
  return static_cast<double>(4 + quarter % 4) / 4 * static_cast<double>(1ULL << (quarter / 4));
}

} // namespace

std::size_t work_times::bucket_of(duration took) {
  const auto quarters = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)) / (unit_ns / 4);
  if (quarters < 4) return 0;
  const auto doublings = static_cast<std::size_t>(std::bit_width(quarters)) - 3;
  const auto quarter = static_cast<std::size_t>(quarters >> doublings) - 4;
  return std::min(1 + doublings * 4 + quarter, bucket_count - 1);
}

void work_times::add(duration took) {
  ++counts_[bucket_of(took)];
  if (++total_ >= too_many) forget_half();
  const auto often_enough = total_ < too_many / 4 ? samples_an_early_update : samples_an_update;
  if (total_ >= enough && (!p95_ || ++since_update_ >= often_enough)) update();
}

void work_times::forget_half() {
  total_ = 0;
  for (auto& count : counts_) total_ += count /= 2;
}

void work_times::update() {
  since_update_ = 0;
  const auto above = total_ / 20; // samples that may be longer
  std::uint32_t passed = 0;
  auto bucket = bucket_count;
  while (bucket > 0 && passed + counts_[bucket - 1] <= above) passed += counts_[--bucket];
  if (bucket == 0) return;
  // Samples are taken to be spread evenly over their bucket.
  const auto low = beginning_of(bucket - 1);
  const auto high = beginning_of(bucket);
  const auto part = 1 - static_cast<double>(above - passed) / counts_[bucket - 1];
  p95_ = duration{static_cast<std::int64_t>((low + (high - low) * part) * static_cast<double>(unit_ns))};
}

} // namespace reseq::core
