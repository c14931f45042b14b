#include "reseq/core/key_lane_account.hpp"

#include <cstdint>
#include <vector>

#include "catch.hpp"

namespace {

using namespace reseq;
using namespace reseq::core;

using numbers = std::vector<std::uint64_t>;

numbers of(const std::vector<sequence>& all) {
  numbers out;
  for (const auto seq : all) out.push_back(seq.value());
  return out;
}

lane_update told(key_lane_account& account, std::size_t most = 1000) {
  lane_update update;
  account.tell(update, most);
  return update;
}

} // namespace

TEST_CASE("with order by key the resequencer is told of what changed, ascending") {
  key_lane_account account;
  for (const std::uint64_t seq : {7U, 3U, 9U}) account.admit(sequence{seq});
  account.finish(sequence{7});
  account.finish(sequence{4}); // not there
  const auto first = told(account);
  CHECK(of(first.admitted) == numbers{3, 7, 9});
  CHECK(of(first.ready) == numbers{7});
  CHECK(first.settled.empty());
  CHECK((account.pending() == 3 && account.ready() == 1));
  account.finish(sequence{3});
  account.settle(sequence{9});
  account.admit(sequence{1});
  const auto second = told(account);
  CHECK(of(second.admitted) == numbers{1});
  CHECK(of(second.ready) == numbers{3});
  CHECK(of(second.settled) == numbers{9});
  CHECK((account.pending() == 3 && account.ready() == 2));
  CHECK_FALSE(account.has_news());
}

TEST_CASE(
  "what left and came back pending is no news, and if it was ready it goes first and comes with the next step") {
  key_lane_account account;
  for (const std::uint64_t seq : {1U, 2U}) account.admit(sequence{seq});
  account.finish(sequence{2});
  told(account);
  for (const std::uint64_t seq : {1U, 2U}) {
    account.settle(sequence{seq});
    account.admit(sequence{seq});
  }
  const auto first = told(account);
  CHECK(first.admitted.empty());
  CHECK(of(first.settled) == numbers{2});
  REQUIRE(account.has_news());
  const auto second = told(account);
  CHECK(of(second.admitted) == numbers{2});
  CHECK((account.pending() == 2 && account.ready() == 0));
}

TEST_CASE("no more is told in one step than may be, and what is left is told in the next") {
  key_lane_account account;
  for (std::uint64_t seq = 1; seq <= 5; ++seq) account.admit(sequence{seq});
  account.finish(sequence{5});
  lane_update anew;
  CHECK(account.tell_all(anew, 2) == lane_answer{true, {}, 2, 0});
  CHECK(of(anew.admitted) == numbers{1, 2});
  CHECK(of(told(account, 2).admitted) == numbers{3, 4});
  REQUIRE(account.has_news());
  const auto last = told(account, 2);
  CHECK(of(last.admitted) == numbers{5});
  CHECK(of(last.ready) == numbers{5});
  CHECK_FALSE(account.has_news());
}

TEST_CASE("what comes and leaves while nothing is told leaves nothing behind") {
  key_lane_account account;
  account.admit(sequence{1});
  told(account);
  for (std::uint64_t seq = 2; seq <= 1000; ++seq) {
    account.admit(sequence{seq});
    account.finish(sequence{seq});
    account.settle(sequence{seq});
  }
  CHECK(account.size() == 1);
  CHECK_FALSE(account.has_news());
  account.settle(sequence{1});
  CHECK(account.size() == 1); // it was told of that
  lane_update anew;
  account.tell_all(anew, 1000);
  CHECK(anew.admitted.empty());
  CHECK(account.size() == 0);
}
