/// hiredis as values that clean up after themselves. The one place that knows which hiredis is installed (0.14 or 1.x,
/// with or without TLS); nothing else includes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/redis/command.hpp"

struct redisContext;
struct redisReply;

namespace reseq::store::redis {

/// What Redis answered to one command.
class reply {
public:
  enum class kind { nil, integer, text, error, list };

  explicit reply(redisReply* owned);

  [[nodiscard]] kind type() const;
  [[nodiscard]] std::string_view text() const; ///< of a text, a status or an error; else empty
  [[nodiscard]] std::int64_t integer() const;  ///< 0 when it is none
  [[nodiscard]] std::size_t size() const;      ///< of a list; else 0
  /// A part of a list, which must outlive it.
  [[nodiscard]] reply operator[](std::size_t i) const;

private:
  struct free_reply {
    void operator()(redisReply* owned) const;
  };

  explicit reply(const redisReply* part) : seen_(part) {}

  std::unique_ptr<redisReply, free_reply> owned_;
  const redisReply* seen_;
};

/// A connected socket with hiredis's buffers. Every call ends by `until`. After an error only destroying is left. The
/// process ignores SIGPIPE, which hiredis raises when the other side is gone.
class channel {
public:
  static result<channel> connect_tcp(const std::string& host, std::uint16_t port, time_point until);
  static result<channel> connect_unix(const std::string& path, time_point until);

  /// Whether this build can do it.
  static bool has_tls();
  /// The server's certificate must be of `host`, and the system must trust it.
  result<void> start_tls(const std::string& host, time_point until);

  /// Adds a command to what is sent next.
  void append(const command& what);
  /// Sends what was appended, and waits for the next answer.
  result<reply> receive(time_point until);

private:
  struct free_context {
    void operator()(redisContext* context) const;
  };

  explicit channel(redisContext* connected) : context_(connected) {}
  static result<channel> adopt(redisContext* connected, const std::string& where);
  result<void> exchange(time_point until);

  std::unique_ptr<redisContext, free_context> context_;
};

} // namespace reseq::store::redis
