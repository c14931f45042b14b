/// The servers that the production stores need, of a benchmark's own: on unix sockets, gone with the object.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "postgres_server.hpp"
#include "redis_process.hpp"

namespace reseq::bench {

class store_servers {
public:
  /// Their data lies in `scratch`'s file system, or the temporary directory's for PostgreSQL. `commit_delay_us` is
  /// added to each of PostgreSQL's commits, as a slower disk would. PostgreSQL has a gigabyte of old log to write over.
  /// Redis has `appendonly yes`, `appendfsync everysec`.
  store_servers(const std::filesystem::path& scratch, std::uint32_t commit_delay_us);

  /// What a supervisor is configured with: empty databases, other ones each time; at most 16 times.
  std::string new_table();
  /// Where an empty database is.
  std::string new_database() { return postgres_.create_database(); }

  /// Processor time in seconds of all of the server's processes.
  [[nodiscard]] double postgres_cpu_s() const;
  [[nodiscard]] double redis_cpu_s() const;

private:
  test::postgres_server postgres_{test::postgres_server::durability::full};
  std::filesystem::path redis_socket_;
  test::redis_process redis_;
  int tables_ = 0;
};

} // namespace reseq::bench
