/// Any bytes in a text column, readable where they are text.
#pragma once

#include <string>
#include <string_view>

namespace reseq::store::postgres {

/// UTF-8 stays as it is but for backslashes, which are doubled; zeros and bytes that are not UTF-8 become `\xHH`.
std::string to_readable(std::string_view bytes);
/// Whether `to_readable` leaves all of it as it is, for certain; false also for some of which it does.
bool is_plain(std::string_view bytes);
std::string from_readable(std::string_view text);

/// A `bytea` as PostgreSQL writes it: `\x` and two digits a byte.
std::string from_hex(std::string_view text);

} // namespace reseq::store::postgres
