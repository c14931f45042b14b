/// How long a chain takes lately: its 95th percentile, from a stream of samples.
///
/// A value of some 200 bytes. A histogram with buckets that grow geometrically, four to a doubling, as HdrHistogram's
/// (Gil Tene, https://hdrhistogram.org), whose counts are halved now and then, so that old samples are forgotten
/// exponentially (Cormode, Shkapenyuk, Srivastava, Xu: Forward Decay, ICDE 2009, with samples for time).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "reseq/model/clock.hpp"

namespace reseq::core {

class work_times {
public:
  /// From 16 µs to a minute; what is shorter or longer counts as that.
  void add(duration took);

  /// Within a quarter of the true one, of the last thousand samples or so. Nothing before the 20th.
  [[nodiscard]] std::optional<duration> p95() const { return p95_; }

private:
  static constexpr std::size_t bucket_count = 93;

  static std::size_t bucket_of(duration took);
  void forget_half();
  void update();

  std::array<std::uint16_t, bucket_count> counts_{};
  std::uint32_t total_ = 0;
  std::uint32_t since_update_ = 0;
  std::optional<duration> p95_;
};

} // namespace reseq::core
