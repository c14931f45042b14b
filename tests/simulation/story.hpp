/// What happened in a schedule, a sentence a line, for people who look for a defect.
#pragma once

#include <chrono>
#include <cstdint>
#include <iomanip>
#include <sstream>
#include <string>
#include <vector>

#include "reseq/core/shard.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/strong.hpp"

namespace reseq::simulation {

/// When the virtual clock starts.
inline constexpr time_point beginning{std::chrono::hours{1}};

template <class Tag, class Rep>
std::ostream& operator<<(std::ostream& out, strong<Tag, Rep> number) {
  return out << number.value();
}

inline std::ostream& operator<<(std::ostream& out, const core::send_request& request) {
  out << request.items.front().seq;
  if (request.items.size() > 1) out << " to " << request.items.back().seq;
  return out << " (request " << request.id << ")";
}

class story {
public:
  explicit story(bool wanted) : wanted_(wanted) {}

  /// Costs nothing when the story is not wanted.
  template <class... Parts>
  void tell(time_point now, const Parts&... parts) {
    if (!wanted_) return;
    std::ostringstream line;
    line << std::fixed << std::setprecision(3) << std::chrono::duration<double>(now - beginning).count() << " s: ";
    (put(line, parts), ...);
    lines_.push_back(line.str());
  }

  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

private:
  template <class Part>
  static void put(std::ostream& out, const Part& part) {
    out << part;
  }

  bool wanted_;
  std::vector<std::string> lines_;
};

} // namespace reseq::simulation
