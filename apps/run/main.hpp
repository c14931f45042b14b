/// From `main` to a running program.
#pragma once

#include <string>
#include <vector>

#include "reseq/pipeline/registry.hpp"

namespace reseq::apps {

enum class role { supervisor, worker, both };

struct program {
  std::string name;    ///< as in usage and logs
  std::string purpose; ///< one sentence for --help
  role runs = role::supervisor;
  std::vector<std::string> worker_command; ///< how a supervisor starts its own worker
};

/// The path of the program that runs now.
std::string own_path();

/// Reads command line and configuration and runs the program; returns its exit code. Call before any thread exists.
int run_program(const program& who, int argc, const char* const* argv, const registry& definitions);

} // namespace reseq::apps
