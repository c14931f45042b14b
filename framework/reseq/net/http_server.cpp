#include "reseq/net/http_server.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>

#include "reseq/net/detail/http_format.hpp"
#include "reseq/net/detail/http_server_core.hpp"
#include "reseq/net/detail/http_session.hpp"
#include "reseq/net/url.hpp"

namespace reseq::net {
namespace detail {
namespace {

/// Connections beyond the limit that are told so, at once.
constexpr std::size_t max_refused_connections = 64;
constexpr std::chrono::milliseconds accept_pause{100};
constexpr duration most_between_last_sweeps = std::chrono::milliseconds{100};

std::string without_brackets(const std::string& host) {
  return host.size() > 2 && host.front() == '[' && host.back() == ']' ? host.substr(1, host.size() - 2) : host;
}

tl::unexpected<error> cannot_listen(const server_options& options, error_code failed) {
  const auto where = host_port{without_brackets(options.host), options.port}.text();
  if (failed == asio::error::address_in_use) {
    return fail(errc::incompatible,
                "the address is in use: stop the program that listens there, or choose another port (0: any free one)",
                where);
  }
  if (failed == asio::error::access_denied) {
    return fail(errc::invalid, "listening there is not permitted: choose a port above 1023", where);
  }
  if (failed == error_code(EADDRNOTAVAIL, boost::system::system_category())) {
    return fail(errc::invalid, "this machine has no such address", where);
  }
  return fail(errc::unavailable, "cannot listen: " + failed.message(), where);
}

std::string text_of(const tcp::endpoint& peer) { return host_port{peer.address().to_string(), peer.port()}.text(); }

} // namespace

server_core::server_core(loop& on, server_options options, http_server::handler handle,
                         http_server::closed_handler closed, http_server::problem_renderer problem)
  : io_(on.core().io), gate_(on.core().gate), options_(std::move(options)), handle_(std::move(handle)),
    closed_(std::move(closed)), problem_(std::move(problem)), acceptor_(io_), accept_timer_(io_), sweep_timer_(io_),
    bodies_(options_.max_buffered), handling_(options_.max_handling) {}

server_core::~server_core() = default;

result<tcp::endpoint> server_core::resolve() const {
  const auto host = without_brackets(options_.host);
  error_code failed;
  const auto address = asio::ip::make_address(host, failed);
  if (!failed) return tcp::endpoint(address, options_.port);
  asio::io_context waited_for;
  resolver names(waited_for);
  const auto found = names.resolve(host, std::to_string(options_.port), failed);
  if (failed || found.empty()) return fail(errc::invalid, "the host to listen on is not known", host);
  return found.begin()->endpoint();
}

result<void> server_core::open() {
  const auto at = resolve();
  if (!at) return tl::unexpected(at.error());
  error_code failed;
  acceptor_.open(at->protocol(), failed);
  if (!failed) acceptor_.set_option(asio::socket_base::reuse_address(true), failed);
  if (!failed) acceptor_.bind(*at, failed);
  if (!failed) acceptor_.listen(asio::socket_base::max_listen_connections, failed);
  const auto bound = failed ? tcp::endpoint{} : acceptor_.local_endpoint(failed);
  if (failed) return cannot_listen(options_, failed);
  port_ = bound.port();
  return {};
}

void server_core::accept() {
  if (draining_) return;
  accept_paused_ = sessions_.size() >= options_.max_connections + max_refused_connections;
  if (accept_paused_) return;
  acceptor_.async_accept([self = shared_from_this()](error_code failed, socket connected) {
    if (self->draining_) return;
    if (failed) return self->accept_again_later();
    self->accepted(std::move(connected));
    self->accept();
  });
}

/// Out of file descriptors, most likely: trying again at once would only keep the processor busy.
void server_core::accept_again_later() {
  accept_timer_.expires_after(accept_pause);
  accept_timer_.async_wait([self = shared_from_this()](error_code cancelled) {
    if (!cancelled) self->accept();
  });
}

void server_core::accepted(socket connected) {
  error_code failed;
  const auto peer = connected.remote_endpoint(failed);
  if (failed) return; // gone before it was looked at
  const auto id = ++last_connection_;
  auto session = std::make_shared<http_session>(shared_from_this(), std::move(connected), id, text_of(peer));
  sessions_.emplace(id, session);
  watch_deadlines();
  if (sessions_.size() <= options_.max_connections) return session->start();
  session->refuse({503, "too many connections"});
}

void server_core::watch_deadlines() {
  if (std::exchange(sweeping_, true)) return;
  const auto shortest =
    std::min({options_.header_timeout, options_.body_timeout, options_.idle_timeout, options_.write_timeout});
  const duration most = draining_ ? most_between_last_sweeps : std::chrono::seconds{1};
  const auto tick = std::clamp<duration>(shortest / 4, std::chrono::milliseconds{5}, most);
  sweep_timer_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(tick));
  sweep_timer_.async_wait([self = shared_from_this()](error_code cancelled) {
    if (!cancelled) self->sweep();
  });
}

/// One timer for all connections: setting one for each step of each request would cost more than the steps.
void server_core::sweep() {
  sweeping_ = false;
  std::vector<std::shared_ptr<http_session>> all;
  all.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) all.push_back(session);
  const time_point now = std::chrono::steady_clock::now();
  for (const auto& session : all) session->expire(now);
  if (!sessions_.empty()) watch_deadlines();
}

void server_core::stop_accepting() {
  if (std::exchange(draining_, true)) return;
  error_code ignored; // closing releases the port whatever it reports
  acceptor_.close(ignored);
  accept_timer_.cancel();
  if (shut_down_) return;
  std::vector<std::shared_ptr<http_session>> all;
  for (const auto& [id, session] : sessions_) all.push_back(session);
  for (const auto& session : all) session->stop();
  sweeping_ = false; // from now on more often
  if (!sessions_.empty()) watch_deadlines();
}

void server_core::drained(std::function<void()> done) {
  when_drained_.push_back(std::move(done));
  // As if a request had just ended, in case none is under way.
  began();
  ended();
}

void server_core::ended() {
  if (--under_way_ > 0) return;
  // Not from here: the callback may end the server, and a connection is in the middle of something.
  for (auto& done : std::exchange(when_drained_, {})) {
    asio::post(io_, [self = shared_from_this(), done = std::move(done)] {
      if (!self->shut_down_) done();
    });
  }
}

void server_core::gone(std::uint64_t connection) {
  const auto session = sessions_.extract(connection);
  if (shut_down_) return;
  if (closed_) closed_(connection);
  if (accept_paused_) accept();
}

void server_core::shut_down() {
  shut_down_ = true;
  stop_accepting();
  when_drained_.clear();
  sweep_timer_.cancel();
  for (const auto& [id, session] : std::exchange(sessions_, {})) session->close();
}

http_response server_core::problem(unsigned status, std::string what) const {
  return problem_ ? problem_(status, std::move(what)) : problem_answer(status, what);
}

std::string_view server_core::date() {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  if (now != date_of_) {
    date_of_ = now;
    date_ = format_date(now);
  }
  return date_;
}

} // namespace detail

struct responder::ticket {
  explicit ticket(sink told) : answered(std::move(told)) {}
  ~ticket() {
    if (!used.load()) answered(std::nullopt);
  }
  ticket(const ticket&) = delete;
  ticket& operator=(const ticket&) = delete;

  sink answered;
  std::atomic<bool> used = false;
};

responder::responder(sink answered) : ticket_(std::make_shared<ticket>(std::move(answered))) {}

void responder::operator()(http_response answer) const {
  if (!ticket_->used.exchange(true)) ticket_->answered(std::move(answer));
}

result<std::unique_ptr<http_server>> http_server::listen(loop& on, server_options options, handler handle,
                                                         closed_handler closed, problem_renderer problem) {
  auto core = std::make_shared<detail::server_core>(on, std::move(options), std::move(handle), std::move(closed),
                                                    std::move(problem));
  if (auto opened = core->open(); !opened) return tl::unexpected(std::move(opened.error()));
  on.post([core] { core->accept(); });
  return std::unique_ptr<http_server>(new http_server(on, std::move(core)));
}

http_server::http_server(loop& on, std::shared_ptr<detail::server_core> core) : loop_(&on), core_(std::move(core)) {}

http_server::~http_server() {
  loop_->run([&] { core_->shut_down(); });
}

std::uint16_t http_server::port() const { return core_->port(); }

void http_server::stop_accepting() {
  loop_->post([core = core_] { core->stop_accepting(); });
}

void http_server::drained(std::function<void()> done) {
  loop_->post([core = core_, done = std::move(done)]() mutable { core->drained(std::move(done)); });
}

} // namespace reseq::net
