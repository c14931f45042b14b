/// The table of options as text for people.
#pragma once

#include <string>

namespace reseq::config {

/// What `conf/reference.toml` must contain: every key with its default and description. A configuration that
/// loads; each list has one example member.
std::string reference_toml();

/// For --help: each key with its type, default and description, in the order of the table.
std::string options_help();

} // namespace reseq::config
