/// How a stored result stands in Redis: readable, and never trusted.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "reseq/core/lane_updates.hpp"

namespace reseq::store::redis {

/// "17.0": position and chain.
std::string encode_key(core::work_key key);
std::optional<core::work_key> decode_key(std::string_view text);

/// Lines, an empty one, the payload:
///
///     message order-17
///     made by 1f2e3d4c5b6a7988    by whose transforms: `origin`
///     only 1 4                    where narrowed: the destinations' numbers
///     dropped                     where there is no payload
///     type application/json
///     header traceparent: 00-…
std::string encode_result(const core::stored_result& one, std::string_view origin);
/// Nothing when it is not what `encode_result` writes with that origin.
std::optional<core::stored_result> decode_result(core::work_key key, std::string_view text, std::string_view origin);

} // namespace reseq::store::redis
