#include "reseq/store/postgres/server_url.hpp"

#include <algorithm>
#include <array>
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

/// What stands between the first `user:` and the last `@` before the path, or after `password=`.
std::string password_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  std::string_view rest = url.substr(scheme + 3);
  const auto authority = rest.substr(0, rest.find_first_of("/?"));
  const auto at = authority.rfind('@');
  const auto colon = authority.find(':');
  if (at != std::string_view::npos && colon < at) return std::string(authority.substr(colon + 1, at - colon - 1));
  constexpr std::string_view key = "password=";
  const auto named = rest.find(key);
  if (named == std::string_view::npos) return {};
  rest.remove_prefix(named + key.size());
  return std::string(rest.substr(0, rest.find('&')));
}

std::string replace_all(std::string text, const std::string& what, std::string_view with) {
  if (what.empty()) return text;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

} // namespace

server_url::server_url(std::string url) : url_(std::move(url)), password_(password_of(url_)), conninfo_(url_) {
  for (const auto& [name, value] : added) {
    if (url_.find(std::string(name) + "=") != std::string::npos) continue;
    conninfo_ += conninfo_.find('?') == std::string::npos ? '?' : '&';
    conninfo_ += std::string(name) + "=" + std::string(value);
  }
}

std::string server_url::without_secrets(std::string text) const {
  text = replace_all(std::move(text), conninfo_, "the URL");
  text = replace_all(std::move(text), url_, "the URL");
  text = replace_all(std::move(text), password_, "…");
  // libpq ends its sentences with line feeds, and one event is one line.
  std::replace(text.begin(), text.end(), '\n', ' ');
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

} // namespace reseq::store::postgres
