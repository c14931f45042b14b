/// TOML text to trees. The one place that knows the TOML library.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "reseq/config/tree.hpp"

namespace reseq::config {

struct syntax_error {
  int line = 0; ///< from 1
  std::string what;
};

/// A whole document; the members of each table by name. The error is the first one.
tl::expected<table, syntax_error> parse_toml(std::string_view text);

/// One value, as it stands to the right of a `=`; nothing if it is not one.
std::optional<node> parse_toml_value(std::string_view text);

} // namespace reseq::config
