// The contract suite over the resequencer in memory.

#include "reseq/store/memory_resequencer.hpp"
#include "resequencer_contract.hpp"

#include "catch.hpp"

namespace reseq::test {

namespace {

class memory_place final : public resequencer_place {
public:
  std::unique_ptr<store::resequencer> access() override { return std::make_unique<store::memory_resequencer>(kept_); }

private:
  std::shared_ptr<core::lane_store> kept_ = std::make_shared<core::lane_store>();
};

place_factory memory_places() {
  return [] { return std::make_unique<memory_place>(); };
}

} // namespace

TEST_CASE("the resequencer in memory releases as the contract says") { check_release(memory_places()); }
TEST_CASE("the resequencer in memory fences as the contract says") { check_fencing(memory_places()); }
TEST_CASE("the resequencer in memory repeats as the contract says") { check_repetition(memory_places()); }
TEST_CASE("the resequencer in memory keeps results as the contract says") { check_results(memory_places()); }
TEST_CASE("the resequencer in memory is taken over as the contract says") { check_takeover(memory_places()); }

} // namespace reseq::test
