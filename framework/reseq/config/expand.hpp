/// `${NAME}` in the strings of a configuration file.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace reseq::config {

/// `text` with the environment's values in place of `${NAME}`, and `${` in place of `$${`. What comes from the
/// environment is not looked at again. The error says which variables are missing, never a value.
tl::expected<std::string, std::string> expand(std::string_view text,
                                              const std::map<std::string, std::string>& environment);

} // namespace reseq::config
