/// A PostgreSQL server of a test program's own: in a temporary directory, on a unix socket, ended with the program.
#pragma once

#include <filesystem>
#include <string>

#include <sys/types.h>

namespace reseq::test {

class postgres_server {
public:
  /// The one of this program, started on first use. RESEQ_TEST_POSTGRES names another one to use: a URL without a
  /// database, whose role may create some.
  static postgres_server& shared();

  enum class durability {
    none, ///< survives a kill and no power cut: tests are faster
    full,
  };

  /// Makes the directory and starts the server. Throws what a person should do when that does not work.
  explicit postgres_server(durability wanted = durability::none);
  /// Ends the server and removes the directory.
  ~postgres_server();
  postgres_server(const postgres_server&) = delete;
  postgres_server& operator=(const postgres_server&) = delete;

  /// Where `database` is.
  [[nodiscard]] std::string url(const std::string& database = "postgres") const;
  /// The folder of its socket; empty if it is not ours.
  [[nodiscard]] const std::filesystem::path& socket_directory() const { return directory_; }
  /// Creates an empty database and says where it is.
  std::string create_database();

  /// Of its first process; 0 if it is not ours.
  [[nodiscard]] pid_t pid() const { return process_; }

  void start();
  /// `kill -9` of the server's first process, or the kind of stop that a signal asks for, and waits for the end of all.
  void stop(int signal);

private:
  explicit postgres_server(std::string existing);
  void initialise();
  void wait_until_ready();

  std::string existing_; ///< a server that is not ours
  std::filesystem::path directory_;
  durability durability_ = durability::none;
  pid_t process_ = 0;
  int databases_ = 0;
};

} // namespace reseq::test
