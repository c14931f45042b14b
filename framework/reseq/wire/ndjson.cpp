#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <iterator>
#include <utility>

#include "reseq/model/ascii.hpp"
#include "reseq/wire/base64.hpp"
#include "reseq/wire/fields.hpp"
#include "reseq/wire/incoming.hpp"
#include "reseq/wire/json.hpp"

namespace reseq::wire {
namespace {

bool lower_name_less(std::string_view a, std::string_view b) {
  return std::ranges::lexicographical_compare(a, b, [](char x, char y) { return ascii::lower(x) < ascii::lower(y); });
}

/// Reads one line. A field's reader leaves `where` to `parse`, except for places inside the field.
class envelope {
public:
  envelope(std::string_view line, const limits& bounds) : in_(line), bounds_(bounds) {}

  result<incoming> parse();

private:
  struct field {
    std::string_view name;
    result<void> (envelope::*read)();
  };
  static const std::array<field, 8> fields;

  result<void> member(std::string_view name);
  result<void> read_id();
  result<void> read_key();
  result<void> read_pipeline();
  result<void> read_destinations();
  result<void> read_headers();
  result<void> read_header(std::string name);
  result<void> no_name_twice();
  result<void> read_payload();
  result<void> read_base64();
  result<void> refuse_version();
  result<void> keep_payload(result<std::string> payload, std::string_view usual_type);
  [[nodiscard]] bool another_than(char opening);
  result<std::string> text();
  result<void> complete();

  json::reader in_;
  const limits& bounds_;
  incoming message_;
  std::bitset<8> seen_; // of `fields`
  std::size_t header_bytes_ = 0;
  int payloads_ = 0;
  std::string_view usual_type_; // of this kind of payload
};

constexpr std::array<envelope::field, 8> envelope::fields = {{
  {"id", &envelope::read_id},
  {"key", &envelope::read_key},
  {"pipeline", &envelope::read_pipeline},
  {"destinations", &envelope::read_destinations},
  {"headers", &envelope::read_headers},
  {"payload", &envelope::read_payload},
  {"payload_base64", &envelope::read_base64},
  {"expect_version", &envelope::refuse_version},
}};

result<incoming> envelope::parse() {
  if (in_.peek() != '{') return fail(errc::invalid, "must be a JSON object");
  if (auto read = in_.object([this](const std::string& name) { return member(name); }); !read) {
    return tl::unexpected(std::move(read.error()));
  }
  if (auto ended = in_.end(); !ended) return tl::unexpected(std::move(ended.error()));
  if (auto completed = complete(); !completed) return tl::unexpected(std::move(completed.error()));
  return std::move(message_);
}

result<void> envelope::member(std::string_view name) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name != name) continue;
    if (seen_[i]) return fail(errc::invalid, "is given more than once", std::string{name});
    seen_.set(i);
    auto done = (this->*fields[i].read)();
    if (!done) return tl::unexpected(inside(name, std::move(done.error())));
    return done;
  }
  return fail(errc::invalid, "unknown field " + in_quotes(name));
}

/// Where the line ends, the reader says so.
bool envelope::another_than(char opening) {
  const char next = in_.peek();
  return next != opening && next != '\0';
}

result<std::string> envelope::text() {
  if (another_than('"')) return fail(errc::invalid, "must be a string");
  return in_.string();
}

result<void> envelope::read_id() {
  auto id = text();
  if (!id) return tl::unexpected(std::move(id.error()));
  message_.id = std::move(*id);
  return check_id(message_.id, {});
}

result<void> envelope::read_key() {
  auto key = text();
  if (!key) return tl::unexpected(std::move(key.error()));
  message_.key = std::move(*key);
  return check_key(message_.key, {});
}

result<void> envelope::read_pipeline() {
  auto name = text();
  if (!name) return tl::unexpected(std::move(name.error()));
  if (name->empty()) return fail(errc::invalid, "must not be empty");
  message_.pipeline = std::move(*name);
  return {};
}

result<void> envelope::read_destinations() {
  if (another_than('[')) return fail(errc::invalid, "must be a list of names");
  std::vector<std::string> names;
  auto read = in_.array([&]() -> result<void> {
    auto name = text();
    if (!name) return tl::unexpected(std::move(name.error()));
    names.push_back(std::move(*name));
    return {};
  });
  if (!read) return read;
  auto tidied = tidy_destinations(std::move(names), {});
  if (!tidied) return tl::unexpected(std::move(tidied.error()));
  message_.destinations = std::move(*tidied);
  return {};
}

result<void> envelope::read_headers() {
  if (another_than('{')) return fail(errc::invalid, "must be an object");
  if (auto read = in_.object([this](std::string name) { return read_header(std::move(name)); }); !read) return read;
  return no_name_twice();
}

result<void> envelope::no_name_twice() {
  constexpr std::ptrdiff_t few = 8; // that comparing each with each is cheaper than a list of them
  const auto& headers = message_.body.headers;
  const auto came_before = [&](const auto& h) {
    return std::any_of(&headers.front(), &h, [&](const header& e) { return same_header_name(e.name, h.name); });
  };
  if (std::ssize(headers) <= few && std::ranges::none_of(headers, came_before)) return {};
  std::vector<std::string_view> names;
  for (const auto& h : headers) names.emplace_back(h.name);
  std::ranges::stable_sort(names, lower_name_less);
  const auto twice = std::ranges::adjacent_find(names, same_header_name);
  if (twice != names.end()) return fail(errc::invalid, "is given more than once", std::string{*std::next(twice)});
  return {};
}

result<void> envelope::read_header(std::string name) {
  if (!is_header_name(name)) return fail(errc::invalid, in_quotes(name) + " is no header name");
  if (auto allowed = check_line_header(name); !allowed) return allowed;
  auto value = text();
  if (!value) return tl::unexpected(inside(name, std::move(value.error())));
  if (!is_header_value(*value)) return fail(errc::invalid, "must not contain control characters", std::move(name));
  header_bytes_ += name.size() + value->size();
  if (header_bytes_ > max_header_bytes) return fail(errc::too_large, "are over 64 KiB together");
  message_.body.headers.push_back({std::move(name), std::move(*value)});
  return {};
}

result<void> envelope::read_payload() {
  if (in_.peek() == '"') return keep_payload(in_.string(), "text/plain; charset=utf-8");
  return keep_payload(in_.value(), "application/json");
}

result<void> envelope::read_base64() {
  return keep_payload(text().and_then([](const std::string& encoded) { return decode_base64(encoded); }),
                      "application/octet-stream");
}

result<void> envelope::keep_payload(result<std::string> payload, std::string_view usual_type) {
  ++payloads_;
  if (!payload) return tl::unexpected(std::move(payload.error()));
  if (payload->size() > bounds_.max_message) {
    return fail(errc::too_large, "is over " + std::to_string(bounds_.max_message) + " bytes");
  }
  message_.body.payload = std::move(*payload);
  usual_type_ = usual_type;
  return {};
}

result<void> envelope::refuse_version() { return fail(errc::invalid, "is not available in this version"); }

result<void> envelope::complete() {
  if (payloads_ == 0) return fail(errc::invalid, "is missing (or payload_base64)", "payload");
  if (payloads_ == 2) return fail(errc::invalid, "is given beside payload_base64", "payload");
  const auto typed = only_header(message_.body.headers, "content-type"); // no name is there twice
  message_.body.content_type = typed.value().value_or(usual_type_);
  if (!message_.id.empty()) return {};
  auto id = implied_id(message_.body.headers);
  if (!id) return tl::unexpected(inside("headers", std::move(id.error())));
  message_.id = std::move(*id);
  return {};
}

} // namespace

result<std::vector<incoming>> from_ndjson(std::string_view body, const limits& bounds) {
  std::vector<incoming> messages;
  std::size_t number = 0;
  while (!body.empty()) {
    const auto line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(line.size() + 1, body.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto place = [&] { return "line " + std::to_string(number); };
    if (messages.size() == bounds.max_lines) {
      return fail(errc::too_large, "more than " + std::to_string(bounds.max_lines) + " messages in a batch", place());
    }
    auto message = envelope(line, bounds).parse();
    if (!message) return tl::unexpected(inside(place(), std::move(message.error())));
    messages.push_back(std::move(*message));
  }
  return messages;
}

} // namespace reseq::wire
