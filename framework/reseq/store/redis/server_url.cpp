#include "reseq/store/redis/server_url.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "reseq/store/redis/hiredis.hpp"

namespace reseq::store::redis {
namespace {

constexpr std::uint16_t server_port = 6379;
constexpr std::uint16_t sentinel_port = 26379;

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Takes what stands before the first `end` off the front, and `end` too; all of it if there is none.
std::string_view take_until(std::string_view& text, char end) {
  const auto at = std::min(text.find(end), text.size());
  const auto front = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return front;
}

result<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    std::uint8_t byte = 0;
    const auto digits = text.substr(i + 1, 2);
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (failed != std::errc{} || digits.size() != 2 || end != digits.data() + 2)
      return fail(errc::invalid, "a '%' in user or password is not followed by two hexadecimal digits");
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

struct login {
  std::string user;
  std::string password;
};

result<login> read_login(std::string_view text, std::string_view where) {
  const auto colon = text.find(':');
  const bool has_user = colon != std::string_view::npos;
  auto user = percent_decoded(has_user ? text.substr(0, colon) : std::string_view{});
  auto password = percent_decoded(has_user ? text.substr(colon + 1) : text);
  if (!user) return tl::unexpected(std::move(user.error()));
  if (!password) return tl::unexpected(std::move(password.error()));
  if (password->empty()) return fail(errc::invalid, "what stands " + std::string(where) + " has no password");
  return login{std::move(*user), std::move(*password)};
}

bool is_host(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == ':';
  });
}

result<server_address> read_address(std::string_view text, std::uint16_t port) {
  std::string_view host;
  if (text.starts_with('[')) {
    text.remove_prefix(1);
    if (text.find(']') == std::string_view::npos)
      return fail(errc::invalid, "the bracket of the IPv6 address is not closed");
    host = take_until(text, ']');
    if (!text.empty() && !text.starts_with(':')) return fail(errc::invalid, "a port after ']' needs a ':'");
  } else {
    host = text.substr(0, text.find(':'));
    text.remove_prefix(host.size());
    if (text.find(':', 1) != std::string_view::npos)
      return fail(errc::invalid, "an IPv6 address needs brackets, as in [::1]:6379");
  }
  if (host.empty()) return fail(errc::invalid, "the host is missing");
  if (!is_host(host)) return fail(errc::invalid, "the host is no valid name or address");
  if (text.empty()) return server_address{std::string(host), port};
  const auto named = parse_number<std::uint16_t>(text.substr(1));
  if (!named || *named == 0) return fail(errc::invalid, "the port must be 1 to 65535");
  return server_address{std::string(host), *named};
}

result<void> read_database(std::string_view text, server_url& into) {
  if (text.empty()) return {};
  const auto number = parse_number<std::uint32_t>(text);
  if (!number) return fail(errc::invalid, "the database must be a number, as in redis://localhost:6379/0");
  into.database = *number;
  return {};
}

result<void> read_sentinel_login(std::string_view text, server_url& into) {
  constexpr std::string_view key = "sentinel=";
  if (text.empty()) return {};
  if (!text.starts_with(key)) return fail(errc::invalid, "after '?' only sentinel=[USER:]PASSWORD may stand");
  auto read = read_login(text.substr(key.size()), "behind sentinel=");
  if (!read) return tl::unexpected(std::move(read.error()));
  into.sentinel_user = std::move(read->user);
  into.sentinel_password = std::move(read->password);
  return {};
}

result<void> read_hosts(std::string_view text, server_url& into) {
  const bool sentinel = into.how == server_url::kind::sentinel;
  auto hosts = take_until(text, '/');
  do {
    const auto one = sentinel ? take_until(hosts, ',') : std::exchange(hosts, {});
    auto address = read_address(one, sentinel ? sentinel_port : server_port);
    if (!address) return tl::unexpected(std::move(address.error()));
    into.hosts.push_back(std::move(*address));
  } while (!hosts.empty());
  if (sentinel) {
    into.master = std::string(text.substr(0, text.find_first_of("/?")));
    text.remove_prefix(into.master.size());
    if (text.starts_with('/')) text.remove_prefix(1);
    const auto database = take_until(text, '?');
    if (auto fine = read_sentinel_login(std::exchange(text, database), into); !fine) return fine;
    if (into.master.empty())
      return fail(errc::invalid, "the master's name is missing, as in redis-sentinel://host1,host2/mymaster");
  }
  return read_database(text, into);
}

result<void> read_path(std::string_view text, server_url& into) {
  into.path = std::string(take_until(text, '?'));
  if (!into.path.starts_with('/') || into.path.size() < 2)
    return fail(errc::invalid, "the socket's absolute path is missing, as in unix:///run/redis/redis.sock");
  if (text.empty()) return {};
  if (!text.starts_with("db=")) return fail(errc::invalid, "after '?' only db=NUMBER may stand");
  return read_database(text.substr(3), into);
}

std::optional<server_url::kind> kind_of(std::string_view scheme) {
  if (scheme == "redis" || scheme == "rediss") return server_url::kind::tcp;
  if (scheme == "unix") return server_url::kind::unix_socket;
  if (scheme == "redis-sentinel" || scheme == "rediss-sentinel") return server_url::kind::sentinel;
  return std::nullopt;
}

std::string shown(const server_address& at) {
  const bool v6 = at.host.find(':') != std::string::npos;
  return (v6 ? "[" + at.host + "]" : at.host) + ":" + std::to_string(at.port);
}

} // namespace

std::string server_url::text() const {
  const auto db = std::to_string(database);
  if (how == kind::unix_socket) return "unix://" + path + (database > 0 ? "?db=" + db : "");
  std::string out = encrypted ? "rediss" : "redis";
  out += how == kind::sentinel ? "-sentinel://" : "://";
  for (std::size_t i = 0; i < hosts.size(); ++i) out += (i > 0 ? "," : "") + shown(hosts[i]);
  if (how == kind::sentinel) out += "/" + master;
  return out + "/" + db;
}

result<server_url> parse_server_url(std::string_view text) {
  const auto separator = text.find("://");
  const auto scheme = text.substr(0, std::min(separator, text.size()));
  const auto how = kind_of(scheme);
  if (separator == std::string_view::npos || !how)
    return fail(errc::invalid,
                "a Redis URL starts with redis://, rediss://, unix://, redis-sentinel:// or rediss-sentinel://");
  if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; }))
    return fail(errc::invalid, "a URL holds no spaces, control or non-ASCII characters: percent-encode them");
  const bool encrypted = scheme.starts_with("rediss");
  if (encrypted && !channel::has_tls())
    return fail(errc::invalid,
                std::string(scheme) +
                  ":// needs hiredis 1.0 or later, and this program was built with an earlier one; a TLS tunnel on "
                  "this machine and redis:// does the same");
  server_url parsed;
  parsed.how = *how;
  parsed.encrypted = encrypted;
  auto rest = text.substr(separator + 3);
  const bool bare_path = *how == server_url::kind::unix_socket && rest.starts_with('/');
  const auto at = rest.rfind('@');
  if (at != std::string_view::npos && !bare_path) {
    auto read = read_login(rest.substr(0, at), "before the '@'");
    if (!read) return tl::unexpected(std::move(read.error()));
    parsed.user = std::move(read->user);
    parsed.password = std::move(read->password);
    rest.remove_prefix(at + 1);
  }
  auto fine = *how == server_url::kind::unix_socket ? read_path(rest, parsed) : read_hosts(rest, parsed);
  if (!fine) return tl::unexpected(std::move(fine.error()));
  return parsed;
}

} // namespace reseq::store::redis
