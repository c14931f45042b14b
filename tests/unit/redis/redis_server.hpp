/// A real Redis of the test's own, in a temporary directory, which can be killed, stopped and set back.
#pragma once

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "journal_fixture.hpp"
#include "redis_process.hpp"
#include "reseq/store/redis/connection.hpp"
#include "reseq/store/redis/redis_resequencer.hpp"

namespace reseq::test {

class redis_server {
public:
  /// On a socket, without persistence of its own accord; `more` are further arguments.
  explicit redis_server(std::vector<std::string> more = {});

  [[nodiscard]] store::redis::server_url url() const;
  /// `unix://…`, with what stands before the `@`.
  [[nodiscard]] std::string url_text(const std::string& user = "") const;

  void send(int signal) const { process_->send(signal); }
  /// kill -9, and a new one in its place, with what the last `save` left.
  void restart();
  void forget_saved() const;

  /// What the server answers to an administrator; a failed test if it is an error.
  store::redis::reply ask(const store::redis::command& what);
  std::string ask_text(const store::redis::command& what);
  std::int64_t ask_number(const store::redis::command& what);

private:
  void start();

  scratch_directory directory_;
  std::vector<std::string> more_;
  std::optional<redis_process> process_;
  std::optional<store::redis::connection> admin_;
};

/// Calls that may take long, and no waits between them.
store::redis::client_options patient();

/// Each access by a client of its own.
std::unique_ptr<store::resequencer> access(const store::redis::server_url& where,
                                           const store::redis::client_options& options = patient(),
                                           const shard_id& shard = {"orders", 0}, std::string origin = "ours");

} // namespace reseq::test
