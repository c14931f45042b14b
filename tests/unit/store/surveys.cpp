#include "reseq/store/receiver_survey.hpp"

#include "catch.hpp"

using namespace reseq;
using namespace reseq::store;

namespace {

constexpr destination_id ledger{1};

shard_state shard_at(std::uint64_t owner, std::uint64_t last) {
  shard_state state;
  state.owner = epoch{owner};
  state.destinations.push_back({ledger, "ledger", sequence{last}, {}, {}, {}});
  return state;
}

std::vector<receiver_seen> seen(std::uint64_t owner, std::uint64_t last) {
  return {{ledger, {epoch{owner}, sequence{last}, "m"}}};
}

} // namespace

TEST_CASE("a receiver that was sent more than is saved is not ahead") {
  CHECK_FALSE(find_ahead(shard_at(3, 10), seen(3, 10)));
  CHECK_FALSE(find_ahead(shard_at(3, 10), seen(0, 0)));
  CHECK_FALSE(find_ahead(shard_at(3, 10), {}));
  CHECK_FALSE(
    find_ahead(shard_at(3, 10), std::vector<receiver_seen>{{destination_id{2}, {epoch{9}, sequence{99}, ""}}}));
}

TEST_CASE("a receiver that has what the journal never gave, or a later owner, is ahead, and that is said") {
  CHECK(
    find_ahead(shard_at(3, 10), seen(3, 11)) ==
    "the receiver of destination ledger is ahead of the journal: the last that it has is sequence 11, message m, and "
    "the journal has given it none beyond sequence 10");
  CHECK(find_ahead(shard_at(3, 10), seen(4, 10)) ==
        "the receiver of destination ledger knows of epoch 4, and the journal of none after 3");
}

TEST_CASE("a receiver with another journal's record is nobody's to judge by, and that is said") {
  auto theirs = seen(1, 5);
  theirs[0].has.foreign = "0123456789abcdef";
  theirs[0].has.written = "2026-01-02 03:04:05 UTC";
  CHECK(find_ahead(shard_at(3, 10), theirs) ==
        "the receiver of destination ledger belongs to another installation: what is recorded of it is of journal "
        "01234567…, last written 2026-01-02 03:04:05 UTC. If that one is to go on, give this one another table or "
        "stream, in the destination's url, and start again; if its journal is gone for good (its node.data_dir was "
        "deleted, say), `reseqctl recover PIPELINE --take-over` shows how this one goes on behind what is there");
}
