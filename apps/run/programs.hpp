/// The two long-running programs. Each blocks until it is told to stop and returns the process's exit code.
#pragma once

#include <string>
#include <vector>

#include "reseq/config/settings.hpp"
#include "reseq/pipeline/registry.hpp"
#include "run/signals.hpp"

namespace reseq::apps {

/// `worker_command`: how to start the supervisor's own worker, without what only the supervisor knows (where it
/// listens); empty: it starts none. `configuration`: as `own_worker` wants it.
int run_supervisor(const config::settings& settings, const registry& definitions, stop_signals& signals,
                   std::vector<std::string> worker_command, int configuration);

int run_worker(const config::settings& settings, const registry& definitions, stop_signals& signals);

/// Both in this process, for debugging: a transform that crashes takes everything with it.
int run_both(const config::settings& settings, const registry& definitions, stop_signals& signals);

} // namespace reseq::apps
