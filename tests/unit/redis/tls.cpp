// TLS, where this build's hiredis has it.

#include <array>
#include <chrono>
#include <cstdlib>
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
  if (!store::redis::channel::has_tls()) return;
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

} // namespace reseq::test
