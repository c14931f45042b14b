#include "cutting_proxy.hpp"

#include <array>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace reseq::test {

namespace fs = std::filesystem;

namespace {

constexpr int look_up_ms = 20; // whether it is over

sockaddr_un address_in(const fs::path& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (directory / ".s.PGSQL.5432").c_str(), sizeof(address.sun_path) - 1);
  return address;
}

bool send_all(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::string receive(int from) {
  std::array<char, 65536> buffer{};
  const auto got = recv(from, buffer.data(), buffer.size(), 0);
  return got > 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : std::string{};
}

/// In a session that does nothing at the moment.
bool reset(int server) {
  using namespace std::string_view_literals;
  constexpr auto discard_all = "Q\0\0\0\20DISCARD ALL\0"sv;
  constexpr auto ready = "Z\0\0\0\5I"sv;
  bool open = send_all(server, discard_all);
  for (std::string said; open && !said.ends_with(ready);) {
    const auto more = receive(server);
    open = !more.empty();
    said += more;
  }
  return open;
}

} // namespace

cutting_proxy::cutting_proxy(fs::path server) : server_(std::move(server)) {
  std::string name = (fs::temp_directory_path() / "reseq-proxy-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  directory_ = name;
  listening_ = socket(AF_UNIX, SOCK_STREAM, 0);
  const auto address = address_in(directory_);
  if (bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listening_, 16) != 0)
    throw std::runtime_error("cannot listen in " + name);
  accepting_ = std::thread([this] { accept_all(); });
}

cutting_proxy::~cutting_proxy() {
  stopping_ = true;
  accepting_.join();
  for (auto& one : passing_) one.join();
  close(listening_);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

std::string cutting_proxy::url(const std::string& database) const {
  return "postgresql:///" + database + "?host=" + directory_.string() + "&user=reseq";
}

void cutting_proxy::hang_at(const std::string& what, hanging when) {
  const std::lock_guard hold(mutex_);
  hang_at_ = what;
  hangs_ = when;
}

void cutting_proxy::hang_no_more() { hang_at({}); }

void cutting_proxy::accept_all() {
  while (!stopping_) {
    pollfd waiting{listening_, POLLIN, 0};
    if (poll(&waiting, 1, look_up_ms) <= 0) continue;
    const int client = accept(listening_, nullptr, nullptr);
    if (client < 0) continue;
    if (refusing_)
      close(client);
    else
      passing_.emplace_back([this, client] { pass_on(client); });
  }
}

void cutting_proxy::pass_on(int client) {
  const int server = socket(AF_UNIX, SOCK_STREAM, 0);
  const auto address = address_in(server_);
  bool open = connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  int resets = resets_;
  while (open && !stopping_) {
    std::array<pollfd, 2> ends{{{client, POLLIN, 0}, {server, POLLIN, 0}}};
    if (poll(ends.data(), ends.size(), look_up_ms) <= 0) continue;
    if (ends[0].revents != 0 && std::exchange(resets, resets_) != resets_) open = reset(server);
    if (open && ends[0].revents != 0) open = pass_from_client(client, server);
    if (open && ends[1].revents != 0) {
      const auto bytes = receive(server);
      open = !bytes.empty() && send_all(client, bytes);
    }
  }
  close(client);
  close(server);
}

bool cutting_proxy::pass_from_client(int client, int server) {
  const auto bytes = receive(client);
  if (bytes.empty()) return false;
  const bool commits = bytes.find("COMMIT") != std::string::npos;
  const cut where = commits ? where_.exchange(cut::never) : cut::never;
  if (where == cut::before_commit) return false;
  if (hangs_at(bytes, server)) {
    wait_until_nothing_hangs(client);
    return false;
  }
  if (!send_all(server, bytes)) return false;
  if (where == cut::after_commit) receive(server);
  return where == cut::never;
}

bool cutting_proxy::hangs_at(const std::string& bytes, int server) {
  const std::lock_guard hold(mutex_);
  if (hang_at_.empty() || bytes.find(hang_at_) == std::string::npos) return false;
  if (hangs_ == hanging::after && send_all(server, bytes)) receive(server);
  return true;
}

/// Or until the client has gone.
void cutting_proxy::wait_until_nothing_hangs(int client) {
  for (bool hangs = true; hangs && !stopping_;) {
    pollfd gone{client, POLLRDHUP, 0};
    if (poll(&gone, 1, look_up_ms) > 0) return;
    const std::lock_guard hold(mutex_);
    hangs = !hang_at_.empty();
  }
}

} // namespace reseq::test
