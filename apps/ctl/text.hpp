/// Text for people: tables, spans of time, and what came from elsewhere made harmless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/counted.hpp"

namespace reseq::ctl {

/// `text` without control characters, each run of them one space: an error message must not steer a terminal.
std::string printable(std::string_view text);

/// `printable`, and at most `columns` characters long; "…" stands for the rest.
std::string shortened(std::string_view text, std::size_t columns);

/// The two largest units: "3d 4h", "3m 12s", "12s", "850ms". Negative ones are "0ms".
std::string span(duration length);

/// Reads the API's timestamps, "2026-11-21T22:37:53.123Z"; nothing for anything else.
std::optional<wall_time> read_time(std::string_view text);

/// "3m 12s ago"; "just now" within a second, and for the future, which is another machine's clock.
std::string ago(wall_time then, wall_time now);

/// "in 12s"; "now" for the past.
std::string until(wall_time then, wall_time now);

enum class align { left, right };

/// Columns as wide as their widest cell, two spaces apart, a title over each.
class table {
public:
  struct column {
    std::string title;
    align side = align::left;
  };

  explicit table(std::vector<column> columns);

  /// One cell a column; made `printable`.
  void add(const std::vector<std::string>& cells);

  [[nodiscard]] std::string text() const;

private:
  std::vector<column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

} // namespace reseq::ctl
