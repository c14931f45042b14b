/// A server on a free port with a handler of the test's choice, for the tests of this folder.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "raw_socket.hpp"
#include "reseq/net/http_server.hpp"

namespace reseq::test {

/// Collects what other threads report; waits for it.
template <class T>
class inbox {
public:
  void put(T item) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    changed_.notify_all();
  }

  /// The next item, in the order they came; fails the test when none comes within ten seconds.
  T next() {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, std::chrono::seconds{10}, [&] { return !items_.empty(); }));
    auto item = std::move(items_.front());
    items_.erase(items_.begin());
    return item;
  }

  [[nodiscard]] bool empty() {
    const std::lock_guard lock(mutex_);
    return items_.empty();
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<T> items_;
};

/// Answers with "METHOD path?query body".
inline void echo(net::http_request request, const net::responder& answer) {
  net::http_response response;
  response.content_type = "text/plain";
  response.body = request.method + " " + request.path + "?" + request.query + " " + request.body;
  answer(std::move(response));
}

struct served {
  explicit served(net::server_options options = {}, net::http_server::handler handle = echo) {
    auto listening = net::http_server::listen(io, std::move(options), std::move(handle),
                                              [this](std::uint64_t connection) { closed.put(connection); });
    REQUIRE(listening.has_value());
    server = std::move(*listening);
    io.start();
  }

  [[nodiscard]] raw_socket connect() const { return raw_socket::connect(server->port()); }

  inbox<std::uint64_t> closed;
  net::loop io;
  std::unique_ptr<net::http_server> server;
};

inline std::string get(std::string_view path) { return "GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n\r\n"; }

inline std::string post(std::string_view path, std::string_view body, std::string_view headers = {}) {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

inline bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

inline std::string status_line(std::string_view answer) { return std::string(answer.substr(0, answer.find("\r\n"))); }

} // namespace reseq::test
