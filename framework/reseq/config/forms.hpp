/// The forms that names, addresses and URLs must have, and how problems quote what a user wrote.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reseq::config {

/// What is wrong with a value, or nothing. Reads on after "key: ".
using complaint = std::optional<std::string>;

/// `text` with control characters written as `\x07`: it may be shown on a terminal.
std::string printable(std::string_view text);

/// `text` between double quotes, `printable`, cut to 60 bytes.
std::string in_quotes(std::string_view text);

/// Names of pipelines, destinations and nodes: `[a-z0-9][a-z0-9_-]{0,62}`.
bool is_name(std::string_view text);
complaint check_name(std::string_view text);

/// HOST:PORT, the host a name, an IPv4 address or an IPv6 address in brackets; the port from `lowest_port` on.
complaint check_address(std::string_view text, std::uint32_t lowest_port);

/// Whether only this machine reaches HOST:PORT.
bool is_loopback(std::string_view address);

/// A destination's URL: `http://HOST[:PORT][/path][?query]`, `file:///path`, `postgresql://…[?table=T]` or
/// `redis://…?stream=S`. Never quotes more than the scheme, because a URL may hold a password.
complaint check_url(std::string_view text);
/// That one of `postgresql://` names a table, or that it does not.
complaint check_table(std::string_view url);
complaint check_no_table(std::string_view url);

/// The URL of a PostgreSQL database. Never quotes it.
complaint check_postgres_url(std::string_view text);
/// Empty, or a URL of one of Redis's schemes; what is behind them is looked at when it is used.
complaint check_redis_url(std::string_view text);

/// Something that goes into an HTTP header as it is: printable ASCII without spaces. Never quotes it.
complaint check_token(std::string_view text);

/// The name of a header, as RFC 9110 defines it; or a shell glob for such names.
complaint check_header_name(std::string_view text);
complaint check_header_glob(std::string_view text);

/// A host's name turned into one that `is_name` takes.
std::string fitted_name(std::string_view host);

} // namespace reseq::config
