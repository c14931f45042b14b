#include "reseq/store/codec.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <optional>

namespace reseq::store {

namespace {

void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

/// Takes the number at the front of `text`, and the one character after it.
std::uint64_t take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value).ptr;
  const auto used = static_cast<std::size_t>(end - text.data());
  text.remove_prefix(std::min(used + 1, text.size()));
  return value;
}

void append_escaped(std::string& out, std::string_view text, bool is_name) {
  for (auto from = text.begin();; ++from) {
    const auto special =
      std::find_if(from, text.end(), [&](char c) { return c == '\\' || c == '\n' || (is_name && c == ':'); });
    out.append(from, special);
    if (special == text.end()) return;
    out += '\\';
    out += *special == '\n' ? 'n' : *special;
    from = special;
  }
}

/// Takes what stands before an unescaped `end` off the front of `text`, and `end` too.
std::string take_escaped(std::string_view& text, char end) {
  std::string out;
  std::size_t i = 0;
  for (; i < text.size() && text[i] != end; ++i) {
    if (text[i] == '\\' && i + 1 < text.size())
      out += text[++i] == 'n' ? '\n' : text[i];
    else
      out += text[i];
  }
  text.remove_prefix(std::min(i + 1, text.size()));
  return out;
}

/// SipHash-1-3.
class sip_hash {
public:
  explicit sip_hash(const id_keys::secret& key)
    : v0_(key[0] ^ 0x736f6d6570736575U), v1_(key[1] ^ 0x646f72616e646f6dU), v2_(key[0] ^ 0x6c7967656e657261U),
      v3_(key[1] ^ 0x7465646279746573U) {}

  std::uint64_t of(std::string_view text) {
    const std::uint64_t length = text.size();
    for (; text.size() >= 8; text.remove_prefix(8)) take(word(text.substr(0, 8)));
    take(word(text) | (length << 56U));
    v2_ ^= 0xff;
    for (int i = 0; i < 3; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

private:
  static std::uint64_t word(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return value;
  }

  void take(std::uint64_t value) {
    v3_ ^= value;
    round();
    v0_ ^= value;
  }

  void round() {
    v0_ += v1_;
    v2_ += v3_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v1_;
    v0_ += v3_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ = std::rotl(v2_, 32);
  }

  std::uint64_t v0_, v1_, v2_, v3_;
};

/// The first 48 bits of a UUID's text, which in version 7 are its time.
std::optional<std::uint64_t> uuid_front(std::string_view id) {
  constexpr std::size_t uuid_length = 36;
  if (id.size() != uuid_length || id[8] != '-' || id[13] != '-') return std::nullopt;
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  const auto high_end = std::from_chars(id.data(), id.data() + 8, high, 16).ptr;
  const auto low_end = std::from_chars(id.data() + 9, id.data() + 13, low, 16).ptr;
  if (high_end != id.data() + 8 || low_end != id.data() + 13) return std::nullopt;
  return (high << 16U) | low;
}

} // namespace

std::string encode_headers(const header_list& headers) {
  std::size_t bytes = 0;
  for (const auto& header : headers) bytes += header.name.size() + header.value.size() + 3;
  std::string out;
  out.reserve(bytes);
  for (const auto& header : headers) {
    append_escaped(out, header.name, true);
    out += ": ";
    append_escaped(out, header.value, false);
    out += '\n';
  }
  return out;
}

header_list decode_headers(std::string_view text) {
  header_list headers;
  while (!text.empty()) {
    std::string name = take_escaped(text, ':');
    if (text.starts_with(' ')) text.remove_prefix(1);
    std::string value = take_escaped(text, '\n');
    headers.push_back({std::move(name), std::move(value)});
  }
  return headers;
}

std::string encode_enrolled(std::span<const core::enrolment> enrolled) {
  std::string out;
  for (const auto& one : enrolled) {
    if (!out.empty()) out += ' ';
    append_number(out, one.destination.value());
    out += ':';
    append_number(out, one.seq.value());
  }
  return out;
}

std::vector<core::enrolment> decode_enrolled(std::string_view text) {
  std::vector<core::enrolment> enrolled;
  while (!text.empty()) {
    const destination_id destination{static_cast<std::uint32_t>(take_number(text))};
    enrolled.push_back({destination, sequence{take_number(text)}});
  }
  return enrolled;
}

std::string encode_sequences(std::span<const sequence> sequences) {
  std::string out;
  for (const auto seq : sequences) {
    if (!out.empty()) out += ' ';
    append_number(out, seq.value());
  }
  return out;
}

std::vector<sequence> decode_sequences(std::string_view text) {
  std::vector<sequence> sequences;
  while (!text.empty()) sequences.emplace_back(take_number(text));
  return sequences;
}

std::string encode_positions(std::span<const position> positions) {
  std::string out;
  out.reserve(positions.size() + 8);
  position before;
  for (const auto at : positions) {
    std::uint64_t rest = at - before;
    for (; rest >= 0x80; rest >>= 7U) out += static_cast<char>(0x80U | (rest & 0x7fU));
    out += static_cast<char>(rest);
    before = at;
  }
  return out;
}

std::vector<position> decode_positions(std::string_view bytes) {
  std::vector<position> positions;
  std::uint64_t at = 0;
  std::uint64_t difference = 0;
  unsigned shift = 0;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (shift < 64) difference |= std::uint64_t{byte & 0x7fU} << shift;
    shift += 7;
    if ((byte & 0x80U) != 0) continue;
    at += difference;
    positions.emplace_back(at);
    difference = 0;
    shift = 0;
  }
  return positions;
}

std::string_view reason_name(core::hold_reason reason) {
  switch (reason) {
  case core::hold_reason::exhausted: return "exhausted";
  case core::hold_reason::permanent: return "permanent";
  case core::hold_reason::refused: return "refused";
  case core::hold_reason::dead_letters: return "dead_letters";
  }
  return "exhausted";
}

core::hold_reason reason_of(std::string_view name) {
  if (name == "permanent") return core::hold_reason::permanent;
  if (name == "refused") return core::hold_reason::refused;
  if (name == "dead_letters") return core::hold_reason::dead_letters;
  return core::hold_reason::exhausted;
}

std::uint64_t id_keys::operator()(std::string_view id) const {
  const std::uint64_t hash = sip_hash(key_).of(id);
  if (const auto front = uuid_front(id)) return (*front << 16U) | (hash & 0xffffU);
  return hash;
}

std::string identity_of(const id_keys::secret& of) {
  char digits[33];
  std::snprintf(digits, sizeof(digits), "%016llx%016llx",
                static_cast<unsigned long long>(sip_hash(of).of("the identity of this journal, first half")),
                static_cast<unsigned long long>(sip_hash(of).of("the identity of this journal, second half")));
  return digits;
}

} // namespace reseq::store
