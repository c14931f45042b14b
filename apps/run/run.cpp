#include <array>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string_view>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include "reseq/config/command_line.hpp"
#include "reseq/config/load.hpp"
#include "reseq/pipeline/builtin.hpp"
#include "reseq/reseq.hpp"
#include "reseq/store/postgres/server_url.hpp"
#include "reseq/store/postgres/table_url.hpp"
#include "reseq/store/redis/server_url.hpp"
#include "reseq/store/redis/stream_receiver.hpp"
#include "run/logging.hpp"
#include "run/main.hpp"
#include "run/own_worker.hpp"
#include "run/programs.hpp"

namespace reseq::apps {
namespace {

std::vector<pipeline_settings> composed_in(const registry& definitions) {
  std::vector<pipeline_settings> all;
  for (const auto& [label, pipeline] : definitions.pipelines()) all.push_back(pipeline.settings);
  return all;
}

std::vector<std::string> transforms_in(const registry& definitions) {
  std::vector<std::string> names(built_in_names.begin(), built_in_names.end());
  for (const auto& [label, registered] : definitions.transforms()) names.push_back(label);
  return names;
}

template <class Url>
config::complaint said_of(const result<Url>& read) {
  return read ? config::complaint{} : read.error().what;
}

/// Of a destination's URL libpq does not see the table.
config::complaint said_by_libpq(std::string_view url) {
  auto table = store::postgres::parse_table_url(url);
  const store::postgres::server_url read(table ? std::move(table->server) : std::string(url));
  return read.mistake().empty() ? config::complaint{} : read.mistake();
}

config::source source_of(const config::command_line& line, const program& who, const registry& definitions) {
  config::source from{line.config, line.sets, config::environment(), transforms_in(definitions)};
  from.reader = who.runs == role::worker ? config::role::worker : config::role::supervisor;
  from.check_redis = [](std::string_view url) { return said_of(store::redis::parse_server_url(url)); };
  from.check_stream = [](std::string_view url) { return said_of(store::redis::parse_stream_url(url)); };
  from.check_postgres = said_by_libpq;
  return from;
}

/// Above those that a child finds things under.
constexpr int least_descriptor = 10;

/// Somewhat more than a configuration may have.
constexpr std::size_t most_copied = 2U << 20U;

/// What the file holds now, in memory: a supervisor's worker is started from it again and again, whatever somebody
/// writes into the file meanwhile. -1 if it cannot be had; whoever reads the file says why.
int copy_of_file(const std::string& path) {
  const int from = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int memory = memfd_create("reseq configuration", MFD_CLOEXEC);
  const int to = fcntl(memory, F_DUPFD_CLOEXEC, least_descriptor);
  std::array<char, 65536> piece{};
  ssize_t size = 0;
  bool whole = from >= 0 && to >= 0;
  for (std::size_t copied = 0; whole && copied < most_copied; copied += static_cast<std::size_t>(size)) {
    size = read(from, piece.data(), piece.size());
    if (size == 0) break;
    whole = size > 0 && write(to, piece.data(), static_cast<std::size_t>(size)) == size;
  }
  for (const auto one : {from, memory, whole ? -1 : to})
    if (one >= 0) close(one);
  return whole ? to : -1;
}

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
  auto from = source_of(line, who, definitions);
  int configuration = -1;
  if (who.runs == role::supervisor && !line.config.empty()) configuration = copy_of_file(line.config);
  if (configuration >= 0) from.copy = "/proc/self/fd/" + std::to_string(configuration);
  if (who.runs == role::worker) from.copy = parents_configuration();
  const auto loaded = config::load(from, composed_in(definitions));
  if (!loaded.problems.empty() || line.check_config) print_warnings(loaded.warnings);
  if (!loaded.problems.empty()) return report(loaded.problems);
  if (line.check_config) {
    std::cout << "the configuration has no problems\n";
    return 0;
  }
  start_logging(loaded.value.log, who.name.c_str());
  for (const auto& warning : loaded.warnings) spdlog::warn("{}", warning.text());
  use_all_descriptors(who.runs == role::worker ? std::vector<pipeline_settings>{} : loaded.value.pipelines);
  if (who.runs == role::worker) return run_worker(loaded.value, definitions, signals);
  if (who.runs == role::both) return run_both(loaded.value, definitions, signals);
  auto command = who.worker_command;
  const auto arguments = forwarded(line);
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run_supervisor(loaded.value, definitions, signals, std::move(command), configuration);
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
