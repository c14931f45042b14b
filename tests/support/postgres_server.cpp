#include "postgres_server.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reseq/store/postgres/pqxx_versions.hpp"

namespace reseq::test {

namespace fs = std::filesystem;

namespace {

constexpr auto patience = std::chrono::seconds{60};

/// The folder of the server's programs: the newest of Debian's, or what pg_config says.
fs::path programs() {
  fs::path newest;
  std::error_code none;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", none))
    if (fs::exists(version.path() / "bin" / "initdb") &&
        (newest.empty() ||
         std::atoi(version.path().filename().c_str()) > std::atoi(newest.parent_path().filename().c_str())))
      newest = version.path() / "bin";
  if (!newest.empty()) return newest;
  std::array<char, 4096> line{};
  if (FILE* said = popen("pg_config --bindir 2>/dev/null", "r")) {
    if (std::fgets(line.data(), line.size(), said) != nullptr)
      newest = std::string(line.data()).substr(0, std::string(line.data()).find('\n'));
    pclose(said);
  }
  if (newest.empty() || !fs::exists(newest / "initdb"))
    throw std::runtime_error("there is no PostgreSQL server: apps/setup/install-packages test installs one");
  return newest;
}

/// Whom the server runs as: it refuses root.
const passwd* owner() {
  if (geteuid() != 0) return nullptr;
  for (const char* name : {"postgres", "nobody"})
    if (const passwd* found = getpwnam(name)) return found;
  throw std::runtime_error("root needs a user postgres or nobody to run a PostgreSQL server as");
}

/// In the child: becomes that user, dies with the test, says what it says into `log`, and is the program.
[[noreturn]] void become(const std::vector<std::string>& command, const fs::path& log) {
  if (const passwd* user = owner())
    if (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGQUIT); // after the user changed, which clears it
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int in = open("/dev/null", O_RDONLY);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  for (int descriptor = 3; descriptor < 256; ++descriptor) close(descriptor);
  std::vector<char*> arguments;
  for (const auto& one : command) arguments.push_back(const_cast<char*>(one.c_str()));
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

pid_t launch(const std::vector<std::string>& command, const fs::path& log) {
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) become(command, log);
  return child;
}

std::vector<pid_t> children_of(pid_t parent) {
  const auto id = std::to_string(parent);
  std::ifstream file("/proc/" + id + "/task/" + id + "/children");
  return {std::istream_iterator<pid_t>(file), {}};
}

} // namespace

postgres_server& postgres_server::shared() {
  static const char* const existing = std::getenv("RESEQ_TEST_POSTGRES");
  static postgres_server server = existing != nullptr ? postgres_server(std::string(existing)) : postgres_server();
  return server;
}

postgres_server::postgres_server(std::string existing) : existing_(std::move(existing)) {}

postgres_server::postgres_server(durability wanted) : durability_(wanted) {
  std::string name = (fs::temp_directory_path() / "reseq-postgres-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  directory_ = name;
  if (const passwd* user = owner())
    if (chown(name.c_str(), user->pw_uid, user->pw_gid) != 0) throw std::runtime_error("cannot give away " + name);
  initialise();
  start();
}

postgres_server::~postgres_server() {
  if (!existing_.empty()) return;
  if (process_ != 0) stop(SIGQUIT);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

void postgres_server::initialise() {
  const std::vector<std::string> command{(programs() / "initdb").string(),
                                         "--pgdata",
                                         (directory_ / "data").string(),
                                         "--username=reseq",
                                         "--auth=trust",
                                         "--encoding=UTF8",
                                         "--locale=C",
                                         "--no-sync",
                                         "--no-instructions"};
  int status = 0;
  waitpid(launch(command, directory_ / "initdb.log"), &status, 0);
  if (status != 0) throw std::runtime_error("initdb failed: see " + (directory_ / "initdb.log").string());
}

void postgres_server::start() {
  const char* const fsync = durability_ == durability::full ? "fsync=on" : "fsync=off";
  const std::vector<std::string> command{(programs() / "postgres").string(),
                                         "-D",
                                         (directory_ / "data").string(),
                                         "-k",
                                         directory_.string(),
                                         "-h",
                                         "",
                                         "-c",
                                         fsync,
                                         "-c",
                                         "max_connections=50"};
  process_ = launch(command, directory_ / "server.log");
  wait_until_ready();
}

void postgres_server::wait_until_ready() {
  for (const auto end = std::chrono::steady_clock::now() + patience;;) {
    try {
      const pqxx::connection probe(url());
      return;
    } catch (const std::exception& e) {
      if (std::chrono::steady_clock::now() > end || waitpid(process_, nullptr, WNOHANG) != 0)
        throw std::runtime_error("PostgreSQL does not start: see " + (directory_ / "server.log").string() + ": " +
                                 e.what());
      std::this_thread::sleep_for(std::chrono::milliseconds{10}); // for another process; there is no event
    }
  }
}

/// After the end of the first process the others notice by themselves, and no new server starts before they have ended.
void postgres_server::stop(int signal) {
  const auto others = children_of(process_);
  kill(process_, signal);
  waitpid(process_, nullptr, 0);
  process_ = 0;
  const auto ended = [](pid_t one) { return kill(one, 0) != 0; };
  for (const auto end = std::chrono::steady_clock::now() + patience; !std::ranges::all_of(others, ended);) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("PostgreSQL's processes do not end");
    std::this_thread::sleep_for(std::chrono::milliseconds{1}); // for other processes; there is no event
  }
}

std::string postgres_server::url(const std::string& database) const {
  if (!existing_.empty()) return existing_ + "/" + database;
  return "postgresql:///" + database + "?host=" + directory_.string() + "&user=reseq";
}

std::string postgres_server::create_database() {
  const std::string name = "test_" + std::to_string(getpid()) + "_" + std::to_string(++databases_);
  pqxx::connection db(url());
  pqxx::nontransaction tx(db);
  tx.exec("CREATE DATABASE " + name + " TEMPLATE template0 ENCODING 'UTF8'");
  return url(name);
}

} // namespace reseq::test
