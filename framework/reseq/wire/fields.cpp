#include "reseq/wire/fields.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "reseq/wire/incoming.hpp"
#include "reseq/wire/json.hpp"
#include "reseq/wire/sha256.hpp"
#include "reseq/wire/uuid.hpp"

namespace reseq::wire {

bool printable_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

namespace {

/// Blanks at its ends would be lost in the header that tells receivers.
bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= max_id_bytes && printable_ascii(text) && text.front() != ' ' &&
         text.back() != ' ';
}

/// Whether a character may be part of a header's name (RFC 9110 §5.6.2, `tchar`), by its code.
constexpr std::array<bool, 256> in_token = [] {
  std::array<bool, 256> in{};
  for (std::size_t c = '!'; c <= '~'; ++c) in[c] = true;
  for (const char c : std::string_view{"\"(),/:;<=>?@[\\]{}"}) in[static_cast<unsigned char>(c)] = false;
  return in;
}();

} // namespace

bool is_header_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return in_token[static_cast<unsigned char>(c)]; });
}

bool is_header_value(std::string_view value) {
  return std::ranges::none_of(value, [](char c) {
    const auto code = static_cast<unsigned char>(c);
    return (code < 0x20 && c != '\t') || code == 0x7f;
  });
}

std::string in_quotes(std::string_view name) {
  constexpr std::size_t most = 64;
  if (name.size() <= most) return "'" + std::string{name} + "'";
  auto end = most;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0U) == 0x80) --end; // between two characters
  return "'" + std::string{name.substr(0, end)} + "…'";
}

error inside(std::string_view place, error e) {
  e.where = e.where.empty() ? std::string{place} : std::string{place} + ": " + e.where;
  return e;
}

result<void> check_id(std::string_view id, std::string_view where) {
  if (!is_id(id))
    return fail(errc::invalid, "must be 1 to 255 printable ASCII characters, the first and the last no blank",
                std::string{where});
  return {};
}

result<void> check_key(std::string_view key, std::string_view where) {
  if (key.size() > max_key_bytes) return fail(errc::invalid, "must not be over 1024 bytes", std::string{where});
  if (!json::valid_utf8(key)) return fail(errc::invalid, "must be UTF-8", std::string{where});
  return {};
}

result<void> check_headers(const header_list& headers) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : headers) {
    if (!is_header_name(name)) return fail(errc::invalid, in_quotes(name) + " is no header name", "headers");
    if (!is_header_value(value)) return fail(errc::invalid, "must not contain control characters", name);
    bytes += name.size() + value.size();
    if (bytes > max_header_bytes) return fail(errc::too_large, "are over 64 KiB together", "headers");
  }
  return {};
}

result<std::vector<std::string>> tidy_destinations(std::vector<std::string> names, std::string_view where) {
  if (names.empty()) {
    return fail(errc::invalid, "names no destination (leave it out for the pipeline's route)", std::string{where});
  }
  if (std::ranges::any_of(names, &std::string::empty)) {
    return fail(errc::invalid, "has an empty entry", std::string{where});
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()),
              names.end()); // not std::ranges: clang 14 cannot read its subranges
  return names;
}

result<std::optional<std::string_view>> only_header(const header_list& headers, std::string_view name) {
  std::optional<std::string_view> found;
  for (const auto& h : headers) {
    if (!same_header_name(h.name, name)) continue;
    if (found) return fail(errc::invalid, "is given more than once", std::string{name});
    found = h.value;
  }
  return found;
}

result<std::string> implied_id(const header_list& headers) {
  const auto source = only_header(headers, "ce-source");
  if (!source) return tl::unexpected(source.error());
  const auto id = only_header(headers, "ce-id");
  if (!id) return tl::unexpected(id.error());
  if (!*source && !*id) return make_uuid();
  for (const auto& [name, value] : {std::pair{"ce-source", *source}, std::pair{"ce-id", *id}}) {
    if (!value || value->empty())
      return fail(errc::invalid, "is missing (ce-source and ce-id identify an event)", name);
  }
  auto joined = std::string{**source} + ' ' + std::string{**id};
  return is_id(joined) ? joined : sha256_hex(joined);
}

} // namespace reseq::wire
