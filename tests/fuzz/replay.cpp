#include <cstdlib>

#include "catch.hpp"
#include "targets.hpp"

using namespace reseq::fuzz;

namespace {

std::uint32_t number_of(const char* variable, std::uint32_t otherwise) {
  const auto* const text = std::getenv(variable);
  return text ? static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10)) : otherwise;
}

/// `text` with some of its bytes changed, taken out, doubled, or taken from `other`.
std::string mutated(std::string text, const std::string& other, std::minstd_rand& random) {
  for (auto changes = 1 + random() % 6; changes > 0; --changes) {
    const auto at = random() % (text.size() + 1);
    const auto size = std::min<std::size_t>(1 + random() % 8, text.size() - at);
    switch (random() % 5) {
    case 0: text.insert(at, 1, static_cast<char>(random())); break;
    case 1: text.insert(at, 1, "\r\n\t :;,\"\\\0{}[]0Aa=.%$-"[random() % 22]); break;
    case 2: text.erase(at, size); break;
    case 3: text.insert(at, text.substr(at, size)); break;
    default: text.replace(at, size, other.substr(random() % (other.size() + 1), random() % 16));
    }
  }
  return text;
}

/// For a message: whatever it holds, it can be printed.
std::string shown(std::string_view input) {
  std::string out;
  for (const char c : input) {
    const auto code = static_cast<unsigned char>(c);
    constexpr std::string_view hex = "0123456789abcdef";
    if (code >= 0x20 && code < 0x7f && c != '\\') {
      out += c;
    } else {
      out.append("\\x").append(1, hex[code >> 4U]).append(1, hex[code & 15U]);
    }
  }
  return out;
}

} // namespace

TEST_CASE("what must hold of each parser holds for its seeds and for mutations of them") {
  const auto seed = number_of("RESEQ_TEST_SEED", 1);
  const auto rounds = number_of("RESEQ_TEST_ROUNDS", 2000);
  for (const auto& target : targets()) {
    std::minstd_rand random(seed);
    std::vector<std::string> inputs = target.seeds;
    inputs.emplace_back();
    for (std::uint32_t i = 0; i < rounds; ++i) {
      const auto& other = inputs[random() % target.seeds.size()];
      inputs.push_back(mutated(inputs[random() % inputs.size()], other, random));
    }
    for (const auto& input : inputs) {
      INFO(target.name << ", seed " << seed << ": " << shown(input));
      REQUIRE_NOTHROW(target.run(input));
    }
  }
}
