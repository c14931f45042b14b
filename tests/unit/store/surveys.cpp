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

core::progress_record progress_at(std::uint64_t watermark, std::vector<sequence> above = {}) {
  return {ledger, sequence{watermark}, std::move(above), sequence{watermark}, 7, false};
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

TEST_CASE("a receiver is behind when it lacks what was delivered, not when it lacks what was never sent") {
  auto progress = progress_at(5);
  CHECK(is_behind(progress, {epoch{1}, sequence{4}, ""}));
  CHECK_FALSE(is_behind(progress, {epoch{1}, sequence{5}, ""}));
  progress.watermark = sequence{9}; // 6 to 9 were dropped
  CHECK_FALSE(is_behind(progress, {epoch{1}, sequence{5}, ""}));
  progress.reached = sequence{9}; // in order by key
  CHECK_FALSE(is_behind(progress, {epoch{1}, sequence{1}, ""}));
}

TEST_CASE("progress goes back to what the receiver has, and a row of dead letters begins anew") {
  auto paused = progress_at(9, {sequence{12}});
  paused.paused = true;
  CHECK(rewound(paused, sequence{4}, {}) ==
        core::progress_record{ledger, sequence{4}, {sequence{12}}, sequence{4}, 0, true});
  CHECK(rewound(progress_at(9), sequence{}, {}) == core::progress_record{ledger, {}, {}, {}});
}

TEST_CASE("what was given up stays settled, and moves the watermark where it follows on it") {
  const std::vector<sequence> given_up{sequence{5}, sequence{6}, sequence{8}};
  CHECK(rewound(progress_at(9, {sequence{12}}), sequence{4}, given_up) ==
        core::progress_record{ledger, sequence{6}, {sequence{8}, sequence{12}}, sequence{4}});
}
