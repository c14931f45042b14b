/// A connection that comes back by itself: a thread connects anew, with growing and random pauses, while whoever needs
/// it is told at once that it is away.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <stop_token>
#include <string>
#include <thread>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/listener.hpp"

namespace reseq::store::postgres {

/// Pauses between attempts: doubling from `shortest` to `longest`, each up to half as long again at random.
class backoff {
public:
  static constexpr std::chrono::milliseconds shortest{50};
  static constexpr std::chrono::milliseconds longest{2000};

  explicit backoff(std::uint64_t seed) : random_(seed) {}
  std::chrono::milliseconds next();
  void worked() { pause_ = shortest; }

private:
  std::mt19937_64 random_;
  std::chrono::milliseconds pause_ = shortest;
};

/// Used by one thread at a time.
///
/// After a connection that lost its session only one whose session stays its own is taken: a pooler that gives
/// transactions different sessions is named, and the server is away, for as long as it does that.
class link {
public:
  /// Takes over a connection that works; those after it are as patient. `what_for` names it in news.
  link(const server_url& url, std::unique_ptr<database> connected, std::string what_for, listener tell);
  ~link();
  link(const link&) = delete;
  link& operator=(const link&) = delete;

  /// The connection, waiting for it at most `longest`; `errc::unavailable` says why there is none. It stays the
  /// caller's until the next call, which replaces one that broke.
  result<database*> get(std::chrono::milliseconds longest = {});
  /// Whether the connection that `get` gave last has broken since.
  [[nodiscard]] bool has_just_broken() const { return current_ && current_->broken(); }
  /// Counts connections: another number means that the session is a new one.
  [[nodiscard]] std::uint64_t session() const { return session_; }

private:
  void give_up_current();
  void connect_again(const std::stop_token& stop);

  const server_url& url_;
  std::string what_for_;
  listener tell_;
  silence_limit longest_silence_;
  std::unique_ptr<database> current_; ///< the caller's
  std::uint64_t session_ = 1;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool wanted_ = false;
  bool suspects_pooler_ = false;
  std::unique_ptr<database> next_;
  std::string why_; ///< the last attempt failed
  std::jthread thread_;
};

} // namespace reseq::store::postgres
