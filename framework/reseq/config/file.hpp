/// The configuration file: from TOML text to settings.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "reseq/config/findings.hpp"

namespace reseq::config {

/// Lays the document `text` over `into`, key by key; what is wrong goes to `found`, under the name `file`.
/// False if it is no TOML: then `found` has the first error and `into` is as it was.
bool read_document(std::string_view text, const std::string& file,
                   const std::map<std::string, std::string>& environment, settings& into, findings& found);

/// How problems and `--set` name a member of a list: "pipeline.orders", "pipeline[2]" if it has no valid name.
std::string member_label(const std::string& list_label, const std::string& name);

/// Stands for the name of a member that has no valid one; `index` counts from 0. Never a name itself.
std::string placeholder_name(std::size_t index);
bool is_placeholder(const std::string& name);

} // namespace reseq::config
