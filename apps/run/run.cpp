#include <filesystem>
#include <iostream>
#include <string_view>
#include <utility>

#include <sys/resource.h>

#include <spdlog/spdlog.h>

#include "reseq/config/command_line.hpp"
#include "reseq/reseq.hpp"
#include "run/configuration.hpp"
#include "run/logging.hpp"
#include "run/main.hpp"
#include "run/programs.hpp"

namespace reseq::apps {
namespace {

/// What the child must be told of this process's command line.
std::vector<std::string> forwarded(const config::command_line& line) {
  std::vector<std::string> arguments;
  if (!line.config.empty()) arguments.insert(arguments.end(), {"--config", line.config});
  for (const auto& set : line.sets) arguments.insert(arguments.end(), {"--set", set});
  return arguments;
}

int print(const config::early_exit& what) {
  std::cout << what.out;
  std::cerr << what.err;
  return what.code;
}

/// What a supervisor opens besides its destinations: its journal, its workers, some producers.
constexpr std::size_t descriptors_besides = 256;

/// Each connection is a descriptor. The limit that programs start with suits `select`; with it, a thousand idle
/// producers would leave none for the receivers.
void use_all_descriptors(const std::vector<pipeline_settings>& pipelines) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) spdlog::warn("the limit of open files stays at its default");
  std::size_t destinations = 0;
  for (const auto& one : pipelines) destinations += one.destinations.size();
  if (destinations + descriptors_besides > limit.rlim_max)
    spdlog::warn("{} destinations want a connection or a file each, and this process may open {}: raise the limit "
                 "(LimitNOFILE= of the service, or ulimit -Hn)",
                 destinations, limit.rlim_max);
}

void print_warnings(const std::vector<config::problem>& warnings) {
  for (const auto& warning : warnings) std::cerr << "warning: " << warning.text() << '\n';
}

int report(const std::vector<config::problem>& problems) {
  for (const auto& problem : problems) std::cerr << problem.text() << '\n';
  std::cerr << problems.size() << (problems.size() == 1 ? " problem" : " problems") << " in the configuration\n";
  return 2;
}

} // namespace

std::string own_path() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

int run_program(const program& who, int argc, const char* const* argv, const registry& definitions) {
  stop_signals signals;
  const auto parsed = config::parse_command_line({who.name, who.purpose, RESEQ_VERSION}, argc, argv);
  if (const auto* done = std::get_if<config::early_exit>(&parsed)) return print(*done);
  const auto& line = std::get<config::command_line>(parsed);
  const configuration_reader reader(who, line, definitions);
  auto [with, loaded] = reader.read();
  if (!loaded.problems.empty() || line.check_config) print_warnings(loaded.warnings);
  if (!loaded.problems.empty()) return report(loaded.problems);
  if (line.check_config) {
    std::cout << "the configuration has no problems\n";
    return 0;
  }
  start_logging(with.settings.log, who.name.c_str());
  for (const auto& warning : loaded.warnings) spdlog::warn("{}", warning.text());
  use_all_descriptors(who.runs == role::worker ? std::vector<pipeline_settings>{} : with.settings.pipelines);
  if (who.runs == role::worker) return run_worker(with.settings, definitions, signals);
  if (who.runs == role::both) return run_both(std::move(with), reader, definitions, signals);
  auto command = who.worker_command;
  const auto arguments = forwarded(line);
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run_supervisor(std::move(with), reader, definitions, signals, std::move(command));
}

} // namespace reseq::apps

namespace reseq {

int run(int argc, char** argv, registry definitions) {
  using apps::role;
  const std::string self = argc > 0 ? std::filesystem::path{argv[0]}.filename().string() : "reseq";
  const std::string_view command = argc > 1 ? argv[1] : "";
  const auto go = [&](role runs, const char* purpose) {
    const apps::program who{self + " " + std::string{command}, purpose, runs, {apps::own_path(), "worker"}};
    return apps::run_program(who, argc - 1, argv + 1, definitions);
  };
  if (command == "supervisor")
    return go(role::supervisor, "Takes messages in, has them transformed in parallel, delivers them in order.");
  if (command == "worker") return go(role::worker, "Connects to the supervisors and runs transforms.");
  if (command == "run") return go(role::both, "Supervisor and worker in one process, for development.");
  if (command == "--version") {
    std::cout << self << ", with reseq " RESEQ_VERSION "\n";
    return 0;
  }
  const bool asked = command == "--help" || command == "-h";
  if (!asked && !command.empty()) std::cerr << self << ": there is no command " << command << '\n';
  (asked ? std::cout : std::cerr) << "usage: " << self
                                  << " COMMAND [OPTIONS]\n\n"
                                     "  supervisor  take messages in, dispatch them to workers, deliver in order\n"
                                     "  worker      connect to the supervisors and run transforms\n"
                                     "  run         both in one process\n\n"
                                     "Each takes --help and --version.\n";
  return asked ? 0 : 2;
}

} // namespace reseq
