#include <cstdint>
#include <cstdlib>
#include <string>

#include "catch.hpp"
#include "shard_world.hpp"

namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

} // namespace

TEST_CASE("whatever workers, receivers, stores, operators and crashes do, order holds and nothing is lost") {
  const auto first = from_environment("RESEQ_TEST_SEED", 1);
  const auto rounds = from_environment("RESEQ_TEST_ROUNDS", 1000);
  for (auto seed = first; seed < first + rounds; ++seed) {
    CAPTURE(seed);
    reseq::core::test::shard_world world(seed);
    for (int steps = 0; steps < 400 && world.violation().empty(); ++steps) world.step();
    if (world.violation().empty()) world.recover_and_finish();
    REQUIRE(world.violation() == "");
  }
}
