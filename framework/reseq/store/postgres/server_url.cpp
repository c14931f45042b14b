#include "reseq/store/postgres/server_url.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <utility>

#include <libpq-fe.h>

namespace reseq::store::postgres {

namespace {

struct parameter {
  std::string_view name;
  std::string_view value;
};

#ifdef LIBPQ_HAS_PIPELINING // as old as what tells a standby from a server whose default is to be read only
constexpr std::string_view primary = "primary";
#else
constexpr std::string_view primary = "read-write";
#endif

/// A peer that is gone without a word is noticed within some ten seconds.
/// Neither what is written nor what is read may be a standby's: of several hosts the one that is none.
constexpr std::array<parameter, 7> added{{{"connect_timeout", "5"},
                                          {"application_name", "reseq"},
                                          {"keepalives_idle", "5"},
                                          {"keepalives_interval", "2"},
                                          {"keepalives_count", "3"},
                                          {"tcp_user_timeout", "10000"},
                                          {"target_session_attrs", primary}}};

using read_options = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

constexpr const char* how_to_write =
  "the URL cannot be read: in a user's name, a password and a value write '@' as %40, '/' as %2F, ':' as %3A, '?' as "
  "%3F, '&' as %26, '=' as %3D and '%' as %25";

bool names_secret(std::string_view option) { return option.ends_with("password"); }

/// Options with a few possible values, which libpq quotes when it gets another one: a password that lost its way, say.
constexpr std::array closed{"sslmode",
                            "sslnegotiation",
                            "sslcompression",
                            "sslsni",
                            "sslcertmode",
                            "gssencmode",
                            "gssdelegation",
                            "channel_binding",
                            "target_session_attrs",
                            "load_balance_hosts",
                            "ssl_min_protocol_version",
                            "ssl_max_protocol_version",
                            "require_auth",
                            "replication",
                            "port",
                            "connect_timeout",
                            "keepalives",
                            "keepalives_idle",
                            "keepalives_interval",
                            "keepalives_count",
                            "tcp_user_timeout"};
constexpr std::array usual{
  "disable",   "allow",   "prefer",  "require",        "verify-ca",     "verify-full", "any",      "read-write",
  "read-only", "primary", "standby", "prefer-standby", "postgres",      "direct",      "random",   "none",
  "password",  "md5",     "gss",     "sspi",           "scram-sha-256", "creds",       "database", "on",
  "off",       "true",    "false",   "TLSv1",          "TLSv1.1",       "TLSv1.2",     "TLSv1.3"};

bool may_be_secret(std::string_view option, std::string_view value) {
  if (names_secret(option)) return true;
  if (std::ranges::find(closed, option) == closed.end()) return false;
  return value.find_first_not_of("0123456789,") != std::string_view::npos &&
         std::ranges::find(usual, value) == usual.end();
}

/// libpq quotes what it cannot read. The name of an option is no secret, unless it is what a password left behind.
std::string in_safe_words(std::string_view url, std::string_view said) {
  const auto query = url.substr(std::min(url.find('?'), url.size()));
  if (!said.starts_with("invalid URI query parameter:") || query.find_first_of("@%") != std::string_view::npos ||
      query.find("password=") != std::string_view::npos)
    return how_to_write;
  return std::string(said.substr(0, said.find('\n')));
}

/// The passwords as they stand in `url`, which libpq can read: behind the user's name, and as options.
std::vector<std::string> written_secrets(std::string_view url) {
  std::vector<std::string> found;
  auto rest = url.substr(std::min(url.find("://") + 3, url.size()));
  if (const auto end = rest.find_first_of("@/"); end != std::string_view::npos && rest[end] == '@') {
    const auto user = rest.substr(0, end);
    if (const auto colon = user.find(':'); colon != std::string_view::npos) found.emplace_back(user.substr(colon + 1));
    rest.remove_prefix(end);
  }
  for (auto from = rest.find('?'); from != std::string_view::npos;) {
    rest.remove_prefix(from + 1);
    const auto one = rest.substr(0, rest.find('&'));
    const auto equals = one.find('=');
    const auto name = one.substr(0, equals);
    // A name that is written in another way is not shown to anybody, either.
    if (equals != std::string_view::npos &&
        (may_be_secret(name, one.substr(equals + 1)) || name.find('%') != std::string_view::npos))
      found.emplace_back(one.substr(equals + 1));
    from = rest.find('&');
  }
  return found;
}

bool is_in_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// A short one that is a part of a word is no password: "or" would go from "error".
std::string without_secret(std::string text, const std::string& secret) {
  constexpr std::size_t distinctive = 8;
  if (secret.empty()) return text;
  std::string out;
  std::size_t done = 0;
  for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
    const auto end = at + secret.size();
    const bool goes_on = (at > 0 && is_in_word(text[at - 1]) && is_in_word(secret.front())) ||
                         (end < text.size() && is_in_word(text[end]) && is_in_word(secret.back()));
    if (secret.size() < distinctive && goes_on) {
      ++at;
      continue;
    }
    out.append(text, done, at - done).append("…");
    done = at = end;
  }
  return out.append(text, done);
}

std::string replace_all(std::string text, const std::string& what, std::string_view with) {
  if (what.empty()) return text;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

} // namespace

server_url::server_url(std::string url) : url_(std::move(url)), conninfo_(url_) {
  char* said = nullptr;
  const read_options read(PQconninfoParse(url_.c_str(), &said), &PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> words(said, &PQfreemem);
  if (!read) mistake_ = in_safe_words(url_, words ? words.get() : "");
  if (read) secrets_ = written_secrets(url_);
  for (const auto* one = read.get(); one != nullptr && one->keyword != nullptr; ++one)
    if (one->val != nullptr && may_be_secret(one->keyword, one->val)) secrets_.emplace_back(one->val);
  for (const auto& [name, value] : added) {
    if (url_.find(std::string(name) + "=") != std::string::npos) continue;
    conninfo_ += conninfo_.find('?') == std::string::npos ? '?' : '&';
    conninfo_ += std::string(name) + "=" + std::string(value);
  }
}

std::string server_url::without_secrets(std::string text) const {
  if (!mistake_.empty()) return "…";
  text = replace_all(std::move(text), conninfo_, "the URL");
  text = replace_all(std::move(text), url_, "the URL");
  for (const auto& one : secrets_) text = without_secret(std::move(text), one);
  // libpq ends its sentences with line feeds, and one event is one line.
  std::replace(text.begin(), text.end(), '\n', ' ');
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

} // namespace reseq::store::postgres
