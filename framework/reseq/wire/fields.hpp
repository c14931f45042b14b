/// What an id, a key, a header must look like, whatever they came in. For this folder only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/model/message.hpp"

namespace reseq::wire {

/// Whether every character is printable ASCII, space included.
bool printable_ascii(std::string_view text);

/// Whether `name` can be the name of an HTTP header.
bool is_header_name(std::string_view name);

/// Whether `value` can be a header's value: no control characters but tabs.
bool is_header_value(std::string_view value);

/// `name` in quotes for an error's sentence, shortened if it is long.
std::string in_quotes(std::string_view name);

/// `e`, which happened inside `place`.
error inside(std::string_view place, error e);

result<void> check_id(std::string_view id, std::string_view where);
result<void> check_key(std::string_view key, std::string_view where);
result<void> check_headers(const header_list& headers);
/// Of a header in an envelope: not one that is a field there, nor one of ours.
result<void> check_line_header(std::string_view name);

/// Requested destinations in ascending order and unique; an empty list and empty names are errors.
result<std::vector<std::string>> tidy_destinations(std::vector<std::string> names, std::string_view where);

/// The value of the header `name` if there is one; two are an error.
result<std::optional<std::string_view>> only_header(const header_list& headers, std::string_view name);

/// The id of a message whose producer gave none: from CloudEvents' headers, else a new one. An event with one of
/// `ce-source` and `ce-id` and not the other is refused: a new id would undo the producer's deduplication.
result<std::string> implied_id(const header_list& headers);

} // namespace reseq::wire
