// TLS, where this build's hiredis has it.

#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "redis_server.hpp"

namespace reseq::test {

namespace {

using store::redis::client;
using store::redis::command;

/// A server whose certificate is for localhost only, signed by itself.
class tls_server {
public:
  tls_server() {
    const auto make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext "
                      "subjectAltName=DNS:localhost -keyout " +
                      file("key") + " -out " + certificate() + " 2>/dev/null";
    REQUIRE(std::system(make.c_str()) == 0);
    process_.emplace(std::vector<std::string>{"--port", "0", "--tls-port", std::to_string(port_), "--tls-cert-file",
                                              certificate(), "--tls-key-file", file("key"), "--tls-ca-cert-file",
                                              certificate(), "--tls-auth-clients", "no", "--save", "", "--dir",
                                              directory_.path().string()});
  }

  [[nodiscard]] std::string certificate() const { return file("certificate"); }
  [[nodiscard]] client access(const std::string& host) const {
    return {must(store::redis::parse_server_url("rediss://" + host + ":" + std::to_string(port_))), patient()};
  }

private:
  [[nodiscard]] std::string file(const std::string& name) const { return (directory_.path() / name).string(); }

  scratch_directory directory_;
  std::uint16_t port_ = free_port();
  std::optional<redis_process> process_;
};

/// A master and its sentinel, over TLS alone, by a certificate for 127.0.0.1.
class tls_pair {
public:
  tls_pair() {
    const auto make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=pair -addext "
                      "subjectAltName=IP:127.0.0.1 -keyout " +
                      file("key") + " -out " + certificate() + " 2>/dev/null";
    REQUIRE(std::system(make.c_str()) == 0);
    std::vector<std::string> server{"--save", "", "--bind", "127.0.0.1"};
    for (const auto& word : tls(ports_[0])) server.push_back(word);
    master_.emplace(server);
    const auto config = file("sentinel.conf");
    {
      std::ofstream out(config);
      out << "bind 127.0.0.1\nsentinel monitor main 127.0.0.1 " << ports_[0] << " 1\n";
      const auto words = tls(ports_[1]);
      for (std::size_t i = 0; i < words.size(); i += 2) out << words[i].substr(2) << " " << words[i + 1] << "\n";
    }
    sentinel_.emplace(std::vector<std::string>{config, "--sentinel"});
  }

  [[nodiscard]] std::string certificate() const { return file("certificate"); }
  [[nodiscard]] client access(const std::string& scheme) const {
    return {must(store::redis::parse_server_url(scheme + "://127.0.0.1:" + std::to_string(ports_[1]) + "/main")),
            patient()};
  }

private:
  [[nodiscard]] std::string file(const std::string& name) const { return (directory_.path() / name).string(); }
  [[nodiscard]] std::vector<std::string> tls(std::uint16_t port) const {
    return {"--port",
            "0",
            "--tls-port",
            std::to_string(port),
            "--tls-cert-file",
            certificate(),
            "--tls-key-file",
            file("key"),
            "--tls-ca-cert-file",
            certificate(),
            "--tls-auth-clients",
            "no",
            "--tls-replication",
            "yes",
            "--dir",
            directory_.path().string()};
  }

  scratch_directory directory_;
  std::array<std::uint16_t, 2> ports_{free_port(), free_port()};
  std::optional<redis_process> master_;
  std::optional<redis_process> sentinel_;
};

/// What OpenSSL trusts instead of the system's certificates.
class trusted {
public:
  explicit trusted(const std::string& certificate) { setenv("SSL_CERT_FILE", certificate.c_str(), 1); }
  ~trusted() { unsetenv("SSL_CERT_FILE"); }
  trusted(const trusted&) = delete;
  trusted& operator=(const trusted&) = delete;
};

} // namespace

TEST_CASE("over TLS everything works as without, with a certificate that is trusted and of that name") {
  if (!store::redis::channel::has_tls()) {
    WARN("left out: this hiredis has no TLS");
    return;
  }
  const tls_server server;
  auto stranger = server.access("localhost");
  CHECK(stranger.run(std::array{command("PING")}).error().code == errc::unavailable);

  const trusted now(server.certificate());
  auto one = server.access("localhost");
  std::vector<command> many;
  for (std::size_t i = 0; i < 100; ++i) many.push_back(command("ECHO").add(std::string(i * 997, 'x')));
  const auto answers = must(one.run(many));
  for (std::size_t i = 0; i < answers.size(); ++i) CHECK(answers[i].text().size() == i * 997);
  auto other_name = server.access("127.0.0.1");
  CHECK(other_name.run(std::array{command("PING")}).error().code == errc::unavailable);
}

TEST_CASE("sentinels and the master that they name are asked over TLS") {
  if (!store::redis::channel::has_tls()) {
    WARN("left out: this hiredis has no TLS");
    return;
  }
  const tls_pair pair;
  const trusted now(pair.certificate());
  auto one = pair.access("rediss-sentinel");
  CHECK(must(one.run(std::array{command("ECHO").add("over TLS")})).front().text() == "over TLS");
  auto other = pair.access("redis-sentinel");
  CHECK(other.run(std::array{command("PING")}).error().code == errc::unavailable);
}

} // namespace reseq::test
