#include "programs.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace reseq::bench {
namespace {

namespace fs = std::filesystem;

constexpr auto patience = std::chrono::seconds{20};
constexpr std::size_t log_kept = 4096;

/// The fields of /proc/PID/stat from the state on; none when the process is gone.
std::vector<std::string> stat_fields(const std::string& process) {
  std::ifstream file("/proc/" + process + "/stat");
  std::string line;
  std::getline(file, line);
  std::vector<std::string> fields;
  const auto name_end = line.rfind(')'); // a name may hold spaces and brackets
  if (name_end == std::string::npos) return fields;
  for (std::size_t at = name_end + 2; at < line.size();) {
    const auto space = std::min(line.find(' ', at), line.size());
    fields.push_back(line.substr(at, space - at));
    at = space + 1;
  }
  return fields;
}

bool write_config(const fs::path& file, const fs::path& data, const std::string& tables) {
  std::ofstream out(file);
  out << "[node]\nname = \"bench\"\ndata_dir = \"" << data.string() << "\"\ndrain_timeout = \"1s\"\n"
      << "[http]\nlisten = \"127.0.0.1:0\"\n[cluster]\nlisten = \"127.0.0.1:0\"\n"
      << tables;
  out.flush();
  return out.good();
}

/// Only what may be called between fork and exec.
[[noreturn]] void become(char* const* arguments, int log) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  dup2(log, STDERR_FILENO);
  execv(arguments[0], arguments);
  _exit(127);
}

std::optional<std::string> address_of(std::string_view line) {
  constexpr std::string_view mark = "ready http=";
  const auto at = line.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  line.remove_prefix(at + mark.size());
  return std::string{line.substr(0, line.find_first_of(" \n"))};
}

} // namespace

folder::folder(const fs::path& parent) {
  std::string name = (parent / "reseq-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    std::fprintf(stderr, "cannot make a folder %s: %s\n", name.c_str(), std::strerror(errno));
    std::exit(1);
  }
  path_ = name;
}

folder::~folder() {
  std::error_code ignored; // what is left in the temporary folder does no harm
  fs::remove_all(path_, ignored);
}

result<fs::path> find_supervisor() {
  std::error_code failed;
  const auto here = fs::read_symlink("/proc/self/exe", failed).parent_path();
  const auto beside = here / "reseq-supervisor";
  const auto built = here.parent_path().parent_path() / "apps" / "reseq-supervisor";
  for (const auto& one : {beside, built})
    if (fs::exists(one, failed)) return one;
  return fail(errc::not_found, "neither " + beside.string() + " nor " + built.string() + " is there", "--supervisor");
}

double cpu_seconds(pid_t process) {
  constexpr std::size_t user = 11; // of the fields behind the name
  const auto fields = stat_fields(std::to_string(process));
  if (fields.size() <= user + 1) return 0;
  const auto ticks =
    std::strtoull(fields[user].c_str(), nullptr, 10) + std::strtoull(fields[user + 1].c_str(), nullptr, 10);
  return static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

activity activity_of(pid_t process) {
  activity all;
  std::error_code ignored;
  for (const auto& thread : fs::directory_iterator("/proc/" + std::to_string(process) + "/task", ignored)) {
    std::uint64_t run_ns = 0;
    if (std::ifstream file(thread.path() / "schedstat"); file >> run_ns) all.cpu_s += static_cast<double>(run_ns) / 1e9;
    std::ifstream file(thread.path() / "status");
    constexpr std::string_view mark = "voluntary_ctxt_switches:";
    for (std::string line; std::getline(file, line);)
      if (line.starts_with(mark)) all.wake_ups += std::strtoull(line.c_str() + mark.size(), nullptr, 10);
  }
  return all;
}

result<std::unique_ptr<supervisor>> supervisor::start(const fs::path& program, const fs::path& data,
                                                      const std::string& tables) {
  const auto config = data / "bench.toml";
  if (!write_config(config, data, tables)) return fail(errc::unavailable, "cannot be written", config.string());
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) != 0) return fail(errc::unavailable, std::strerror(errno), "pipe");
  std::string texts[] = {program.string(), "--config", config.string()};
  char* const arguments[] = {texts[0].data(), texts[1].data(), texts[2].data(), nullptr};

  std::unique_ptr<supervisor> made(new supervisor);
  made->pid_ = fork();
  if (made->pid_ == 0) become(arguments, pipe[1]);
  close(pipe[1]);
  auto ready = made->ready_.get_future();
  made->reader_ = std::thread{[self = made.get(), from = pipe[0]] { self->read_log(from); }};
  if (ready.wait_for(patience) == std::future_status::ready) made->http_ = ready.get();
  if (made->http_.empty()) return fail(errc::unavailable, "did not get ready:\n" + made->log(), program.string());
  return made;
}

supervisor::~supervisor() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (reader_.joinable()) reader_.join();
}

pid_t supervisor::worker_pid() const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const auto name = entry.path().filename().string();
    if (std::isdigit(static_cast<unsigned char>(name.front())) == 0) continue;
    const auto fields = stat_fields(name);
    if (fields.size() > 1 && fields[1] == std::to_string(pid_)) return static_cast<pid_t>(std::atoi(name.c_str()));
  }
  return -1;
}

std::string supervisor::log() const {
  const std::lock_guard hold{mutex_};
  return log_;
}

void supervisor::read_log(int from) {
  bool told = false;
  std::FILE* lines = fdopen(from, "r");
  char* line = nullptr;
  std::size_t room = 0;
  while (getline(&line, &room, lines) > 0) {
    const auto address = told ? std::nullopt : address_of(line);
    const std::lock_guard hold{mutex_};
    log_ += line;
    if (log_.size() > 2 * log_kept) log_.erase(0, log_.size() - log_kept);
    if (!address) continue;
    ready_.set_value(*address);
    told = true;
  }
  if (!told) ready_.set_value({});
  std::free(line);
  std::fclose(lines);
}

} // namespace reseq::bench
