/// The state of one client: its connection and the request under way. On the loop's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "reseq/net/detail/asio.hpp"
#include "reseq/net/detail/connector.hpp"
#include "reseq/net/detail/http_answer.hpp"
#include "reseq/net/detail/input_buffer.hpp"
#include "reseq/net/detail/loop_core.hpp"
#include "reseq/net/detail/name_cache.hpp"
#include "reseq/net/http_client.hpp"

namespace reseq::net::detail {

/// A request under way. Not inside the class, where clang 14 cannot make one.
struct client_exchange {
  client_request request;
  std::string head;
  http_client::done_handler done;
  duration timeout{};
  std::size_t written = 0;
  bool sent_again = false;

  answer_reader answer;
};

class client_core : public std::enable_shared_from_this<client_core> {
public:
  client_core(loop_core& on, url origin, client_limits limits);

  void send(client_request request, duration timeout, http_client::done_handler done);
  void close();
  void shut_down(); ///< closes and forgets the request under way

private:
  /// One TCP connection. A read is always under way once it is connected, so that a peer that closes it between two
  /// requests is noticed; handlers of an earlier link find that it is not the current one.
  struct link {
    explicit link(asio::io_context& io) : connection(io) {}

    socket connection;
    input_buffer in;
    std::shared_ptr<connector> connecting;
    bool connected = false;
    bool used = false;           ///< has answered a request before the one under way
    bool answer_started = false; ///< a byte of the answer under way came
    bool written = false;        ///< all of the request under way
  };
  using link_ptr = std::shared_ptr<link>;

  void connect();
  void connect(const link_ptr& to, const addresses& found);
  void connected(const link_ptr& to, socket connection);
  [[nodiscard]] const char* too_slow() const;
  void start_writing();
  [[nodiscard]] bool quiet() const;
  void write();
  void read(const link_ptr& from);
  void received(const link_ptr& from, error_code failed, std::size_t size);
  void take_answer();
  void broken(error_code why);
  void drop_link();
  void close_when_idle();
  void fail_exchange(std::string what, errc code = errc::unavailable);
  void finish(result<client_answer> outcome);

  asio::io_context& io_;
  name_cache& names_;
  const url origin_;
  const client_limits limits_;
  timer timer_;
  link_ptr link_;
  std::optional<client_exchange> exchange_;
  bool shut_down_ = false;
  std::uint64_t exchanges_ = 0; ///< numbers them: a timeout knows whether it is still meant
};

} // namespace reseq::net::detail
