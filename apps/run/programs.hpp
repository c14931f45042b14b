/// The long-running programs. Each blocks until it is told to stop and returns the process's exit code.
#pragma once

#include <string>
#include <vector>

#include "reseq/config/settings.hpp"
#include "reseq/pipeline/registry.hpp"
#include "run/configuration.hpp"
#include "run/signals.hpp"

namespace reseq::apps {

/// `worker_command`: how to start the supervisor's own worker, without what only the supervisor knows (where it
/// listens); empty: it starts none. SIGHUP makes it read its configuration again and start anew, in this process.
int run_supervisor(configured with, const configuration_reader& reader, const registry& definitions,
                   stop_signals& signals, std::vector<std::string> worker_command);

int run_worker(const config::settings& settings, const registry& definitions, stop_signals& signals);

/// Both in this process, for debugging: a transform that crashes takes everything with it.
int run_both(configured with, const configuration_reader& reader, const registry& definitions, stop_signals& signals);

} // namespace reseq::apps
