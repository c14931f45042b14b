#include "reseq/net/http_client.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address.hpp>

#include "reseq/net/detail/http_client_core.hpp"
#include "reseq/net/detail/http_format.hpp"

namespace reseq::net {
namespace detail {
namespace {

std::string text_of(duration timeout) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  if (milliseconds % 1000 == 0) return std::to_string(milliseconds / 1000) + " s";
  return std::to_string(milliseconds) + " ms";
}

} // namespace

client_core::client_core(loop_core& on, url origin, client_limits limits)
  : io_(on.io), names_(*on.names), origin_(std::move(origin)), limits_(limits), timer_(io_) {}

void client_core::send(client_request request, duration timeout, http_client::done_handler done) {
  if (shut_down_) return;
  if (exchange_) return done(fail(errc::internal, "a request is under way already", origin_.origin()));
  if (origin_.scheme != "http") return done(fail(errc::invalid, "this client speaks http only", origin_.origin()));
  auto& now = exchange_.emplace();
  now.request = std::move(request);
  now.head = format_request_head(now.request, origin_);
  now.done = std::move(done);
  now.timeout = timeout;
  now.answer = answer_reader(now.request.method, limits_);
  timer_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout));
  timer_.async_wait([self = shared_from_this(), number = ++exchanges_](error_code cancelled) {
    if (cancelled || !self->exchange_ || self->exchanges_ != number) return;
    const auto* const what = self->too_slow();
    self->drop_link();
    self->fail_exchange(what + text_of(self->exchange_->timeout));
  });
  if (link_ && quiet()) return start_writing();
  drop_link();
  connect();
}

/// What the request under way waits for in vain.
const char* client_core::too_slow() const {
  if (link_->connected) return "no complete answer within ";
  return link_->connecting ? "could not connect within " : "the name was not resolved within ";
}

/// Whether the kept connection is open and silent. What the peer said before the request cannot be the answer to it,
/// even if it looks like one.
bool client_core::quiet() const {
  char byte = 0;
  return ::recv(link_->connection.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

void client_core::close() {
  drop_link();
  if (exchange_) fail_exchange("the client was closed before the answer came");
}

void client_core::shut_down() {
  shut_down_ = true;
  drop_link();
  exchange_.reset();
  timer_.cancel();
}

void client_core::drop_link() {
  if (!link_) return;
  if (link_->connecting && !link_->connected) {
    link_->connecting->cancel();
    names_.doubt(origin_.host);
  }
  error_code ignored; // closing releases the descriptor whatever it reports
  link_->connection.close(ignored);
  link_.reset();
}

void client_core::connect() {
  link_ = std::make_shared<link>(io_);
  error_code no_address;
  const auto address = asio::ip::make_address(origin_.host, no_address);
  if (!no_address) return connect(link_, {address});
  names_.find(origin_.host, [self = shared_from_this(), to = link_](const result<addresses>& found) {
    if (self->link_ != to) return;
    if (found) return self->connect(to, *found);
    self->drop_link();
    self->fail_exchange("the name cannot be resolved: " + found.error().what);
  });
}

void client_core::connect(const link_ptr& to, const addresses& found) {
  std::vector<tcp::endpoint> all;
  for (const auto& address : found) all.emplace_back(address, origin_.port);
  to->connecting = std::make_shared<connector>(io_, std::move(all),
                                               [self = shared_from_this(), to](error_code failed, socket* connection) {
                                                 if (self->link_ != to) return;
                                                 if (!failed) return self->connected(to, std::move(*connection));
                                                 self->drop_link();
                                                 self->fail_exchange("cannot connect: " + failed.message());
                                               });
  to->connecting->start();
}

void client_core::connected(const link_ptr& to, socket connection) {
  to->connection = std::move(connection);
  error_code ignored; // a peer that is gone already is noticed when reading
  to->connection.set_option(tcp::no_delay(true), ignored);
  to->connection.set_option(asio::socket_base::keep_alive(true), ignored);
  const auto peer = to->connection.remote_endpoint(ignored);
  if (!ignored) names_.prefer(origin_.host, peer.address());
  to->connected = true;
  to->connecting.reset();
  read(to);
  start_writing();
}

void client_core::start_writing() {
  link_->answer_started = false;
  link_->written = false;
  exchange_->written = 0;
  write();
}

void client_core::write() {
  static const std::string nothing;
  const auto& head = exchange_->head;
  const auto& body = exchange_->request.body ? *exchange_->request.body : nothing;
  const auto from_head = std::min(exchange_->written, head.size());
  const std::array<asio::const_buffer, 2> rest = {asio::buffer(head) + from_head,
                                                  asio::buffer(body) + (exchange_->written - from_head)};
  const auto size = head.size() + body.size();
  link_->connection.async_write_some(
    rest, [self = shared_from_this(), to = link_, number = exchanges_, size](error_code failed, std::size_t put) {
      if (self->link_ != to || !self->exchange_ || self->exchanges_ != number) return;
      // The peer may have answered before it closed: what the read finds decides.
      if (failed) return;
      self->exchange_->written += put;
      to->written = self->exchange_->written == size;
      if (!to->written) self->write();
    });
}

void client_core::read(const link_ptr& from) {
  const auto [data, size] = from->in.prepare();
  from->connection.async_read_some(asio::buffer(data, size),
                                   [self = shared_from_this(), from](error_code failed, std::size_t got) {
                                     if (self->link_ == from) self->received(from, failed, got);
                                   });
}

void client_core::received(const link_ptr& from, error_code failed, std::size_t size) {
  if (!exchange_) return drop_link(); // closed between requests, or bytes nobody asked for
  if (failed) return broken(failed);
  from->in.commit(size);
  from->answer_started = true;
  take_answer();
  if (link_ == from) read(from);
}

void client_core::take_answer() {
  auto& now = *exchange_;
  const auto taken = now.answer.take(link_->in.view());
  if (!taken) {
    drop_link();
    return fail_exchange("malformed answer: " + taken.error().detail);
  }
  link_->in.consume(*taken);
  if (!now.answer.done()) return;
  auto answer = now.answer.take_answer();
  answer.early = !link_->written;
  const auto reusable = now.answer.keeps_connection() && link_->written && link_->in.empty();
  link_->used = true;
  if (!reusable) drop_link();
  finish(std::move(answer));
}

/// The connection ended while a request is under way.
void client_core::broken(error_code why) {
  auto& now = *exchange_;
  const auto closed = why == asio::error::eof;
  if (closed && now.answer.ends_with_stream()) {
    auto answer = now.answer.take_answer();
    answer.early = !link_->written;
    drop_link();
    return finish(std::move(answer));
  }
  const auto stale = link_->used && !link_->answer_started && !now.sent_again;
  const auto half = link_->answer_started;
  drop_link();
  if (stale) {
    now.sent_again = true;
    return connect();
  }
  if (!closed) return fail_exchange("the connection broke before the answer was complete: " + why.message());
  fail_exchange(half ? "the connection was closed in the middle of the answer"
                     : "the connection was closed before the answer");
}

void client_core::fail_exchange(std::string what, errc code) { finish(fail(code, std::move(what), origin_.origin())); }

/// Thousands of destinations that are seldom used shall not keep as many descriptors.
void client_core::close_when_idle() {
  timer_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(limits_.idle));
  timer_.async_wait([self = shared_from_this(), number = exchanges_](error_code cancelled) {
    if (!cancelled && !self->exchange_ && self->exchanges_ == number) self->drop_link();
  });
}

void client_core::finish(result<client_answer> outcome) {
  timer_.cancel();
  const auto done = std::move(exchange_->done);
  exchange_.reset();
  if (link_) close_when_idle();
  done(std::move(outcome));
}

} // namespace detail

http_client::http_client(loop& on, url origin, client_limits limits)
  : loop_(&on), core_(std::make_shared<detail::client_core>(on.core(), std::move(origin), limits)) {}

http_client::~http_client() {
  loop_->run([&] { core_->shut_down(); });
}

void http_client::send(client_request request, duration timeout, done_handler done) {
  loop_->post([core = core_, request = std::move(request), timeout, done = std::move(done)]() mutable {
    core->send(std::move(request), timeout, std::move(done));
  });
}

void http_client::post(std::string content_type, header_list headers, std::shared_ptr<const std::string> body,
                       duration timeout, done_handler done) {
  client_request request;
  request.content_type = std::move(content_type);
  request.headers = std::move(headers);
  request.body = std::move(body);
  send(std::move(request), timeout, std::move(done));
}

void http_client::post(std::string content_type, header_list headers, std::string body, duration timeout,
                       done_handler done) {
  post(std::move(content_type), std::move(headers), std::make_shared<const std::string>(std::move(body)), timeout,
       std::move(done));
}

void http_client::close() {
  loop_->post([core = core_] { core->close(); });
}

} // namespace reseq::net
