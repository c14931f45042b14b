#include <cstdint>
#include <cstdlib>

#include "catch.hpp"
#include "dispatch_table_world.hpp"

namespace {

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const auto* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

} // namespace

TEST_CASE("whatever happens, the table does what the obvious model allows, and nothing is lost") {
  const auto first_seed = number_from_environment("RESEQ_TEST_SEED", 1);
  const auto rounds = number_from_environment("RESEQ_TEST_ROUNDS", 100);
  int quarantines = 0;
  for (auto seed = first_seed; seed < first_seed + rounds; ++seed) {
    INFO("to repeat: RESEQ_TEST_SEED=" << seed << " RESEQ_TEST_ROUNDS=1");
    dispatch_model::world w{seed};
    for (int i = 0; i < (seed % 3 == 0 ? 1200 : 400); ++i) {
      CAPTURE(i);
      w.step();
      w.compare();
    }
    w.finish();
    quarantines += w.quarantines;
  }
  if (rounds >= 100) CHECK(quarantines > 0);
}
