/// One connection of a server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "reseq/model/clock.hpp"
#include "reseq/net/detail/asio.hpp"
#include "reseq/net/detail/http_body.hpp"
#include "reseq/net/detail/http_parse.hpp"
#include "reseq/net/detail/http_server_core.hpp"
#include "reseq/net/detail/input_buffer.hpp"

namespace reseq::net::detail {

/// Reads a request, has it handled, writes the answer, and starts again. On the loop's thread only. Kept alive by its
/// server and by the operation under way.
class http_session : public std::enable_shared_from_this<http_session> {
public:
  http_session(std::shared_ptr<server_core> server, socket connected, std::uint64_t id, std::string peer);

  /// Waits for the first request.
  void start();

  /// Answers with a problem, without reading any further, and closes.
  void refuse(protocol_error problem);

  /// Ends what takes longer than it may.
  void expire(time_point now);

  /// The server stops: a request that has not come whole is answered 503, a connection between requests is closed.
  void stop();

  /// Closes at once. The server forgets the session.
  void close();

private:
  enum class phase {
    idle,      ///< between requests
    head,      ///< some bytes of a request's head are here
    waiting,   ///< for room for the body, or for what is made of it
    inviting,  ///< writing "100 Continue"
    body,      ///< reading the body
    handling,  ///< the handler has the request
    answering, ///< writing the answer
    lingering, ///< said all; reading what still comes so that a reset does not overtake the answer
    closed
  };

  using room = std::uint64_t http_session::*; ///< where it is noted that it was taken
  using step = void (http_session::*)();

  /// An answer is not out before the client has it.
  static bool under_way(phase at) { return at >= phase::head && at <= phase::lingering; }
  void enter(phase next, duration timeout);
  void extend(duration timeout);

  void read();
  void read_into_body(std::size_t most);
  void received(error_code failed, std::size_t size);
  void advance();
  void begin(request_head head);
  void take_room(byte_budget& from, std::uint64_t bytes, room which, step then);
  void reserve_room(body_framing framing);
  void invite_body();
  void start_body();
  void go_on_with_body();
  void take_body();
  bool grow();
  void dispatch();
  void hand_over();
  void answer(std::uint64_t number, std::optional<http_response> given);
  void send(http_response given);
  void write();
  void answered();
  void linger();
  void give_room();

  std::shared_ptr<server_core> server_;
  socket socket_;
  const std::uint64_t id_;
  const std::string peer_;

  phase phase_ = phase::idle;
  time_point deadline_ = time_point::max();
  bool reading_ = false; ///< a read is under way: neither `in_` nor the body may move
  bool closing_ = false; ///< after the answer
  input_buffer in_;

  http_request request_;
  head_scanner scanner_;
  body_decoder decoder_;
  std::uint64_t number_ = 0;               ///< of the request under way: answers to others come too late
  std::uint64_t body_limit_ = 0;           ///< of the request under way, in bytes
  std::uint64_t room_ = 0;                 ///< how large the body may get before it has to `grow`
  std::uint64_t reserved_ = 0;             ///< taken from the server's budget for bodies
  std::uint64_t cost_ = 0;                 ///< taken from that for handling
  std::uint64_t progress_ = 0;             ///< bytes of the body since its deadline was set
  std::optional<std::size_t> direct_from_; ///< the read under way puts its bytes here in the body
  bool is_head_request_ = false;
  bool http_1_0_ = false;
  bool expects_continue_ = false;

  std::string out_head_;
  std::string out_body_;
  std::size_t written_ = 0;
  std::uint64_t lingered_ = 0; ///< bytes dropped
};

} // namespace reseq::net::detail
