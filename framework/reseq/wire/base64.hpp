/// Base64 as RFC 4648 §4 has it: the standard alphabet, padded, without line breaks.
#pragma once

#include <string>
#include <string_view>

#include "reseq/model/error.hpp"

namespace reseq::wire {

/// Appends the encoding of any bytes.
void append_base64(std::string& out, std::string_view bytes);

/// The bytes that `text` encodes. `errc::invalid` for anything but the canonical encoding: a character of another
/// alphabet, white space, missing padding, bits set behind the last byte.
result<std::string> decode_base64(std::string_view text);

} // namespace reseq::wire
