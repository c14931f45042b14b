#include "reseq/wire/delivery.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "reseq/model/ascii.hpp"
#include "reseq/wire/base64.hpp"
#include "reseq/wire/fields.hpp"
#include "reseq/wire/json.hpp"

namespace reseq::wire {
namespace {

void append_percent(std::string& out, char c) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  const auto code = static_cast<unsigned char>(c);
  out += '%';
  out += hex[code >> 4U];
  out += hex[code & 15U];
}

std::string encoded_key(std::string_view key) {
  std::string out;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const char c = key[i];
    const bool on_an_end = i == 0 || i + 1 == key.size();
    if (c < ' ' || c > '~' || c == '%' || (c == ' ' && on_an_end)) {
      append_percent(out, c);
    } else {
      out += c;
    }
  }
  return out;
}

/// Transforms make headers too, and nobody has checked those.
std::string safe_value(const std::string& value) {
  if (is_header_value(value)) return value;
  std::string out;
  for (const char c : value) {
    if (is_header_value({&c, 1})) {
      out += c;
    } else {
      append_percent(out, c);
    }
  }
  return out;
}

/// Headers that say something about this request, which the producer's request does not know.
bool is_reserved(const std::string& lower_name) {
  static constexpr std::array<std::string_view, 16> names = {"authorization",    "connection",
                                                             "content-length",   "content-type",
                                                             "expect",           "host",
                                                             "idempotency-key",  "keep-alive",
                                                             "max-forwards",     "proxy-authorization",
                                                             "proxy-connection", "te",
                                                             "trailer",          "transfer-encoding",
                                                             "upgrade",          "via"};
  return lower_name.starts_with("reseq-") || std::ranges::find(names, lower_name) != names.end();
}

bool goes_along(const header& h) { return is_header_name(h.name) && !is_reserved(ascii::lower(h.name)); }

bool is_json_type(std::string_view content_type) {
  auto type = ascii::lower(content_type.substr(0, content_type.find(';')));
  type.erase(std::min(type.find_last_not_of(" \t") + 1, type.size()));
  return type == "application/json" || type.ends_with("+json");
}

/// Calls `take(name, value)` with each name once, in lower case, in the order in which they first come.
template <class Take>
void each_joined(const content& body, Take take) {
  if (!body.content_type.empty()) take("content-type", body.content_type);
  const auto end = body.headers.end();
  for (auto h = body.headers.begin(); h != end; ++h) {
    const auto same = [&](const header& other) { return same_header_name(other.name, h->name); };
    if (!goes_along(*h) || std::any_of(body.headers.begin(), h, same)) continue;
    auto next = std::find_if(h + 1, end, same);
    if (next == end && is_header_value(h->value)) {
      take(ascii::lower(h->name), h->value);
      continue;
    }
    auto value = safe_value(h->value);
    for (; next != end; next = std::find_if(next + 1, end, same)) value += ", " + safe_value(next->value);
    take(ascii::lower(h->name), value);
  }
}

/// As batches are read: a string is the payload's text, any other value is its compact JSON, byte for byte.
void append_payload(std::string& out, const content& body) {
  if (is_json_type(body.content_type) && !body.payload.starts_with('"') && json::is_compact(body.payload)) {
    out += R"(,"payload":)";
    out += body.payload;
  } else if (json::valid_utf8(body.payload)) {
    out += R"(,"payload":)";
    json::append_string(out, body.payload);
  } else {
    out += R"(,"payload_base64":")";
    append_base64(out, body.payload);
    out += '"';
  }
}

template <class Number>
void append_number(std::string& out, std::string_view name, Number number) {
  out += R"(,")";
  out += name;
  out += R"(":)";
  out += std::to_string(number);
}

void append_text(std::string& out, std::string_view name, std::string_view text) {
  out += R"(,")";
  out += name;
  out += R"(":)";
  json::append_string(out, text);
}

/// 0 when it is no whole number.
std::uint64_t read_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failed == std::errc{} && end == text.data() + text.size() ? number : 0;
}

} // namespace

std::string delivery_id(const delivery& d) {
  std::string id;
  id.reserve(d.pipeline.size() + d.destination.size() + 24);
  return id.append(d.pipeline).append("/").append(d.destination).append("/").append(std::to_string(d.seq.value()));
}

std::string batch_id(const delivery& first, const delivery& last) {
  return delivery_id(first) + '-' + std::to_string(last.seq.value());
}

std::string scattered_batch_id(const delivery& first, std::span<const sequence> sequences) {
  std::uint64_t digest = 0xcbf29ce484222325U; // FNV-1a
  for (const auto seq : sequences)
    for (unsigned shift = 0; shift < 64; shift += 8)
      digest = (digest ^ ((seq.value() >> shift) & 0xffU)) * 0x100000001b3U;
  constexpr std::string_view hex = "0123456789abcdef";
  auto id = delivery_id(first) + '-' + std::to_string(sequences.back().value()) + '/';
  for (unsigned shift = 64; shift > 0; shift -= 4) id += hex[(digest >> (shift - 4)) & 15U];
  return id;
}

header_list delivery_headers(const delivery& d) {
  header_list out{{"Idempotency-Key", delivery_id(d)},
                  {"Reseq-Pipeline", d.pipeline},
                  {"Reseq-Destination", d.destination},
                  {"Reseq-Message-Id", d.message_id},
                  {"Reseq-Position", std::to_string(d.at.value())},
                  {"Reseq-Sequence", std::to_string(d.seq.value())}};
  if (d.previous) out.push_back({"Reseq-Previous-Sequence", std::to_string(d.previous->value())});
  out.push_back({"Reseq-Attempt", std::to_string(d.attempt)});
  out.push_back({"Reseq-Epoch", std::to_string(d.owner.value())});
  if (!d.key.empty()) out.push_back({"Reseq-Key", encoded_key(d.key)});
  for (const auto& h : d.body->headers) {
    if (goes_along(h)) out.push_back({h.name, safe_value(h.value)});
  }
  return out;
}

void append_envelope(std::string& out, const delivery& d) {
  out += R"({"delivery_id":)";
  json::append_string(out, delivery_id(d));
  append_number(out, "sequence", d.seq.value());
  if (d.previous) append_number(out, "previous_sequence", d.previous->value());
  append_number(out, "position", d.at.value());
  append_text(out, "message_id", d.message_id);
  append_text(out, "key", d.key);
  append_number(out, "epoch", d.owner.value());
  append_number(out, "attempt", d.attempt);
  out += R"(,"headers":)";
  append_headers_object(out, *d.body);
  append_payload(out, *d.body);
  out += "}\n";
}

void append_headers_object(std::string& out, const content& body) {
  out += '{';
  bool first = true;
  each_joined(body, [&](std::string_view name, std::string_view value) {
    if (!first) out += ',';
    first = false;
    json::append_string(out, name);
    out += ':';
    json::append_string(out, value);
  });
  out += '}';
}

std::optional<line_name> name_of_line(std::string_view line) {
  line_name found;
  json::reader in(line);
  const auto complete = [&] { return found.seq != sequence{} && !found.message_id.empty(); };
  const auto read_member = [&](const std::string& name) -> result<void> {
    if (name == "message_id") {
      auto id = in.string();
      if (!id) return tl::unexpected(std::move(id.error()));
      found.message_id = std::move(*id);
    } else {
      const auto value = in.value();
      if (!value) return tl::unexpected(value.error());
      if (name == "sequence") found.seq = sequence{read_number(*value)};
    }
    if (!complete()) return {};
    return fail(errc::invalid, "the rest of the line does not matter");
  };
  static_cast<void>(in.object(read_member));
  return complete() ? std::optional{std::move(found)} : std::nullopt;
}

} // namespace reseq::wire
