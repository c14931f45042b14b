#include "reseq/net/url.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace reseq::net {
namespace {

bool plain_host(std::string_view host) {
  return !host.empty() && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  });
}

bool ipv6_host(std::string_view host) {
  return host.find(':') != std::string_view::npos &&
         host.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::string bracketed(const std::string& host) { return host.find(':') == std::string::npos ? host : "[" + host + "]"; }

/// Splits "host", "host:port", "[v6]" and "[v6]:port"; the port is empty when there is none.
result<std::pair<std::string, std::optional<std::string_view>>> split_authority(std::string_view text) {
  std::string_view host;
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return fail(errc::invalid, "the bracket of the IPv6 address is not closed");
    host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
    if (!ipv6_host(host)) return fail(errc::invalid, "what stands in brackets is no IPv6 address");
    if (!rest.empty() && rest.front() != ':') return fail(errc::invalid, "a port after ']' needs a ':'");
  } else {
    const auto colon = text.find(':');
    host = text.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon);
    if (rest.find(':', 1) != std::string_view::npos) {
      return fail(errc::invalid, "an IPv6 address needs brackets, as in [::1]:8080");
    }
    if (!plain_host(host))
      return fail(errc::invalid, host.empty() ? "the host is missing" : "the host is no valid name");
  }
  if (rest.empty()) return std::pair{std::string(host), std::optional<std::string_view>{}};
  return std::pair{std::string(host), std::optional{rest.substr(1)}};
}

} // namespace

std::string host_port::text() const { return bracketed(host) + ":" + std::to_string(port); }

result<host_port> parse_host_port(std::string_view text) {
  const std::string where(text);
  auto split = split_authority(text);
  if (!split) return fail(errc::invalid, split.error().what, where);
  if (!split->second) return fail(errc::invalid, "the port is missing, as in 127.0.0.1:8080", where);
  const auto port = parse_port(*split->second);
  if (!port) return fail(errc::invalid, "the port must be a number from 0 to 65535", where);
  return host_port{std::move(split->first), *port};
}

std::string url::authority() const {
  const auto own = scheme == "https" ? 443 : 80;
  return port == own ? bracketed(host) : bracketed(host) + ":" + std::to_string(port);
}

std::string url::origin() const { return scheme + "://" + bracketed(host) + ":" + std::to_string(port); }

result<url> parse_url(std::string_view text) {
  // Errors name no part of the text that may be a secret: passwords stand before '@', tokens after '?'.
  const auto separator = text.find("://");
  if (separator == std::string_view::npos) return fail(errc::invalid, "a URL starts with http:// or https://");
  url parsed;
  parsed.scheme = std::string(text.substr(0, separator));
  if (parsed.scheme != "http" && parsed.scheme != "https") {
    return fail(errc::invalid, "the scheme must be http or https", parsed.scheme);
  }
  if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; })) {
    return fail(errc::invalid, "a URL holds no spaces, control or non-ASCII characters: percent-encode them");
  }
  const auto rest = text.substr(separator + 3);
  if (rest.find('#') != std::string_view::npos) return fail(errc::invalid, "a URL to send to has no fragment (#…)");
  const auto path = std::min(rest.find_first_of("/?"), rest.size());
  const auto authority = rest.substr(0, path);
  if (authority.find('@') != std::string_view::npos) {
    return fail(errc::invalid, "user names and passwords in a URL are not supported");
  }
  auto split = split_authority(authority);
  if (!split) return fail(errc::invalid, split.error().what, std::string(authority));
  parsed.host = std::move(split->first);
  parsed.port = parsed.scheme == "https" ? 443 : 80;
  if (split->second) {
    const auto port = parse_port(*split->second);
    if (!port || *port == 0) return fail(errc::invalid, "the port must be 1 to 65535", std::string(authority));
    parsed.port = *port;
  }
  parsed.target = std::string(rest.substr(path));
  if (!parsed.target.starts_with('/')) parsed.target.insert(0, "/");
  return parsed;
}

} // namespace reseq::net
