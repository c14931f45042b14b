#include <netinet/in.h>
#include <sys/socket.h>

#include <future>
#include <map>
#include <optional>

#include "reseq/net/http_client.hpp"
#include "served.hpp"

using namespace reseq;
using namespace reseq::net;
using namespace reseq::test;
using namespace std::chrono_literals;

namespace {

using found = result<std::vector<std::string>>;

/// Answers look-ups when and as the test wants. Shared with the threads that look names up, which nobody waits for.
class names {
public:
  /// What the next look-ups of `name` get; nothing: they wait until something is set.
  void set(const std::string& name, std::optional<found> answer) {
    const std::lock_guard lock(mutex_);
    answers_[name] = std::move(answer);
    changed_.notify_all();
  }

  found look_up(const std::string& name) {
    std::unique_lock lock(mutex_);
    asked.put(name);
    changed_.wait(lock, [&] { return answers_[name].has_value(); });
    return *answers_[name];
  }

  inbox<std::string> asked;

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::optional<found>> answers_;
};

name_lookup by(const std::shared_ptr<names>& all) {
  return [all](const std::string& name) { return all->look_up(name); };
}

/// Several clients of one loop.
struct calling_by_name {
  explicit calling_by_name(const std::shared_ptr<names>& all) : io(by(all)) { io.start(); }

  http_client& client(const std::string& host, std::uint16_t port) {
    return *clients.emplace_back(std::make_unique<http_client>(io, url{"http", host, port, "/"}));
  }

  void post(http_client& with, duration timeout = 1h) {
    with.post("", {}, std::string("x"), timeout, [this](const result<client_answer>& answer) {
      answers.put(answer ? std::to_string(answer->status) : answer.error().what);
    });
  }

  inbox<std::string> answers;
  loop io;
  std::vector<std::unique_ptr<http_client>> clients;
};

/// Answers, and closes each connection.
struct closing : served {
  explicit closing(std::uint16_t port = 0)
    : served(options(port), [](const http_request&, const responder& answer) {
        http_response ok;
        ok.close = true;
        answer(std::move(ok));
      }) {}

  static server_options options(std::uint16_t port) {
    server_options made;
    made.port = port;
    return made;
  }
};

/// 127.0.0.2, where connections to `port` are neither taken nor refused: the queue of those to be accepted is full.
class silent_address {
public:
  explicit silent_address(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    const auto* const address = reinterpret_cast<const sockaddr*>(&at);
    const auto listener = made(0);
    REQUIRE(::bind(listener, address, sizeof at) == 0);
    REQUIRE(::listen(listener, 0) == 0);
    for (int n = 0; n < 4; ++n) (void)::connect(made(SOCK_NONBLOCK), address, sizeof at);
  }
  silent_address(const silent_address&) = delete;
  silent_address& operator=(const silent_address&) = delete;
  ~silent_address() {
    for (const auto one : open_) ::close(one);
  }

private:
  int made(int flags) { return open_.emplace_back(::socket(AF_INET, SOCK_STREAM | flags, 0)); }

  std::vector<int> open_;
};

const found here = std::vector<std::string>{"127.0.0.1"};
const found nobody_knows = fail(errc::unavailable, "try again later");
const found no_such_name = fail(errc::not_found, "no such name");

} // namespace

TEST_CASE("names that are not answered for do not hold up another") {
  const auto dns = std::make_shared<names>();
  dns->set("good.test", here);
  closing at;
  calling_by_name to(dns);
  for (int n = 0; n < 10; ++n) {
    const auto slow = "slow" + std::to_string(n) + ".test";
    to.post(to.client(slow, at.server->port()));
    CHECK(dns->asked.next() == slow);
  }
  to.post(to.client("good.test", at.server->port()));
  CHECK(to.answers.next() == "200");
  for (int n = 0; n < 10; ++n) dns->set("slow" + std::to_string(n) + ".test", here);
  for (int n = 0; n < 10; ++n) CHECK(to.answers.next() == "200");
}

TEST_CASE("names that were not found before leave threads to the others, however many they are") {
  constexpr auto many = 100;
  const auto dns = std::make_shared<names>();
  dns->set("good.test", here);
  closing at;
  calling_by_name to(dns);
  std::vector<std::string> bad;
  for (int n = 0; n < many; ++n) {
    bad.push_back("bad" + std::to_string(n) + ".test");
    dns->set(bad.back(), nobody_knows);
    to.post(to.client(bad.back(), at.server->port()));
  }
  for (int n = 0; n < many; ++n) CHECK(to.answers.next() == "the name cannot be resolved: try again later");
  for (int n = 0; n < many; ++n) {
    dns->set(bad[n], {});
    to.post(*to.clients[n]);
  }
  to.post(to.client("good.test", at.server->port()));
  CHECK(to.answers.next() == "200");
  for (const auto& one : bad) dns->set(one, here);
  for (int n = 0; n < many; ++n) CHECK(to.answers.next() == "200");
}

TEST_CASE("a look-up is shared, and its addresses are remembered") {
  const auto dns = std::make_shared<names>();
  closing at;
  calling_by_name to(dns);
  for (int n = 0; n < 3; ++n) to.post(to.client("a.test", at.server->port()));
  CHECK(dns->asked.next() == "a.test");
  dns->set("a.test", here);
  for (int n = 0; n < 3; ++n) CHECK(to.answers.next() == "200");
  to.post(*to.clients[0]);
  CHECK(to.answers.next() == "200");
  CHECK(dns->asked.empty());
}

TEST_CASE("a name's last addresses are used while it cannot be looked up") {
  const bool silent = GENERATE(false, true);
  const auto dns = std::make_shared<names>();
  dns->set("a.test", here);
  std::optional<closing> at(std::in_place);
  const auto port = at->server->port();
  calling_by_name to(dns);
  auto& client = to.client("a.test", port);
  to.post(client);
  CHECK(to.answers.next() == "200");
  CHECK(dns->asked.next() == "a.test");
  at.reset();
  to.post(client);
  CHECK(has(to.answers.next(), "cannot connect: "));
  CHECK(dns->asked.empty());
  at.emplace(port);
  dns->set("a.test", silent ? std::nullopt : std::optional{nobody_knows});
  to.post(client);
  CHECK(dns->asked.next() == "a.test"); // since nobody was there
  CHECK(to.answers.next() == "200");
  to.post(client);
  CHECK(to.answers.next() == "200");
  CHECK(dns->asked.empty());
  dns->set("a.test", here);
}

TEST_CASE("a name that has gone is not connected to any more") {
  const auto dns = std::make_shared<names>();
  dns->set("a.test", here);
  raw_listener nobody;
  const auto port = nobody.port();
  nobody.close();
  calling_by_name to(dns);
  auto& client = to.client("a.test", port);
  to.post(client);
  CHECK(has(to.answers.next(), "cannot connect: "));
  dns->set("a.test", no_such_name);
  to.post(client);
  CHECK(to.answers.next() == "the name cannot be resolved: no such name");
}

TEST_CASE("a look-up that takes too long is what a request failed of, and nothing waits for it") {
  const auto dns = std::make_shared<names>();
  {
    calling_by_name to(dns);
    to.post(to.client("a.test", 80), 20ms);
    CHECK(to.answers.next() == "the name was not resolved within 20 ms");
  }
  dns->set("a.test", here);
}

TEST_CASE("an address that does not answer, or refuses, does not keep a client from the next one") {
  const auto dns = std::make_shared<names>();
  closing at;
  const silent_address silent(at.server->port());
  const std::vector<std::string> before = GENERATE(std::vector<std::string>{"127.0.0.2"}, // silent
                                                   std::vector<std::string>{"127.0.0.3"}, // refuses
                                                   std::vector<std::string>{"127.0.0.2", "127.0.0.3", "::1"});
  auto all = before;
  all.emplace_back("127.0.0.1");
  dns->set("a.test", all);
  calling_by_name to(dns);
  auto& client = to.client("a.test", at.server->port());
  for (int n = 0; n < 2; ++n) {
    to.post(client, 5s);
    CHECK(to.answers.next() == "200");
  }
}

TEST_CASE("when no address answers in time, a client says so") {
  const auto dns = std::make_shared<names>();
  raw_listener port;
  const silent_address silent(port.port());
  dns->set("a.test", std::vector<std::string>{"127.0.0.3", "127.0.0.2"});
  calling_by_name to(dns);
  to.post(to.client("a.test", port.port()), 50ms);
  CHECK(to.answers.next() == "could not connect within 50 ms");
}
