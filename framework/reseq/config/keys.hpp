/// All keys by their names, for saying which one was probably meant.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reseq::config {

/// The one of `known` that takes the fewest changed letters, of equals the first; nothing if that takes so many that
/// another word was meant.
std::optional<std::string> nearest(std::string_view wanted, const std::vector<std::string>& known);

/// What is wrong with `key`, which the table of options does not have: either it is a table, or the nearest key is
/// named if one is near. Dotted, members of lists without their names: "pipeline.retry.jiter".
std::string unknown_key(std::string_view key);

/// "RESEQ_STORE_POSTGRES" for "store.postgres".
std::string variable_of(std::string_view key);

} // namespace reseq::config
