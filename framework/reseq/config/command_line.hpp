/// The command line that `reseq-supervisor` and `reseq-worker` share.
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace reseq::config {

struct program {
  std::string name;    ///< "reseq-supervisor"
  std::string purpose; ///< one sentence for --help
  std::string version; ///< "0.1.0"
};

struct command_line {
  std::string config;            ///< --config FILE; empty: none given
  std::vector<std::string> sets; ///< --set KEY=VALUE, in order
  bool check_config = false;     ///< --check-config: load, print every problem, exit 2 if there are any; start nothing
};

/// The program is to print this and exit: after --help and --version with 0, after bad usage with 2.
struct early_exit {
  int code = 0;
  std::string out; ///< for stdout
  std::string err; ///< for stderr
};

/// Understands `--config`, `--set` (repeatable), `--check-config`, `--help`, `--version`; nothing else.
/// `argv[0]` is skipped. Prints nothing, never throws for what a user wrote.
std::variant<command_line, early_exit> parse_command_line(const program& who, int argc, const char* const* argv);

} // namespace reseq::config
