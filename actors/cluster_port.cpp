#include "actors/cluster_port.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <caf/function_view.hpp>
#include <caf/io/basp/header.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/io/middleman_actor_impl.hpp>
#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/doorman_impl.hpp>
#include <caf/io/network/scribe_impl.hpp>
#include <caf/sec.hpp>
#include <caf/send.hpp>

#include <spdlog/spdlog.h>

#include "reseq/wire/sha256.hpp"

namespace reseq::actors {
namespace {

namespace io = caf::io;
using io::receive_policy;
using io::network::default_multiplexer;
using io::network::native_socket;

constexpr std::string_view magic = "reseq/1 ";
constexpr std::size_t piece_bytes = 64U << 10U; ///< read at once
constexpr std::size_t most_silent = 64;         ///< connections that have not said who they are

using greeting = std::array<char, magic.size() + 32>;

greeting greeting_of(const std::string& token) {
  const auto digest = wire::sha256().add("reseq cluster").add_with_length(token).finish();
  greeting text{};
  const auto rest = std::ranges::copy(magic, text.begin()).out;
  std::ranges::transform(digest, rest, [](auto byte) { return static_cast<char>(byte); });
  return text;
}

/// In a time that does not tell how much of it was right.
bool same(std::string_view given, const greeting& wanted) {
  if (given.size() != wanted.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    difference |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(wanted[i]);
  return difference == 0;
}

/// Connections that have not said who they are. Strangers must not take all of the process's descriptors: of too many,
/// the one that has been silent for longest goes.
class silent_connections {
public:
  std::uint64_t add(native_socket one) {
    const std::lock_guard hold{mutex_};
    if (all_.size() == most_silent) {
      spdlog::warn("cluster port: {} connections do not say who they are: the oldest is closed", most_silent);
      ::shutdown(all_.begin()->second, SHUT_RDWR); // the next read finds it closed, and tells the broker
      all_.erase(all_.begin());
    }
    all_.emplace(++last_, one);
    return last_;
  }
  /// It has said so, or is about to be closed.
  void remove(std::uint64_t which) {
    const std::lock_guard hold{mutex_};
    all_.erase(which);
  }

private:
  std::mutex mutex_;
  std::map<std::uint64_t, native_socket> all_;
  std::uint64_t last_ = 0;
};

/// A worker that is refused tries again every other second, for hours: of one host and for one reason, that is said
/// once a minute. Used by one thread, the multiplexer's.
class complaints {
public:
  bool may_be_told(const std::string& host, const char* why) {
    const auto now = std::chrono::steady_clock::now();
    if (told_.size() >= most_hosts) told_.clear();
    const auto [found, first] = told_.try_emplace({host, why}, now);
    if (!first && now - found->second < std::chrono::minutes{1}) return false;
    found->second = now;
    return true;
  }

private:
  static constexpr std::size_t most_hosts = 1000;
  std::map<std::pair<std::string, std::string>, std::chrono::steady_clock::time_point> told_;
};

/// A connection whose reads grow with what comes.
class bounded_scribe : public io::network::scribe_impl {
public:
  using io::network::scribe_impl::scribe_impl;

  void configure_read(receive_policy::config wanted) override {
    const auto [kind, size] = wanted;
    wanted_ = kind == io::receive_policy_flag::exactly && size > piece_bytes ? size : 0;
    scribe_impl::configure_read(wanted_ == 0 ? wanted : receive_policy::at_most(piece_bytes));
  }

  bool consume(caf::execution_unit* context, const void* data, std::size_t size) override {
    if (wanted_ == 0) return scribe_impl::consume(context, data, size);
    if (detached()) return false;
    const auto* const bytes = static_cast<const char*>(data);
    gathered_.insert(gathered_.end(), bytes, bytes + size);
    const auto missing = wanted_ - gathered_.size();
    if (missing > 0) {
      scribe_impl::configure_read(receive_policy::at_most(std::min(missing, piece_bytes)));
      return true;
    }
    rd_buf().swap(gathered_);
    std::vector<char>().swap(gathered_);
    const auto whole = std::exchange(wanted_, 0);
    return scribe_impl::consume(context, rd_buf().data(), whole);
  }

private:
  std::size_t wanted_ = 0;     ///< of a message that is gathered; 0: none is
  std::vector<char> gathered_; ///< of it, so far
};

/// Whether these bytes are the header of what a client says first in BASP: CAF takes for granted that it is, and that
/// something follows it.
bool introduces_a_client(std::string_view header) {
  constexpr auto client_handshake = static_cast<char>(io::basp::message_type::client_handshake);
  if (header.size() != io::basp::header_size || header[0] != client_handshake) return false;
  const auto length = header.substr(4, 4);
  return std::ranges::any_of(length, [](char c) { return c != 0; });
}

/// One that was accepted: a greeting comes first.
class greeted_scribe : public bounded_scribe {
public:
  greeted_scribe(default_multiplexer& on, native_socket connected, const greeting& wanted,
                 std::shared_ptr<silent_connections> silent, std::shared_ptr<complaints> told)
    : bounded_scribe(on, connected), greeting_(wanted), silent_(std::move(silent)), silence_(silent_->add(connected)),
      complaints_(std::move(told)) {}
  ~greeted_scribe() override { silent_->remove(silence_); }

  void configure_read(receive_policy::config wanted) override {
    if (greeted_) return bounded_scribe::configure_read(wanted);
    then_ = wanted;
    // NOLINTNEXTLINE(bugprone-parent-virtual-call): the bound is for what comes after the greeting
    scribe_impl::configure_read(receive_policy::exactly(greeting_.size()));
  }

  bool consume(caf::execution_unit* context, const void* data, std::size_t size) override {
    if (introduced_) return bounded_scribe::consume(context, data, size);
    const std::string_view given(static_cast<const char*>(data), size);
    if (greeted_) {
      introduced_ = true;
      return introduces_a_client(given) ? bounded_scribe::consume(context, data, size) : refuse(context, not_ours);
    }
    if (!given.starts_with(magic)) return refuse(context, not_ours);
    if (!same(given, greeting_)) return refuse(context, "has another cluster.token; set the same one on both");
    greeted_ = true;
    silent_->remove(silence_);
    bounded_scribe::configure_read(then_);
    return true;
  }

private:
  static constexpr const char* not_ours = "is no worker of this version";

  bool refuse(caf::execution_unit* context, const char* why) {
    if (complaints_->may_be_told(addr(), why))
      spdlog::warn("cluster port: {}:{} {}: its connection is closed", addr(), port(), why);
    io_failure(context, io::network::operation::read);
    return false;
  }

  const greeting greeting_;
  const std::shared_ptr<silent_connections> silent_;
  const std::uint64_t silence_;
  const std::shared_ptr<complaints> complaints_;
  bool greeted_ = false;
  bool introduced_ = false; ///< its first header has come
  receive_policy::config then_ = receive_policy::at_most(1);
};

class greeted_doorman : public io::network::doorman_impl {
public:
  greeted_doorman(default_multiplexer& on, native_socket listening, const greeting& wanted)
    : doorman_impl(on, listening), greeting_(wanted) {}

  bool new_connection() override {
    if (detached()) return false;
    auto& on = acceptor_.backend();
    const auto socket = acceptor_.accepted_socket();
    io::network::keepalive(socket, true);
    auto connected = caf::make_counted<greeted_scribe>(on, socket, greeting_, silent_, complaints_);
    const auto handle = connected->hdl();
    parent()->add_scribe(std::move(connected));
    return doorman::new_connection(&on, handle);
  }

private:
  const greeting greeting_;
  const std::shared_ptr<silent_connections> silent_ = std::make_shared<silent_connections>();
  const std::shared_ptr<complaints> complaints_ = std::make_shared<complaints>();
};

class cluster_middleman : public io::middleman_actor_impl {
public:
  cluster_middleman(caf::actor_config& config, caf::actor broker, const greeting& ours)
    : middleman_actor_impl(config, std::move(broker)), greeting_(ours) {}

  [[nodiscard]] const char* name() const override { return "cluster_middleman"; }

protected:
  caf::expected<io::scribe_ptr> connect(const std::string& host, std::uint16_t port) override {
    const auto connected = io::network::new_tcp_connection(host, port);
    if (!connected) return connected.error();
    // A connection that was just made takes so few bytes at once.
    const auto sent = ::send(*connected, greeting_.data(), greeting_.size(), MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(greeting_.size()))
      return caf::make_counted<bounded_scribe>(multiplexer(), *connected);
    io::network::close_socket(*connected);
    return caf::sec::cannot_connect_to_node;
  }

  caf::expected<io::doorman_ptr> open(std::uint16_t port, const char* host, bool reuse) override {
    const auto listening = io::network::new_tcp_acceptor_impl(port, host, reuse);
    if (!listening) return listening.error();
    return caf::make_counted<greeted_doorman>(multiplexer(), *listening, greeting_);
  }

private:
  default_multiplexer& multiplexer() { return static_cast<default_multiplexer&>(system().middleman().backend()); }

  const greeting greeting_;
};

} // namespace

io::middleman_actor spawn_cluster_port(caf::actor_system& system, const std::string& token) {
  auto broker = system.middleman().named_broker<io::basp_broker>(caf::atom("BASP"));
  return system.spawn<cluster_middleman, caf::detached + caf::hidden>(std::move(broker), greeting_of(token));
}

caf::expected<std::uint16_t> publish(const io::middleman_actor& at, caf::strong_actor_ptr whom, std::uint16_t port,
                                     const std::string& host) {
  auto ask = caf::make_function_view(at);
  return ask(caf::publish_atom::value, port, std::move(whom), std::set<std::string>{}, host, true);
}

} // namespace reseq::actors
