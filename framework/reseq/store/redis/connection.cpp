#include "reseq/store/redis/connection.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

namespace reseq::store::redis {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t longest_error = 200;

/// Errors that are not told apart by their first word are defects of ours.
struct known_error {
  std::string_view word;
  errc code;
};
constexpr std::array known_errors{
  known_error{"LOADING", errc::unavailable},
  known_error{"READONLY", errc::unavailable},
  known_error{"MASTERDOWN", errc::unavailable},
  known_error{"BUSY", errc::unavailable},
  known_error{"CLUSTERDOWN", errc::unavailable},
  known_error{"TRYAGAIN", errc::unavailable},
  known_error{"NOREPLICAS", errc::unavailable},
  known_error{"MISCONF", errc::unavailable},
  known_error{"UNKILLABLE", errc::unavailable},
  known_error{"OOM", errc::no_space},
  known_error{"NOAUTH", errc::invalid},
  known_error{"WRONGPASS", errc::invalid},
  known_error{"NOPERM", errc::invalid},
  known_error{"MOVED", errc::invalid},
  known_error{"ASK", errc::invalid},
  known_error{"WRONGTYPE", errc::incompatible},
};

result<std::vector<reply>> ask(channel& to, std::span<const command> commands, time_point until) {
  for (const auto& one : commands) to.append(one);
  std::vector<reply> answers;
  answers.reserve(commands.size());
  while (answers.size() < commands.size()) {
    auto next = to.receive(until);
    if (!next) return tl::unexpected(std::move(next.error()));
    answers.push_back(std::move(*next));
  }
  return answers;
}

result<void> log_in(channel& to, const std::string& user, const std::string& password, std::uint32_t database,
                    time_point until) {
  std::vector<command> commands;
  if (!password.empty()) {
    command auth("AUTH");
    if (!user.empty()) auth.add(user);
    commands.push_back(auth.add(password));
  }
  if (database > 0) commands.push_back(command("SELECT").number(database));
  const auto answers = ask(to, commands, until);
  if (!answers) return tl::unexpected(answers.error());
  for (const auto& one : *answers) {
    if (one.type() != reply::kind::error) continue;
    auto why = meaning(one.text());
    if (why.code == errc::internal) why.code = errc::invalid; // "ERR invalid password", "ERR DB index is out of range"
    return tl::unexpected(std::move(why));
  }
  return {};
}

result<void> log_in(channel& to, const server_url& where, time_point until) {
  return log_in(to, where.user, where.password, where.database, until);
}

result<channel> connect(const server_address& at, const server_url& where, time_point until) {
  auto to = channel::connect_tcp(at.host, at.port, until);
  if (to && where.encrypted)
    if (auto fine = to->start_tls(at.host, until); !fine) return tl::unexpected(std::move(fine.error()));
  return to;
}

result<server_address> ask_sentinel(const server_address& sentinel, const server_url& where, time_point until) {
  auto to = connect(sentinel, where, until);
  if (!to) return tl::unexpected(std::move(to.error()));
  if (auto fine = log_in(*to, where.sentinel_user, where.sentinel_password, 0, until); !fine)
    return tl::unexpected(std::move(fine.error()));
  const std::array question{command("SENTINEL").add("get-master-addr-by-name").add(where.master)};
  const auto answers = ask(*to, question, until);
  if (!answers) return tl::unexpected(answers.error());
  const auto& said = answers->front();
  if (said.type() == reply::kind::error) return tl::unexpected(meaning(said.text()));
  if (said.size() != 2) return fail(errc::unavailable, "does not know the master \"" + where.master + "\"");
  const auto port = said[1];
  server_address found{std::string(said[0].text()), 0};
  std::from_chars(port.text().data(), port.text().data() + port.text().size(), found.port);
  return found;
}

/// Whether it is what its sentinel took it for: after a failover they may not know yet.
result<void> expect_master(channel& to, time_point until) {
  const std::array question{command("ROLE")};
  const auto answers = ask(to, question, until);
  if (!answers) return tl::unexpected(answers.error());
  const auto& said = answers->front();
  if (said.type() == reply::kind::error) return tl::unexpected(meaning(said.text()));
  if (said.size() > 0 && said[0].text() == "master") return {};
  return fail(errc::unavailable, "is no master");
}

result<channel> connect_to_master(const server_address& at, const server_url& where, time_point until) {
  auto to = connect(at, where, until);
  if (!to) return to;
  if (auto fine = log_in(*to, where, until); !fine) return tl::unexpected(std::move(fine.error()));
  if (auto fine = expect_master(*to, until); !fine) return tl::unexpected(std::move(fine.error()));
  return to;
}

std::string named(const server_address& one) { return one.host + ":" + std::to_string(one.port); }

/// A sentinel may not know yet, or never hear, that another server is the master now: then the next one is asked. What
/// is wrong with a server that one of them names says more than that another sentinel is away.
result<channel> connect_by_sentinel(const server_url& where, duration timeout) {
  error last;
  std::vector<server_address> tried;
  for (const auto& sentinel : where.hosts) {
    const auto by = "sentinel " + named(sentinel);
    const auto master = ask_sentinel(sentinel, where, steady_clock::now() + timeout);
    if (!master && tried.empty()) last = {errc::unavailable, master.error().what, by};
    if (!master || std::ranges::find(tried, *master) != tried.end()) continue;
    auto to = connect_to_master(*master, where, steady_clock::now() + timeout);
    if (to) return to;
    tried.push_back(*master);
    last = {to.error().code, std::move(to.error().what), named(*master) + ", named by " + by};
  }
  return tl::unexpected(std::move(last));
}

result<channel> connect_directly(const server_url& where, time_point until) {
  auto to = where.how == server_url::kind::unix_socket ? channel::connect_unix(where.path, until)
                                                       : connect(where.hosts.front(), where, until);
  if (!to) return to;
  if (auto fine = log_in(*to, where, until); !fine) return tl::unexpected(std::move(fine.error()));
  return to;
}

} // namespace

error meaning(std::string_view answered) {
  const auto line = answered.substr(0, std::min(answered.find_first_of("\r\n"), longest_error));
  const auto word = line.substr(0, line.find(' '));
  const auto known = std::ranges::find(known_errors, word, &known_error::word);
  std::string what = "Redis answered: " + std::string(line);
  if (word == "MOVED" || word == "ASK")
    what +=
      "; a cluster's redirections are not followed: name a Redis that is no cluster, or the node that keeps this slot";
  return {known == known_errors.end() ? errc::internal : known->code, std::move(what), {}};
}

result<connection> connection::open(const server_url& where, duration timeout) {
  auto to = where.how == server_url::kind::sentinel ? connect_by_sentinel(where, timeout)
                                                    : connect_directly(where, steady_clock::now() + timeout);
  if (to) return connection(std::move(*to));
  auto why = std::move(to.error());
  if (why.where.empty()) why.where = where.text();
  return tl::unexpected(std::move(why));
}

result<std::vector<reply>> connection::exchange(std::span<const command> commands, duration timeout) {
  return ask(channel_, commands, steady_clock::now() + timeout);
}

} // namespace reseq::store::redis
