/// A message on its way into the journal, and what its producer is told about it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"

namespace reseq {

/// Tells two submissions under one id apart: the first 16 bytes of SHA-256 over payload, content type, key and
/// destinations as requested, each length-prefixed. Never over headers or resolved routes, which may differ
/// between a request and its retry.
using digest = std::array<std::uint8_t, 16>;

/// What acceptance stores.
struct submission {
  message_ptr message; ///< with the headers that the pipeline carries; never null
  digest fingerprint{};
  std::vector<destination_id> routes;   ///< resolved, ascending, unique; may be empty
  std::optional<error> only_again = {}; ///< why it cannot be accepted; if it was before, its producer gets the receipt
};

/// What the producer is told once the message is durable; the same again for a duplicate.
struct receipt {
  std::string id;
  bool duplicate = false;
  position at; ///< in shard 0, the only one in this version; 0 when no route wanted the message

  friend bool operator==(const receipt&, const receipt&) = default;
};

} // namespace reseq
