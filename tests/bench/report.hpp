/// Rows for the table that `tests/bench/run` prints.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace reseq::bench {

struct report_row {
  std::string figure;
  std::string ours;
  std::string baseline = "-";
  std::string ratio = "-";
  std::string aim; ///< "ratio over 1", say
};

/// Appends it, tab-separated, to the file that BENCH_RESULTS names; does nothing without that.
inline void report(const report_row& row) {
  const char* file = std::getenv("BENCH_RESULTS");
  if (file == nullptr) return;
  std::ofstream out(file, std::ios::app);
  out << row.figure << '\t' << row.ours << '\t' << row.baseline << '\t' << row.ratio << '\t' << row.aim << '\n';
}

inline std::string rounded(double value, int decimals) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

} // namespace reseq::bench
