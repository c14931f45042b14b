// What a supervisor and its worker cost while nothing happens: processor time, and how often a thread wakes up, beside
// a process that only sleeps.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "programs.hpp"
#include "report.hpp"

namespace {

using namespace reseq;
using namespace reseq::bench;
using namespace std::chrono_literals;

constexpr auto pipelines = R"([[pipeline]]
name = "bench"
[[pipeline.transform]]
use = "identity"
[[pipeline.destination]]
name = "receiver"
url = "http://127.0.0.1:1/"
)";

struct idler {
  const char* what;
  pid_t process;
  activity before{};
};

/// Sleeps until it is killed.
pid_t start_sleeper() {
  const auto made = fork();
  if (made == 0)
    for (;;) pause();
  return made;
}

void print(const idler& one, double seconds) {
  const auto now = activity_of(one.process);
  const auto cpu_ms = (now.cpu_s - one.before.cpu_s) / seconds * 1e3;
  const auto wake_ups = static_cast<double>(now.wake_ups - one.before.wake_ups) / seconds;
  std::printf("%-12s %14.3f %16.1f\n", one.what, cpu_ms, wake_ups);
  report({std::string{"idle "} + one.what, rounded(cpu_ms, 2) + " ms/s, " + rounded(wake_ups, 0) + " wake-ups/s", "-",
          "-", "about 0"});
}

} // namespace

int main(int argc, char** argv) {
  double seconds = 5;
  std::string program;
  CLI::App app("Processor time and wake-ups of a supervisor and its worker while nothing happens.", "bench-idle");
  app.add_option("--seconds", seconds, "how long to look (default 5)")->check(CLI::Range(0.1, 3600.0));
  app.add_option("--supervisor", program, "the program (default: the one built beside this)")->check(CLI::ExistingFile);
  CLI11_PARSE(app, argc, argv);

  const auto complain = [](const error& e) {
    std::fprintf(stderr, "bench-idle: %s\n", e.text().c_str());
    return 1;
  };
  const auto found = program.empty() ? find_supervisor() : result<std::filesystem::path>(program);
  if (!found) return complain(found.error());
  const folder data;
  const auto running = supervisor::start(*found, data.path(), pipelines);
  if (!running) return complain(running.error());
  const auto sleeper = start_sleeper();
  std::this_thread::sleep_for(2s); // the worker has joined, and what starting left behind is done
  idler idlers[] = {{"supervisor", (*running)->pid()}, {"worker", (*running)->worker_pid()}, {"sleeper", sleeper}};
  for (auto& one : idlers) one.before = activity_of(one.process);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  std::printf("over %.1f s\n\n%-12s %14s %16s\n", seconds, "", "ms of CPU a s", "wake-ups a s");
  for (const auto& one : idlers) print(one, seconds);
  kill(sleeper, SIGKILL);
  waitpid(sleeper, nullptr, 0);
}
