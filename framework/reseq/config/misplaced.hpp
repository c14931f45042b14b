/// TOML's commonest trap with lists of tables: a `[pipeline.retry]` above its `[[pipeline]]`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace reseq::config {

struct misplaced_table {
  int line = 0;
  std::string name; ///< "pipeline.retry"
  std::string what;
};

/// If the syntax error in line `error_line` is a `[[list]]` that comes after a table of its own: that table.
std::optional<misplaced_table> find_misplaced_table(std::string_view text, int error_line);

} // namespace reseq::config
