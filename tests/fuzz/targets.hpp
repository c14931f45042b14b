/// Our parsers, each under any bytes at all. What must hold whatever comes in stands in the targets, which know nothing
/// of how inputs are found: libFuzzer drives them (`libfuzzer.cpp`), and the unit test `replay.cpp`.
#pragma once

#include <cstddef>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace reseq::fuzz {

/// What does not hold.
struct finding : std::logic_error {
  using std::logic_error::logic_error;
};

inline void require(bool holds, const char* sentence) {
  if (!holds) throw finding(sentence);
}

struct target {
  const char* name;
  void (*run)(std::string_view input);
  std::vector<std::string> seeds; ///< inputs to start from
};

/// All of them.
const std::vector<target>& targets();

/// The one called `name`; throws `std::invalid_argument` if there is none.
const target& target_called(std::string_view name);

std::vector<target> http_targets();
std::vector<target> edge_targets();
std::vector<target> wire_targets();
std::vector<target> config_targets();
std::vector<target> store_targets();

/// Cuts what arrives into pieces: the first byte of the input says how, the rest is what arrives.
class cutter {
public:
  explicit cutter(std::string_view input)
    : random_(input.empty() ? 1U : 1U + static_cast<unsigned char>(input[0])),
      rest_(input.substr(input.empty() ? 0 : 1)) {}

  [[nodiscard]] std::string_view whole() const { return rest_; }
  [[nodiscard]] bool done() const { return rest_.empty(); }

  /// The next piece; most are short.
  std::string_view next() {
    const auto most = random_() % 4 == 0 ? 512U : 8U;
    const auto piece = rest_.substr(0, 1 + random_() % most);
    rest_.remove_prefix(piece.size());
    return piece;
  }

private:
  std::minstd_rand random_;
  std::string_view rest_;
};

} // namespace reseq::fuzz
