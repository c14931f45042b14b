/// What the machine itself takes for the two things of which a message's latency is made: a sync, and a thread that is
/// woken. Both differ by several times between machines.
#pragma once

#include <filesystem>
#include <vector>

namespace reseq::bench {

struct host_times {
  std::vector<double> sync_ms;    ///< 8 KB are written over a file's blocks, and synced
  std::vector<double> wake_up_ms; ///< a thread that waits for a condition goes on
};

/// One after the other with pauses, as messages come that find everything idle; half a second. The file is in `folder`,
/// and is removed; throws `std::runtime_error` when it cannot be written.
host_times measure_host(const std::filesystem::path& folder);

} // namespace reseq::bench
