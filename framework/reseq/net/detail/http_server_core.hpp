/// What the connections of one server share.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "reseq/net/detail/asio.hpp"
#include "reseq/net/detail/byte_budget.hpp"
#include "reseq/net/detail/loop_core.hpp"
#include "reseq/net/http_server.hpp"

namespace reseq::net::detail {

class http_session;

/// Accepts connections, keeps them, and ends those whose time is up. All on the loop's thread but `open` and `port`.
class server_core : public std::enable_shared_from_this<server_core> {
public:
  server_core(loop& on, server_options options, http_server::handler handle, http_server::closed_handler closed,
              http_server::problem_renderer problem);
  ~server_core();
  server_core(const server_core&) = delete;
  server_core& operator=(const server_core&) = delete;

  result<void> open();
  [[nodiscard]] std::uint16_t port() const { return port_; }

  void accept();
  void stop_accepting();
  void drained(std::function<void()> done);
  void shut_down();

  // What follows is for the connections.
  [[nodiscard]] const server_options& options() const { return options_; }
  [[nodiscard]] byte_budget& bodies() { return bodies_; }
  [[nodiscard]] byte_budget& handling() { return handling_; }
  [[nodiscard]] const std::shared_ptr<loop_gate>& gate() const { return gate_; }
  [[nodiscard]] bool draining() const { return draining_; }
  [[nodiscard]] http_response problem(unsigned status, std::string what) const;
  [[nodiscard]] std::string_view date();
  void handle(http_request request, responder answer) const { handle_(std::move(request), std::move(answer)); }
  void began() { ++under_way_; }
  void ended();
  void gone(std::uint64_t connection);

private:
  result<tcp::endpoint> resolve() const;
  void accepted(socket connected);
  void accept_again_later();
  void watch_deadlines();
  void sweep();

  asio::io_context& io_;
  std::shared_ptr<loop_gate> gate_;
  server_options options_;
  http_server::handler handle_;
  http_server::closed_handler closed_;
  http_server::problem_renderer problem_;

  acceptor acceptor_;
  timer accept_timer_;
  timer sweep_timer_;
  byte_budget bodies_;
  byte_budget handling_;
  std::unordered_map<std::uint64_t, std::shared_ptr<http_session>> sessions_;
  std::vector<std::function<void()>> when_drained_;
  std::string date_;
  std::chrono::sys_seconds date_of_{};
  std::uint64_t last_connection_ = 0;
  std::size_t under_way_ = 0;
  std::uint16_t port_ = 0;
  bool accept_paused_ = false;
  bool sweeping_ = false;
  bool draining_ = false;
  bool shut_down_ = false;
};

} // namespace reseq::net::detail
