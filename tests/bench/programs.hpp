/// Runs a real reseq-supervisor for a benchmark, with a configuration and data of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <sys/types.h>

#include "reseq/model/error.hpp"

namespace reseq::bench {

/// A new folder for temporary data, removed with everything in it.
class folder {
public:
  /// Under `parent`, which should lie on the disk that is to be measured. Ends the program if that cannot be.
  explicit folder(const std::filesystem::path& parent = std::filesystem::temp_directory_path());
  ~folder();
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

/// The supervisor beside this program, or where the build tree has it; `errc::not_found` says where it was looked for.
result<std::filesystem::path> find_supervisor();

/// Processor time in seconds, user and system, that a process has used; 0 when it has ended.
double cpu_seconds(pid_t process);

/// What a process's threads have done since they started.
struct activity {
  double cpu_s = 0;
  std::uint64_t wake_ups = 0; ///< how often one of them gave up its processor to wait
};

/// Nothing when the process has ended.
activity activity_of(pid_t process);

/// A running supervisor and the worker it started. It ends with this object, and with this program whatever happens.
class supervisor {
public:
  /// Starts `program` with data in `data` and any free ports, and returns when it is ready. `tables` is the rest of the
  /// configuration: `[store]`, `[worker]` and the pipelines. `errc::unavailable` holds what it logged.
  static result<std::unique_ptr<supervisor>> start(const std::filesystem::path& program,
                                                   const std::filesystem::path& data, const std::string& tables);
  /// Stops it and waits until it has ended.
  ~supervisor();
  supervisor(const supervisor&) = delete;
  supervisor& operator=(const supervisor&) = delete;

  /// "host:port".
  [[nodiscard]] const std::string& http() const { return http_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Its own worker; -1 when there is none.
  [[nodiscard]] pid_t worker_pid() const;
  /// What it logged last. Any thread.
  [[nodiscard]] std::string log() const;

private:
  supervisor() = default;
  void read_log(int from);

  pid_t pid_ = -1;
  std::string http_;
  std::promise<std::string> ready_; ///< the address, or nothing when it ended before
  mutable std::mutex mutex_;
  std::string log_;
  std::thread reader_;
};

} // namespace reseq::bench
