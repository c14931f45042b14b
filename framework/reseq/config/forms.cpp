#include "reseq/config/forms.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <ranges>

#include "reseq/model/ascii.hpp"

namespace reseq::config {
namespace {

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_letter_or_digit(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }
bool is_visible(char c) { return c > ' ' && c < '\x7f'; }

constexpr std::size_t longest_name = 63;

complaint check_port(std::string_view text, std::uint32_t lowest) {
  std::uint32_t port = 0;
  const auto* const end = text.data() + text.size();
  const auto [rest, trouble] = std::from_chars(text.data(), end, port);
  if (rest != end || trouble == std::errc::invalid_argument) return in_quotes(text) + " is not a port";
  if (trouble != std::errc{} || port > 65535) return "port " + std::string(text) + " is above 65535";
  if (port < lowest) return "port " + std::string(text) + " is below " + std::to_string(lowest);
  return {};
}

bool is_host(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    const auto inside = text.substr(1, text.size() - 2);
    return inside.find(':') != std::string_view::npos && std::ranges::all_of(inside, [](char c) {
             return std::string_view("0123456789abcdefABCDEF:.%").find(c) != std::string_view::npos;
           });
  }
  return !text.empty() && text.size() <= 253 &&
         std::ranges::all_of(text, [](char c) { return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_'; });
}

/// Where the port's colon is; the ones inside an IPv6 address do not count.
std::size_t port_colon(std::string_view authority) {
  const auto colon = authority.rfind(':');
  const auto bracket = authority.rfind(']');
  return bracket != std::string_view::npos && colon != std::string_view::npos && colon < bracket
           ? std::string_view::npos
           : colon;
}

complaint check_http_url(std::string_view rest) {
  const auto authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.find('@') != std::string_view::npos) return "a user or password in a URL is not supported";
  if (rest.find('#') != std::string_view::npos) return "a URL to post to has no fragment (#)";
  const auto colon = port_colon(authority);
  if (!is_host(authority.substr(0, colon))) return "the URL names no valid host";
  if (colon == std::string_view::npos || !check_port(authority.substr(colon + 1), 1)) return {};
  return "the URL's port is not a number from 1 to 65535";
}

/// What `name=` says in the URL's query; empty when it says nothing.
std::string_view parameter(std::string_view url, std::string_view name) {
  url.remove_prefix(std::min(url.find('?'), url.size()));
  while (!url.empty()) {
    url.remove_prefix(1);
    const auto one = url.substr(0, url.find('&'));
    url.remove_prefix(one.size());
    if (one.starts_with(name) && one.substr(name.size()).starts_with('=')) return one.substr(name.size() + 1);
  }
  return {};
}

bool is_encoded(std::string_view text) {
  for (auto at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 1)) {
    const auto digits = text.substr(at + 1, 2);
    const auto is_digit = [](char c) {
      return std::string_view("0123456789abcdefABCDEF").find(c) != std::string::npos;
    };
    if (digits.size() < 2 || !std::ranges::all_of(digits, is_digit) || digits == "00") return false;
  }
  return true;
}

/// Whether libpq finds in a URL, behind its scheme, what it looks for. Where a password holds what has a meaning in a
/// URL, it takes a part of that for a host, a port, a database or an option, and its errors quote these.
bool is_divided_as_meant(std::string_view rest) {
  if (!is_encoded(rest)) return false;
  if (const auto end = rest.find_first_of("@/"); end != std::string_view::npos && rest[end] == '@') {
    if (rest.substr(0, end).find('?') != std::string_view::npos) return false;
    rest.remove_prefix(end + 1);
  }
  const auto place = rest.substr(0, rest.find('?'));
  if (place.find('@') != std::string_view::npos) return false;
  auto hosts = place.substr(0, place.find('/'));
  for (auto end = hosts.size(); end != std::string_view::npos;) {
    end = hosts.find(',');
    const auto one = hosts.substr(0, end);
    hosts.remove_prefix(std::min(one.size() + 1, hosts.size()));
    const auto colon = port_colon(one);
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (colon != std::string_view::npos && !std::ranges::all_of(one.substr(colon + 1), is_digit)) return false;
  }
  for (rest.remove_prefix(place.size()); rest.size() > 1;) {
    rest.remove_prefix(1);
    const auto one = rest.substr(0, rest.find('&'));
    rest.remove_prefix(one.size());
    if (one.starts_with('=') || std::ranges::count(one, '=') != 1) return false;
  }
  return true;
}

complaint check_postgres_parts(std::string_view rest) {
  if (is_divided_as_meant(rest)) return {};
  return "cannot be read as the URL of a PostgreSQL database: in a user's name, a password and a value write '@' as "
         "%40, '/' as %2F, ':' as %3A, '?' as %3F, '&' as %26, '=' as %3D and '%' as %25";
}

/// A table's name, or a schema's, a dot and a table's.
complaint check_table_name(std::string_view name) {
  const auto dot = name.find('.');
  const auto fits = [](std::string_view part) {
    return !part.empty() && part.size() <= longest_name &&
           std::ranges::all_of(part, [](char c) { return is_letter_or_digit(c) || c == '_' || c == '-'; });
  };
  if (dot == std::string_view::npos ? fits(name) : fits(name.substr(0, dot)) && fits(name.substr(dot + 1))) return {};
  return "its table is not of letters, digits, '_' and '-', with a schema and a dot before it if wanted";
}

complaint check_stream(std::string_view name) {
  if (name.empty()) return "names no stream, for example redis://localhost:6379/0?stream=orders";
  const auto fits = [](char c) {
    return is_letter_or_digit(c) || std::string_view("_-.:").find(c) != std::string::npos;
  };
  const auto open = name.find('{');
  const auto close = name.find('}');
  // The braces are Redis's hash tag, which what is kept beside the stream shares.
  const bool tagged = open != std::string_view::npos && close != std::string_view::npos && close > open + 1;
  std::string letters(name);
  if (tagged) letters.erase(close, 1).erase(open, 1);
  if (std::ranges::all_of(letters, fits)) return {};
  return "its stream is not of letters, digits, '_', '-', '.', ':' and a part in braces";
}

complaint check_header(std::string_view text, std::string_view others) {
  const auto allowed = [&](char c) { return is_letter_or_digit(c) || others.find(c) != std::string_view::npos; };
  if (!text.empty() && std::ranges::all_of(text, allowed)) return {};
  return in_quotes(text) + " is not a header's name";
}

} // namespace

std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    constexpr std::string_view hex = "0123456789abcdef";
    if (byte < ' ' || byte == 0x7f) {
      shown += {'\\', 'x', hex[byte >> 4U], hex[byte & 15U]};
    } else {
      shown += c;
    }
  }
  return shown;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t most = 60;
  return "\"" + printable(text.substr(0, most)) + (text.size() > most ? "…\"" : "\"");
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= longest_name && is_lower_or_digit(text.front()) &&
         std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '_' || c == '-'; });
}

complaint check_name(std::string_view text) {
  if (is_name(text)) return {};
  return in_quotes(text) + " is not a name: 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or digit";
}

complaint check_address(std::string_view text, std::uint32_t lowest_port) {
  const auto colon = port_colon(text);
  if (colon == std::string_view::npos || !is_host(text.substr(0, colon))) {
    return in_quotes(text) + " is not HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080";
  }
  return check_port(text.substr(colon + 1), lowest_port);
}

bool is_loopback(std::string_view address) {
  const auto host = address.substr(0, port_colon(address));
  const bool v4 = host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
  return v4 || host == "[::1]" || host == "localhost";
}

complaint check_url(std::string_view text) {
  if (text.empty())
    return "is missing, for example http://127.0.0.1:9100/billing (a function's: its database's); a destination that "
           "is "
           "pulled is not available in this version";
  if (!std::ranges::all_of(text, is_visible)) {
    return "a URL holds only visible ASCII characters; write others as %XX";
  }
  const auto end = text.find("://");
  if (end == std::string_view::npos) return "is not a URL, for example http://127.0.0.1:9100/billing";
  const auto scheme = text.substr(0, end);
  const auto rest = text.substr(end + 3);
  if (scheme == "http") return check_http_url(rest);
  if (scheme == "file") {
    const bool names_file = rest.size() > 1 && rest.front() == '/' && rest.back() != '/';
    return names_file ? complaint{} : "names no file: file:// and an absolute path, for example file:///tmp/out.jsonl";
  }
  if (scheme == "postgresql") { // whether there must be one depends on who takes the messages
    if (auto unreadable = check_postgres_parts(rest)) return unreadable;
    const auto table = parameter(text, "table");
    return table.empty() ? complaint{} : check_table_name(table);
  }
  constexpr std::array streams{"redis", "rediss", "unix", "redis-sentinel", "rediss-sentinel"};
  if (std::ranges::find(streams, scheme) != streams.end()) return check_stream(parameter(text, "stream"));
  constexpr std::array later{"https", "tcp"};
  if (std::ranges::find(later, scheme) != later.end()) {
    return in_quotes(scheme) + " destinations are not available in this version";
  }
  return in_quotes(scheme) + " is not a known scheme; known are http, file, postgresql and redis";
}

complaint check_table(std::string_view url) {
  if (!parameter(url, "table").empty()) return {};
  return "names no table, for example postgresql://reseq@localhost/books?table=orders";
}

complaint check_no_table(std::string_view url) {
  if (!url.starts_with("postgresql://"))
    return "must be that of a PostgreSQL database: a function of this program takes the messages, in a transaction "
           "there";
  if (parameter(url, "table").empty()) return {};
  return "names a table, but a function of this program takes the messages: leave ?table= out";
}

complaint check_postgres_url(std::string_view text) {
  if (!text.starts_with("postgresql://") && !text.starts_with("postgres://")) {
    return "is not a PostgreSQL URL, for example postgresql://reseq@localhost/reseq";
  }
  if (!std::ranges::all_of(text, is_visible)) {
    return "a URL holds only visible ASCII characters; write others as %XX";
  }
  return check_postgres_parts(text.substr(text.find("://") + 3));
}

complaint check_redis_url(std::string_view text) {
  if (text.empty()) return {};
  constexpr std::array schemes{"redis://", "rediss://", "unix://", "redis-sentinel://", "rediss-sentinel://"};
  if (std::ranges::none_of(schemes, [&](const char* scheme) { return text.starts_with(scheme); })) {
    return "is not a Redis URL, for example redis://localhost:6379/0, unix:///run/redis.sock or "
           "redis-sentinel://one,two/master";
  }
  if (!std::ranges::all_of(text, is_visible)) {
    return "a URL holds only visible ASCII characters; write others as %XX";
  }
  return {};
}

complaint check_token(std::string_view text) {
  if (std::ranges::all_of(text, is_visible)) return {};
  return "a token holds only visible ASCII characters, and no spaces";
}

complaint check_header_name(std::string_view text) { return check_header(text, "!#$%&'*+-.^_`|~"); }
complaint check_header_glob(std::string_view text) { return check_header(text, "!#$%&'*+-.^_`|~?[]"); }

std::string fitted_name(std::string_view host) {
  std::string name;
  for (const char c : host) {
    const char lower = ascii::lower(c);
    const bool fits = is_lower_or_digit(lower) || lower == '_' || lower == '-';
    if (name.empty() && !is_lower_or_digit(lower)) continue;
    name += fits ? lower : '-';
  }
  name.resize(std::min(name.size(), longest_name));
  return name.empty() ? "node" : name;
}

} // namespace reseq::config
