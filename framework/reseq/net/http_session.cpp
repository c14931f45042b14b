#include "reseq/net/detail/http_session.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include "reseq/net/detail/http_format.hpp"

namespace reseq::net::detail {
namespace {

constexpr auto no_timeout = duration::max();
constexpr duration linger_timeout = std::chrono::seconds{5};
constexpr duration last_linger_timeout = std::chrono::seconds{1}; ///< of a server that stops
constexpr const char* stopping = "this server is stopping";
constexpr std::uint64_t max_lingered_bytes = 16U << 20U;
constexpr std::size_t direct_read_bytes = 64U << 10U;       ///< at most so much at once straight into a body
constexpr std::uint64_t first_room_bytes = 64U << 10U;      ///< what a body of unknown length gets first
constexpr std::uint64_t body_progress_bytes = 1024;         ///< less than this in a body timeout is no progress
constexpr std::uint64_t crowded_progress_bytes = 1U << 20U; ///< the same while others wait for the room that it takes
constexpr auto waiting_timeouts =
  2; ///< body timeouts that a request waits for room: those that hold it up are gone then

time_point now() { return std::chrono::steady_clock::now(); }

/// Assigning an empty string would keep the memory, and idle connections are many.
void release(std::string& text) { std::string().swap(text); }

} // namespace

http_session::http_session(std::shared_ptr<server_core> server, socket connected, std::uint64_t id, std::string peer)
  : server_(std::move(server)), socket_(std::move(connected)), id_(id), peer_(std::move(peer)) {
  error_code ignored; // a peer that is gone already is noticed when reading
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
}

void http_session::start() {
  enter(phase::idle, server_->options().idle_timeout);
  read();
}

void http_session::enter(phase next, duration timeout) {
  const auto before = std::exchange(phase_, next);
  extend(timeout);
  if (!under_way(before) && under_way(next)) server_->began();
  if (under_way(before) && !under_way(next)) server_->ended();
}

void http_session::extend(duration timeout) { deadline_ = timeout == no_timeout ? time_point::max() : now() + timeout; }

void http_session::read() {
  if (std::exchange(reading_, true)) return;
  const auto [data, size] = in_.prepare();
  socket_.async_read_some(asio::buffer(data, size), [self = shared_from_this()](error_code failed, std::size_t got) {
    self->received(failed, got);
  });
}

/// Large bodies are not copied through the buffer.
void http_session::read_into_body(std::size_t most) {
  reading_ = true;
  auto& body = request_.body;
  direct_from_ = body.size();
  body.resize(body.size() + std::min(most, direct_read_bytes));
  socket_.async_read_some(
    asio::buffer(body.data() + *direct_from_, body.size() - *direct_from_),
    [self = shared_from_this()](error_code failed, std::size_t got) { self->received(failed, got); });
}

void http_session::received(error_code failed, std::size_t size) {
  reading_ = false;
  const auto direct_from = std::exchange(direct_from_, std::nullopt);
  switch (phase_) {
  case phase::closed:
  case phase::answering: // a timeout's answer overtook this read: what it brought is not wanted any more
    return;
  case phase::lingering:
    release(request_.body);
    in_.consume(in_.view().size());
    lingered_ += size;
    return failed || lingered_ > max_lingered_bytes ? close() : read();
  case phase::body:
    if (failed) return close();
    progress_ += size;
    if (direct_from) {
      request_.body.resize(*direct_from + size);
      (void)decoder_.next(std::string_view(request_.body).substr(*direct_from)); // payload only: cannot fail
    } else {
      in_.commit(size);
    }
    if (progress_ >= (server_->bodies().contended() ? crowded_progress_bytes : body_progress_bytes)) {
      progress_ = 0;
      extend(server_->options().body_timeout);
    }
    return take_body();
  default:
    if (failed) return close();
    in_.commit(size);
    return advance();
  }
}

/// Looks for the next request in what has been read.
void http_session::advance() {
  while (in_.view().starts_with("\r\n")) { // RFC 9112 §2.2: some clients end a body with an extra line
    in_.consume(2);
    scanner_ = {};
  }
  if (in_.empty()) return read();
  if (phase_ == phase::idle) enter(phase::head, server_->options().header_timeout);
  const auto size = scanner_.scan(in_.view());
  if (!size) return refuse(size.error());
  if (*size == 0) return read();
  auto head = parse_request_head(in_.view().substr(0, *size));
  in_.consume(*size);
  scanner_ = {};
  if (!head) return refuse(std::move(head.error()));
  begin(std::move(*head));
}

void http_session::begin(request_head head) {
  request_ = std::move(head.request);
  request_.connection = id_;
  request_.peer = peer_;
  decoder_ = body_decoder(head.body);
  is_head_request_ = request_.method == "HEAD";
  http_1_0_ = head.http_1_0;
  expects_continue_ = head.expects_continue;
  closing_ = !head.keep_alive;
  const auto& options = server_->options();
  if (options.admit) {
    if (auto refusal = options.admit(request_)) {
      closing_ = closing_ || !decoder_.done();
      return send(std::move(*refusal));
    }
  }
  if (decoder_.done()) return dispatch();
  body_limit_ = options.max_body;
  if (options.body_limit) body_limit_ = std::min(body_limit_, options.body_limit(request_.method, request_.path));
  if (head.body.length > body_limit_) {
    return refuse({413, "the body is larger than " + std::to_string(body_limit_) + " bytes"});
  }
  reserve_room(head.body);
}

void http_session::take_room(byte_budget& from, std::uint64_t bytes, room which, step then) {
  const auto granted = [weak = weak_from_this(), bytes, which, then] {
    const auto self = weak.lock();
    if (!self || self->phase_ != phase::waiting) return false;
    self.get()->*which = bytes;
    // Not from here: a chain of waiting requests that are answered at once would nest as deep as it is long.
    asio::post(self->socket_.get_executor(), [self, then] {
      if (self->phase_ == phase::waiting) (self.get()->*then)();
    });
    return true;
  };
  enter(phase::waiting, waiting_timeouts * server_->options().body_timeout);
  if (!from.take(bytes, granted)) return;
  this->*which = bytes;
  (this->*then)();
}

/// Bodies of a known length are charged in advance: many half-read ones that wait for each other's room would wait for
/// ever. What is no larger than a connection's buffer costs no more than the connection does.
void http_session::reserve_room(body_framing framing) {
  room_ = input_buffer::initial_bytes;
  if (framing.by != body_framing::kind::length || framing.length <= room_) return invite_body();
  room_ = framing.length;
  take_room(server_->bodies(), room_, &http_session::reserved_, &http_session::invite_body);
}

/// Gets a body that has outgrown its room twice as much of it, or at least some. Returns false when it has to wait,
/// which is for those only who hold nothing yet, or is refused.
bool http_session::grow() {
  const std::uint64_t size = request_.body.size();
  const auto wanted = std::min(std::max(2 * size, first_room_bytes), body_limit_);
  if (reserved_ == 0) {
    room_ = wanted;
    take_room(server_->bodies(), wanted, &http_session::reserved_, &http_session::go_on_with_body);
    return false;
  }
  for (const auto next : {wanted, std::min(size + direct_read_bytes, body_limit_)}) {
    if (!server_->bodies().grow(reserved_, next - reserved_)) continue;
    room_ = reserved_ = next;
    request_.body.reserve(room_);
    return true;
  }
  refuse({503, "too many bodies are under way; try again"});
  return false;
}

void http_session::invite_body() {
  if (!expects_continue_ || !in_.empty()) return start_body();
  static constexpr std::string_view invitation = "HTTP/1.1 100 Continue\r\n\r\n";
  enter(phase::inviting, server_->options().write_timeout);
  asio::async_write(socket_, asio::buffer(invitation),
                    [self = shared_from_this()](error_code failed, std::size_t /*written*/) {
                      if (self->phase_ != phase::inviting) return;
                      if (failed) return self->close();
                      self->start_body();
                    });
}

void http_session::start_body() {
  if (server_->draining()) return refuse({503, stopping});
  progress_ = 0;
  go_on_with_body();
}

void http_session::go_on_with_body() {
  request_.body.reserve(reserved_);
  enter(phase::body, server_->options().body_timeout);
  take_body();
}

void http_session::take_body() {
  for (;;) {
    // What is over the room has left the connection's buffer for it, and is no more than that held.
    if (request_.body.size() > room_ && !grow()) return;
    if (decoder_.done() || in_.empty()) break;
    const auto piece = decoder_.next(in_.view());
    if (!piece) return refuse(piece.error());
    // `expected` as well: a chunk that cannot fit is refused when its size is known.
    if (request_.body.size() + piece->data.size() + decoder_.expected() > body_limit_) {
      return refuse({413, "the body is larger than " + std::to_string(body_limit_) + " bytes"});
    }
    request_.body.append(piece->data);
    in_.consume(piece->consumed);
  }
  if (decoder_.done()) return dispatch();
  const auto direct = static_cast<std::size_t>(std::min(decoder_.expected(), room_ - request_.body.size()));
  if (direct >= input_buffer::initial_bytes) return read_into_body(direct);
  read();
}

/// Who waits here holds the room of its body, but who is handled never waits for that: it comes to an end.
void http_session::dispatch() {
  const auto& cost = server_->options().handling_cost;
  const auto bytes = cost ? cost(request_) : 0;
  if (bytes == 0) return hand_over();
  take_room(server_->handling(), bytes, &http_session::cost_, &http_session::hand_over);
}

void http_session::hand_over() {
  enter(phase::handling, no_timeout);
  auto answered = [weak = weak_from_this(), gate = server_->gate(),
                   number = ++number_](std::optional<http_response> given) {
    if (gate->on_thread()) {
      if (const auto self = weak.lock()) self->answer(number, std::move(given));
      return;
    }
    // The session is locked only over there: the last reference to a socket must not end on a foreign thread.
    gate->post([weak, number, given = std::move(given)]() mutable {
      if (const auto self = weak.lock()) self->answer(number, std::move(given));
    });
  };
  server_->handle(std::move(request_), responder(std::move(answered)));
}

void http_session::answer(std::uint64_t number, std::optional<http_response> given) {
  if (phase_ != phase::handling || number != number_) return;
  send(given ? std::move(*given) : server_->problem(503, "the request was dropped without an answer"));
}

void http_session::refuse(protocol_error problem) {
  closing_ = true;
  if (!reading_) release(request_.body); // its room is given back with the answer
  send(server_->problem(problem.status, std::move(problem.detail)));
}

void http_session::send(http_response given) {
  if (given.status < 200 || given.status > 599) given = server_->problem(500, "the answer's status is out of range");
  closing_ = closing_ || given.close || (given.close_if_last && in_.empty()) || server_->draining();
  const std::string_view connection = closing_ ? "close" : http_1_0_ ? "keep-alive" : "";
  out_head_ = format_response_head(given, connection, server_->date());
  if (!is_head_request_ && may_have_body(given.status)) out_body_ = std::move(given.body);
  written_ = 0;
  enter(phase::answering, server_->options().write_timeout);
  give_room();
  write();
}

void http_session::write() {
  const auto from_head = std::min(written_, out_head_.size());
  const auto from_body = written_ - from_head;
  const std::array<asio::const_buffer, 2> rest = {asio::buffer(out_head_) + from_head,
                                                  asio::buffer(out_body_) + from_body};
  socket_.async_write_some(rest, [self = shared_from_this()](error_code failed, std::size_t size) {
    if (self->phase_ == phase::closed) return;
    if (failed) return self->close();
    self->written_ += size;
    if (self->written_ == self->out_head_.size() + self->out_body_.size()) return self->answered();
    self->extend(self->server_->options().write_timeout);
    self->write();
  });
}

void http_session::answered() {
  release(out_body_);
  if (closing_ || server_->draining()) return linger();
  is_head_request_ = false;
  enter(phase::idle, server_->options().idle_timeout);
  advance();
}

void http_session::linger() {
  enter(phase::lingering, server_->draining() ? last_linger_timeout : linger_timeout);
  error_code ignored; // a peer that is gone already is noticed when reading
  socket_.shutdown(socket::shutdown_send, ignored);
  if (reading_) return;
  release(request_.body);
  in_.consume(in_.view().size());
  read();
}

void http_session::expire(time_point at) {
  if (at < deadline_) return;
  switch (phase_) {
  case phase::head: return refuse({408, "the request's header took too long"});
  case phase::waiting: return refuse({503, "too many bodies are under way; try again"});
  case phase::body: return refuse({408, "the request's body took too long"});
  case phase::answering: {
    error_code ignored; // the answer nobody reads is not kept in the system's buffers either
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    return close();
  }
  default: return close();
  }
}

void http_session::stop() {
  switch (phase_) {
  case phase::idle: return close();
  case phase::head:
  case phase::waiting:
  case phase::body: return refuse({503, stopping});
  case phase::lingering: deadline_ = std::min(deadline_, now() + last_linger_timeout); break;
  default: break; // "100 Continue" is written to its end first, see `start_body`
  }
}

void http_session::close() {
  if (phase_ == phase::closed) return;
  enter(phase::closed, no_timeout);
  give_room();
  error_code ignored; // closing releases the descriptor whatever it reports
  socket_.close(ignored);
  server_->gone(id_);
}

void http_session::give_room() {
  if (reserved_ > 0) server_->bodies().give(std::exchange(reserved_, 0));
  if (cost_ > 0) server_->handling().give(std::exchange(cost_, 0));
}

} // namespace reseq::net::detail
