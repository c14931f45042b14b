// The contract suite over a real Redis. Each section has a shard of its own in one server.

#include <string>

#include "redis_server.hpp"
#include "resequencer_contract.hpp"
#include "resequencer_fixture.hpp"

namespace reseq::test {

namespace {

redis_server& shared_server() {
  static redis_server server;
  return server;
}

class redis_place final : public resequencer_place {
public:
  redis_place() {
    static std::uint32_t places = 0;
    shard_.shard = places++;
  }
  std::unique_ptr<store::resequencer> access() override {
    return test::access(shared_server().url(), patient(), shard_);
  }

private:
  shard_id shard_{"orders", 0};
};

place_factory redis_places() {
  return [] { return std::make_unique<redis_place>(); };
}

} // namespace

TEST_CASE("the resequencer in Redis releases as the contract says") { check_release(redis_places()); }
TEST_CASE("the resequencer in Redis fences as the contract says") { check_fencing(redis_places()); }
TEST_CASE("the resequencer in Redis repeats as the contract says") { check_repetition(redis_places()); }
TEST_CASE("the resequencer in Redis keeps results as the contract says") { check_results(redis_places()); }
TEST_CASE("the resequencer in Redis is taken over as the contract says") { check_takeover(redis_places()); }
TEST_CASE("the resequencer in Redis answers what the one in memory answers") { check_against_model(redis_places()); }

} // namespace reseq::test
