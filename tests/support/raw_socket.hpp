/// Blocking TCP on 127.0.0.1, byte by byte: for tests that play a client or a server that does not behave.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace reseq::test {

/// One connection. Reads give up after ten seconds, so that a test that waits in vain fails instead of hanging.
class raw_socket {
public:
  explicit raw_socket(int descriptor) : descriptor_(descriptor) {
    if (descriptor_ < 0) throw std::runtime_error("no socket");
    const timeval patience{10, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const int yes = 1;
    ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  }
  raw_socket(raw_socket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), kept_(std::move(other.kept_)) {}
  raw_socket& operator=(raw_socket&&) = delete;
  ~raw_socket() { close(); }

  static raw_socket connect(std::uint16_t port) {
    raw_socket made(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(made.descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
      throw std::runtime_error("cannot connect");
    }
    return made;
  }

  /// Whether all of it could be handed to the system.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// Everything up to and including `end`; what was read beyond it is kept for the next read. What came before the end
  /// of the stream if `end` never does.
  std::string read_until(std::string_view end) {
    std::size_t found = 0;
    while ((found = kept_.find(end)) == std::string::npos) {
      if (!read_more()) return std::exchange(kept_, {});
    }
    return take(found + end.size());
  }

  /// `size` bytes, or what came before the end of the stream.
  std::string read_exactly(std::size_t size) {
    while (kept_.size() < size) {
      if (!read_more()) return std::exchange(kept_, {});
    }
    return take(size);
  }

  /// Everything until the peer closes.
  std::string read_all() {
    while (read_more()) {
    }
    return std::exchange(kept_, {});
  }

  /// One HTTP message with a Content-Length or without a body: head and body.
  std::string read_message() {
    auto head = read_until("\r\n\r\n");
    const std::string_view name = "Content-Length: ";
    const auto at = head.find(name);
    if (at == std::string::npos) return head;
    return head + read_exactly(std::stoul(head.substr(at + name.size())));
  }

  /// Whether the peer closed (or reset) the connection; waits for something to happen.
  bool closed_by_peer() { return kept_.empty() && !read_more(); }

  void shutdown_send() { ::shutdown(descriptor_, SHUT_WR); }

  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }

  /// Closes with a reset.
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }

private:
  bool read_more() {
    std::array<char, 4096> bytes{};
    const auto got = ::recv(descriptor_, bytes.data(), bytes.size(), 0);
    if (got <= 0) return false;
    kept_.append(bytes.data(), static_cast<std::size_t>(got));
    return true;
  }

  std::string take(std::size_t size) {
    auto taken = kept_.substr(0, size);
    kept_.erase(0, size);
    return taken;
  }

  int descriptor_;
  std::string kept_;
};

/// Listens on a free port of 127.0.0.1.
class raw_listener {
public:
  raw_listener() : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (::bind(descriptor_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 || ::listen(descriptor_, 64) != 0 ||
        ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
      throw std::runtime_error("cannot listen");
    }
    port_ = ntohs(at.sin_port);
  }
  raw_listener(const raw_listener&) = delete;
  raw_listener& operator=(const raw_listener&) = delete;
  ~raw_listener() { close(); }

  [[nodiscard]] std::uint16_t port() const { return port_; }

  /// Waits for a connection.
  raw_socket accept() { return raw_socket(::accept(descriptor_, nullptr, nullptr)); }

  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }

private:
  int descriptor_;
  std::uint16_t port_ = 0;
};

} // namespace reseq::test
