#include "redis_server.hpp"

#include <array>
#include <utility>

namespace reseq::test {

using store::redis::command;
using store::redis::reply;

redis_server::redis_server(std::vector<std::string> more) : more_(std::move(more)) { start(); }

void redis_server::start() {
  const auto dir = directory_.path().string();
  std::vector<std::string> arguments{"--port", "0", "--unixsocket", dir + "/socket", "--dir", dir, "--save", ""};
  arguments.insert(arguments.end(), more_.begin(), more_.end());
  process_.emplace(std::move(arguments));
}

store::redis::server_url redis_server::url() const { return must(store::redis::parse_server_url(url_text())); }

std::string redis_server::url_text(const std::string& user) const {
  return "unix://" + user + (user.empty() ? "" : "@") + (directory_.path() / "socket").string();
}

void redis_server::restart() {
  admin_.reset();
  process_.reset();
  start();
}

void redis_server::forget_saved() const { std::filesystem::remove(directory_.path() / "dump.rdb"); }

reply redis_server::ask(const command& what) {
  constexpr auto long_enough = std::chrono::seconds{30};
  if (!admin_) admin_.emplace(must(store::redis::connection::open(url(), long_enough)));
  auto answers = must(admin_->exchange(std::array{what}, long_enough));
  if (answers.front().type() == reply::kind::error) FAIL(answers.front().text());
  return std::move(answers.front());
}

std::string redis_server::ask_text(const command& what) { return std::string(ask(what).text()); }
std::int64_t redis_server::ask_number(const command& what) { return ask(what).integer(); }

store::redis::client_options patient() {
  store::redis::client_options options;
  options.timeout = std::chrono::seconds{30};
  options.shortest_wait = duration{0};
  options.longest_wait = duration{0};
  return options;
}

std::unique_ptr<store::resequencer> access(const store::redis::server_url& where,
                                           const store::redis::client_options& options, const shard_id& shard,
                                           std::string origin) {
  auto through = std::make_shared<store::redis::client>(where, options);
  return std::make_unique<store::redis::redis_resequencer>(std::move(through), shard, std::move(origin));
}

} // namespace reseq::test
