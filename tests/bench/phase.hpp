/// Messages submitted at their due times, whatever becomes of earlier ones, to a real supervisor; and the same messages
/// worked on one at a time, at the same time. How late each was, beside the ideal schedule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/settings.hpp"

namespace reseq::bench {

struct phase {
  std::size_t messages = 0;
  duration interval{};     ///< between two messages' due times
  delay_settings work;     ///< each message's, known beforehand because of its seed
  std::uint32_t batch = 1; ///< of the destination
  std::string store{};     ///< the configuration's table
  bool hedge = true;       ///< off where a second attempt draws another time, which could beat the ideal
};

/// In milliseconds, in order of delivery; `ideal` and `overhead` make up `latency`.
struct delays {
  std::vector<double> latency;  ///< arrival − due time
  std::vector<double> ideal;    ///< the latest finish (due time + work) among predecessors and itself − due time
  std::vector<double> overhead; ///< what the system added
};

struct outcome {
  delays reseq;
  std::size_t most_connections = 0;  ///< that the producer used at once
  std::vector<double> producer_late; ///< how long after its due time each message was handed to a connection
  std::vector<double> one_at_a_time; ///< latency of those that one worker finished in the same time
  std::vector<double> overslept;     ///< how much longer than asked for its sleeps took
};

/// Takes as long as the last message is due and worked on. Every message must arrive, once, in order; else an error.
result<outcome> run(const phase& wanted, const std::filesystem::path& supervisor, const std::filesystem::path& scratch);

} // namespace reseq::bench
