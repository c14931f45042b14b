#include "catch.hpp"

#include <atomic>
#include <latch>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "actors/api/gather.hpp"
#include "actors/reply.hpp"

using namespace reseq;
using actors::reply;
using actors::api::gather;

namespace {

using int_answers = std::vector<result<int>>;

reply<int> into(int_answers& seen) {
  return reply<int>([&seen](result<int> value) { seen.push_back(std::move(value)); });
}

} // namespace

TEST_CASE("an answer reaches its asker") {
  int_answers seen;
  into(seen)(7);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0] == 7);
}

TEST_CASE("an error is an answer, too") {
  int_answers seen;
  into(seen)(fail(errc::conflict, "no"));
  REQUIRE(seen.size() == 1);
  REQUIRE_FALSE(seen[0]);
  CHECK(seen[0].error().code == errc::conflict);
}

TEST_CASE("when the last copy is dropped without an answer, the asker hears that nobody can answer") {
  int_answers seen;
  {
    std::optional<reply<int>> first = into(seen);
    const auto second = *first;
    first.reset();
    CHECK(seen.empty());
  }
  REQUIRE(seen.size() == 1);
  REQUIRE_FALSE(seen[0]);
  CHECK(seen[0].error().code == errc::unavailable);
}

TEST_CASE("of several answers the first counts, and nothing follows when the copies go") {
  int_answers seen;
  {
    const auto first = into(seen);
    const auto second = first;
    second(1);
    first(2);
    second(3);
  }
  REQUIRE(seen.size() == 1);
  CHECK(seen[0] == 1);
}

TEST_CASE("a reply that nobody waits for can be answered and dropped") {
  const reply<int> nobody;
  nobody(1);
  CHECK_NOTHROW(nobody(fail(errc::internal, "still nobody")));
}

TEST_CASE("of answers from several threads exactly one counts") {
  constexpr int threads = 8;
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> calls{0};
    std::atomic<int> value{-1};
    {
      const reply<int> asked([&](result<int> given) {
        ++calls;
        value = *given;
      });
      std::latch together{threads};
      std::vector<std::jthread> answering;
      for (int i = 0; i < threads; ++i)
        answering.emplace_back([&together, asked, i] {
          together.arrive_and_wait();
          asked(i);
        });
    }
    REQUIRE(calls == 1);
    REQUIRE(value >= 0);
  }
}

TEST_CASE("gathered answers come together, in the order of their questions") {
  std::vector<reply<int>> asked;
  std::optional<int_answers> all;
  gather<int>(
    3, [&](std::size_t, reply<int> to) { asked.push_back(std::move(to)); },
    [&](int_answers results) { all = std::move(results); });
  REQUIRE(asked.size() == 3);
  asked[2](30);
  asked[0](10);
  CHECK_FALSE(all);
  asked[1](fail(errc::not_found, "no twenty"));
  REQUIRE(all);
  REQUIRE(all->size() == 3);
  CHECK(all->at(0) == 10);
  REQUIRE_FALSE(all->at(1));
  CHECK(all->at(1).error().code == errc::not_found);
  CHECK(all->at(2) == 30);
}

TEST_CASE("a gathered question that is dropped counts as answered with an error") {
  std::optional<int_answers> all;
  gather<int>(
    2,
    [&](std::size_t i, const reply<int>& to) {
      if (i == 0) to(1);
    },
    [&](int_answers results) { all = std::move(results); });
  REQUIRE(all);
  CHECK(all->at(0) == 1);
  REQUIRE_FALSE(all->at(1));
  CHECK(all->at(1).error().code == errc::unavailable);
}

TEST_CASE("gathering nothing is done at once") {
  std::optional<int_answers> all;
  gather<int>(
    0, [](std::size_t, const reply<int>&) { FAIL("nobody is to be asked"); },
    [&](int_answers results) { all = std::move(results); });
  REQUIRE(all);
  CHECK(all->empty());
}

TEST_CASE("answers gathered from several threads are passed on once") {
  constexpr int count = 8;
  for (int round = 0; round < 200; ++round) {
    std::vector<reply<int>> asked;
    std::atomic<int> calls{0};
    int_answers all;
    gather<int>(
      count, [&](std::size_t, reply<int> to) { asked.push_back(std::move(to)); },
      [&](int_answers results) {
        ++calls;
        all = std::move(results);
      });
    {
      std::latch together{count};
      std::vector<std::jthread> answering;
      for (int i = 0; i < count; ++i)
        answering.emplace_back([&together, &asked, i] {
          together.arrive_and_wait();
          asked[static_cast<std::size_t>(i)](i);
        });
    }
    REQUIRE(calls == 1);
    REQUIRE(all.size() == count);
    for (int i = 0; i < count; ++i) REQUIRE(all[static_cast<std::size_t>(i)] == i);
  }
}
