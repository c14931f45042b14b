/// A Redis that comes and goes: connects when it is needed, runs scripts and commands, and after a failure waits a
/// little longer each time before it tries again, on another connection unless it only has no room.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/redis/connection.hpp"
#include "reseq/store/redis/scripts.hpp"
#include "reseq/store/redis/server_url.hpp"

namespace reseq::store::redis {

struct client_options {
  duration timeout = std::chrono::milliseconds{200};      ///< of connecting, and again of each call
  duration shortest_wait = std::chrono::milliseconds{50}; ///< after the first failure; doubles with each further one …
  duration longest_wait = std::chrono::seconds{5};        ///< … up to this; each shortened at random by up to a half
  std::uint64_t seed = 0;                                 ///< of that
};

class client {
public:
  client(server_url where, const client_options& options);

  /// Sends all of `commands`, and waits for their answers. While the wait after a failure lasts, `errc::unavailable` at
  /// once, with that failure. After that error any of them may have been done, or be done later. An answer that is an
  /// error ends it with that error.
  result<std::vector<reply>> run(std::span<const command> commands);
  /// The same for calls of `what`, each EVALSHA and its SHA-1 first. Redis may have forgotten the script; then it is
  /// told again, and all of the calls run again.
  result<std::vector<reply>> run(const script& what, std::span<const command> calls);

  /// Until when calls are refused; absent when the next one is tried.
  [[nodiscard]] std::optional<time_point> waits_until() const;
  /// How often it has connected.
  [[nodiscard]] std::uint64_t connects() const { return connects_; }

private:
  result<void> connect();
  result<void> load(const script& what);
  result<std::vector<reply>> exchange(std::span<const command> commands);
  result<std::vector<reply>> without_errors(std::vector<reply> answers);
  void wait_longer();
  tl::unexpected<error> failed(error why);

  server_url where_;
  client_options options_;
  std::minstd_rand random_;
  std::optional<connection> connection_;
  std::uint64_t connects_ = 0;
  std::uint32_t failures_ = 0; ///< in a row
  time_point not_before_{};
  std::string last_failure_;
};

} // namespace reseq::store::redis
