#include "reseq/wire/incoming.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <utility>

#include "reseq/model/ascii.hpp"
#include "reseq/wire/fields.hpp"
#include "reseq/wire/sha256.hpp"

namespace reseq::wire {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view space = " \t";
  const auto begin = text.find_first_not_of(space);
  return begin == std::string_view::npos ? std::string_view{}
                                         : text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

std::string_view unquoted(std::string_view text) {
  const bool quotes = text.size() >= 2 && text.starts_with('"') && text.ends_with('"');
  return quotes ? text.substr(1, text.size() - 2) : text;
}

/// A delivery that is passed on has its `Idempotency-Key`: `Reseq-Message-Id` alone is meant as one.
result<std::string> id_of_event(const header_list& headers) {
  const auto has = [&](const char* name) {
    return std::ranges::any_of(headers, [&](const header& h) { return same_header_name(h.name, name); });
  };
  if (has("Reseq-Message-Id") && !has("ce-id"))
    return fail(errc::invalid, "is not what gives a message its id: Idempotency-Key is", "Reseq-Message-Id");
  return implied_id(headers);
}

result<std::string> id_of(const header_list& headers) {
  const auto given = only_header(headers, "Idempotency-Key");
  if (!given) return tl::unexpected(given.error());
  if (!*given) return id_of_event(headers);
  const auto id = unquoted(**given);
  if (auto checked = check_id(id, "Idempotency-Key"); !checked) return tl::unexpected(checked.error());
  return std::string{id};
}

result<std::string> key_of(const header_list& headers) {
  const auto given = only_header(headers, "Reseq-Key");
  if (!given) return tl::unexpected(given.error());
  const auto key = given->value_or(std::string_view{});
  if (auto checked = check_key(key, "Reseq-Key"); !checked) return tl::unexpected(checked.error());
  return std::string{key};
}

/// A header that is a list may be given several times, and means the lists joined (RFC 9110 §5.3).
result<std::optional<std::vector<std::string>>> destinations_of(const header_list& headers) {
  std::vector<std::string> names;
  bool given = false;
  for (const auto& h : headers) {
    if (!same_header_name(h.name, "Reseq-Destinations")) continue;
    given = true;
    for (std::string_view rest = h.value;;) {
      const auto comma = rest.find(',');
      names.emplace_back(trim(rest.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  if (!given) return std::optional<std::vector<std::string>>{};
  auto tidied = tidy_destinations(std::move(names), "Reseq-Destinations");
  if (!tidied) return tl::unexpected(std::move(tidied.error()));
  return std::optional{std::move(*tidied)};
}

constexpr std::string_view our_prefix = "reseq-";

/// A producer's, then those that a delivery has: another reseq, or a proxy behind one, passes them on.
constexpr std::array known_headers{"Reseq-Key",      "Reseq-Destinations", "Reseq-Expect-Version",
                                   "Reseq-Pipeline", "Reseq-Message-Id",   "Reseq-Destination",
                                   "Reseq-Position", "Reseq-Sequence",     "Reseq-Previous-Sequence",
                                   "Reseq-Attempt",  "Reseq-Epoch",        "Reseq-Replay"};

bool begins_as_ours(std::string_view header_name) {
  return same_header_name(header_name.substr(0, our_prefix.size()), our_prefix);
}

/// A misspelt key would cost the order.
result<void> check_ours(const header_list& headers) {
  for (const auto& h : headers) {
    if (!begins_as_ours(h.name)) continue;
    if (std::ranges::any_of(known_headers, [&](const char* known) { return same_header_name(h.name, known); }))
      continue;
    return fail(errc::invalid, "is no header that a message can have; Reseq-Key and Reseq-Destinations are",
                in_quotes(h.name));
  }
  return {};
}

/// What says of one message what in a batch a line's field does; that field.
std::string_view field_for(std::string_view header_name) {
  if (same_header_name(header_name, "Idempotency-Key") || same_header_name(header_name, "Reseq-Message-Id"))
    return "id";
  if (same_header_name(header_name, "Reseq-Key")) return "key";
  if (same_header_name(header_name, "Reseq-Destinations")) return "destinations";
  if (same_header_name(header_name, "Reseq-Expect-Version")) return "expect_version";
  return {};
}

/// What lets a producer in is neither stored nor routed by.
bool is_credential(const header& h) {
  return same_header_name(h.name, "Authorization") || same_header_name(h.name, "Proxy-Authorization");
}

} // namespace

result<incoming> from_http(const header_list& headers, std::string body) {
  if (auto checked = check_headers(headers); !checked) return tl::unexpected(std::move(checked.error()));
  if (auto ours = check_ours(headers); !ours) return tl::unexpected(std::move(ours.error()));
  const auto version =
    std::ranges::find_if(headers, [](const header& h) { return same_header_name(h.name, "Reseq-Expect-Version"); });
  if (version != headers.end()) {
    return fail(errc::invalid, "is not available in this version", "Reseq-Expect-Version");
  }
  auto id = id_of(headers);
  if (!id) return tl::unexpected(std::move(id.error()));
  auto key = key_of(headers);
  if (!key) return tl::unexpected(std::move(key.error()));
  auto destinations = destinations_of(headers);
  if (!destinations) return tl::unexpected(std::move(destinations.error()));
  const auto type = only_header(headers, "Content-Type");
  if (!type) return tl::unexpected(type.error());

  incoming message{std::move(*id), std::move(*key), std::move(*destinations), {}, {}};
  message.body.payload = std::move(body);
  message.body.content_type = type->value_or(std::string_view{});
  std::ranges::remove_copy_if(headers, std::back_inserter(message.body.headers), is_credential);
  return message;
}

result<void> check_batch_headers(const header_list& headers) {
  for (const auto& h : headers)
    if (const auto field = field_for(h.name); !field.empty())
      return fail(errc::invalid, "says nothing of a batch's messages; their lines have " + in_quotes(field), h.name);
  return check_ours(headers);
}

result<void> check_line_header(std::string_view name) {
  const auto field = field_for(name);
  if (!field.empty()) return fail(errc::invalid, "is the field " + in_quotes(field) + " of a line", std::string{name});
  if (begins_as_ours(name)) return fail(errc::invalid, "is no header that a message can have", std::string{name});
  return {};
}

digest fingerprint(const incoming& message) {
  sha256 hash;
  hash.add_with_length(message.body.payload).add_with_length(message.body.content_type).add_with_length(message.key);
  if (message.destinations) {
    hash.add_number(message.destinations->size());
    for (const auto& name : *message.destinations) hash.add_with_length(name);
  } else {
    hash.add_number(~std::uint64_t{0}); // no list is another request than any list
  }
  const auto whole = hash.finish();
  digest first_half{};
  std::copy_n(whole.begin(), first_half.size(), first_half.begin());
  return first_half;
}

} // namespace reseq::wire
