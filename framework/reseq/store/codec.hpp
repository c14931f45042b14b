/// How values stand in the journal's columns: short, and readable where an operator may look.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/model/message.hpp"

namespace reseq::store {

/// "name: value" lines; backslashes, line feeds and colons in names are escaped with a backslash.
std::string encode_headers(const header_list& headers);
header_list decode_headers(std::string_view text);

/// "1:17 4:20": destination and sequence.
std::string encode_enrolled(std::span<const core::enrolment> enrolled);
std::vector<core::enrolment> decode_enrolled(std::string_view text);

/// "18 21": sequences.
std::string encode_sequences(std::span<const sequence> sequences);
std::vector<sequence> decode_sequences(std::string_view text);

/// Ascending positions as differences, seven bits a byte, the high bit set on all but a number's last byte.
std::string encode_positions(std::span<const position> positions);
std::vector<position> decode_positions(std::string_view bytes);

std::string_view reason_name(core::hold_reason reason);
core::hold_reason reason_of(std::string_view name);

/// Turns message ids into the 64-bit keys of the id index. Ids that begin with a time, as UUIDv7 does, get keys in the
/// order of that time, so that the index grows at its end; others are hashed under a secret, so that nobody can make
/// ids collide on purpose. Equal ids have equal keys; two ids with one key are told apart by their text.
class id_keys {
public:
  using secret = std::array<std::uint64_t, 2>;

  explicit id_keys(secret key) : key_(key) {}
  std::uint64_t operator()(std::string_view id) const;

private:
  secret key_;
};

/// What tells a journal from others: 32 hexadecimal digits, which say nothing about its secret. Copies of a journal
/// have it, too.
std::string identity_of(const id_keys::secret& of);

} // namespace reseq::store
