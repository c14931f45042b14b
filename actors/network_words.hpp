/// CAF's errors of the network as sentences for whoever runs the programs; CAF's own words go to the log at debug.
#pragma once

#include <string>

#include <caf/error.hpp>

namespace reseq::actors {

/// Why a worker has not got a connection to a supervisor's `cluster.listen`, and what to look at.
std::string why_not_connected(const caf::error& why);

/// Why a process that was connected is gone.
std::string why_gone(const caf::error& why);

} // namespace reseq::actors
