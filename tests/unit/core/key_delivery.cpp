#include "reseq/core/key_delivery.hpp"

#include <set>

#include "catch.hpp"
#include "key_lane_fixture.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace reseq::core::test;
using namespace std::chrono_literals;

namespace {

struct key_delivery_fixture : key_lane_fixture {
  explicit key_delivery_fixture(std::uint32_t connections, std::uint32_t batch = 1)
    : key_lane_fixture({{32, 1'000'000, 100}, 10}), delivery(connections, batch, std::chrono::seconds{10}, 1) {}

  void ready(const std::vector<std::string>& keys) {
    for (const auto& key : keys) {
      const auto seq = tested.next();
      offer({key});
      finish({seq.value()});
    }
  }
  /// Starts one request; what it carries.
  numbers start(time_point now = t0) {
    tested.end_rests(now);
    const auto may = delivery.allowance(now);
    if (may.count == 0) return {};
    std::vector<released_slot> out;
    tested.release(may, now, out);
    if (out.empty()) return {};
    std::vector<sequence> carried;
    numbers sequences;
    for (const auto& one : out) {
      carried.push_back(one.seq);
      sequences.push_back(one.seq.value());
    }
    ids[sequences] = delivery.start(may, carried, tested, now);
    return sequences;
  }
  delivery_verdict answer(const numbers& request, const receiver_answer& how, time_point now = t0) {
    const auto read = delivery.answer(ids.at(request), how, now, tested);
    if (read.verdict == delivery_verdict::delivered) deliver(request, now);
    return read.verdict;
  }

  key_delivery delivery;
  std::map<numbers, request_id> ids;
};

const failing trouble{"503", std::nullopt};

} // namespace

TEST_CASE("as many requests are under way as there are connections, each of another key") {
  key_delivery_fixture f{2};
  f.ready({"a", "a", "b", "c"});
  CHECK(f.start() == numbers{1});
  CHECK(f.start(after(7)) == numbers{3});
  CHECK(f.start().empty());
  CHECK(f.delivery.asked_at(sequence{1}) == t0);
  CHECK(f.delivery.asked_at(sequence{3}) == after(7));
  CHECK_FALSE(f.delivery.asked_at(sequence{4}));
  CHECK(f.answer({3}, confirmed{}) == delivery_verdict::delivered);
  CHECK(f.start() == numbers{4});
  CHECK(f.answer({1}, confirmed{}) == delivery_verdict::delivered);
  CHECK(f.start() == numbers{2});
}

TEST_CASE("a request carries the messages of several keys, up to a batch") {
  key_delivery_fixture f{2, 3};
  f.ready({"a", "b", "a", "c", "d"});
  CHECK(f.start() == numbers{1, 2, 3});
  CHECK(f.start() == numbers{4, 5});
}

TEST_CASE("a key that fails rests longer and longer, and the others go meanwhile") {
  key_delivery_fixture f{4};
  f.ready({"a", "b", "b"});
  CHECK(f.start() == numbers{1});
  CHECK(f.answer({1}, trouble) == delivery_verdict::again);
  CHECK(f.start() == numbers{2});
  f.answer({2}, confirmed{});
  CHECK(f.start() == numbers{3});
  CHECK(f.start(after(49)).empty());
  CHECK(f.start(after(100)) == numbers{1});
  f.answer({1}, trouble, after(100));
  CHECK(f.start(after(199)).empty());
  CHECK(f.start(after(300)) == numbers{1});
  CHECK_FALSE(f.delivery.away());
}

TEST_CASE("of a failed request each key goes alone, so that one does not drag the others along") {
  key_delivery_fixture f{4, 3};
  f.ready({"a", "b", "c"});
  CHECK(f.start() == numbers{1, 2, 3});
  f.answer({1, 2, 3}, trouble);
  numbers went;
  for (auto next = f.start(after(100)); !next.empty(); next = f.start(after(100))) {
    CHECK(next.size() == 1);
    went.push_back(next.front());
  }
  CHECK(went == numbers{1, 2}); // half of the connections
  f.answer({1}, trouble, after(100));
  f.answer({2}, confirmed{}, after(100));
  CHECK(f.start(after(100)) == numbers{3});
}

TEST_CASE("the receiver's wish for time is respected for the keys that it was told for") {
  key_delivery_fixture f{4};
  f.ready({"a", "b"});
  f.start();
  f.answer({1}, failing{"429", std::chrono::seconds{30}});
  CHECK(f.start() == numbers{2});
  CHECK(f.start(after(29'999)).empty());
  CHECK(f.start(after(30'000)) == numbers{1});
}

TEST_CASE("a backoff that is ended lets every key go at once, and what fails again rests briefly") {
  key_delivery_fixture f{4};
  f.ready({"a", "b"});
  for (int i = 0; i < 8; ++i) {
    REQUIRE(f.start(after(i * 20'000)) == numbers{1});
    f.answer({1}, trouble, after(i * 20'000));
  }
  const auto now = after(141'000);
  REQUIRE(f.start(now) == numbers{2});
  f.answer({2}, failing{"429", 30min}, now);
  CHECK(f.start(now).empty());
  f.delivery.end_backoff(now, f.tested);
  CHECK(f.start(now) == numbers{1});
  CHECK(f.start(now) == numbers{2});
  f.answer({1}, trouble, now);
  f.answer({2}, trouble, now);
  CHECK(*f.tested.next_rest_ends() > now);
  CHECK(f.start(now + 200ms) == numbers{1});
  CHECK(f.start(now + 200ms) == numbers{2});
}

TEST_CASE("where the receiver as a whole is away, ending the backoff has it asked at once") {
  key_delivery_fixture f{2};
  f.ready({"a", "b"});
  f.start();
  f.start();
  f.answer({1}, failing{"503", 1min});
  f.answer({2}, failing{"503", 1min});
  REQUIRE(f.delivery.away());
  CHECK(f.start(after(59'000)).empty());
  f.delivery.end_backoff(after(1), f.tested);
  CHECK(f.delivery.not_before() == after(1));
  CHECK_FALSE(f.start(after(1)).empty());
  CHECK(f.start(after(1)).empty());
}

TEST_CASE("a refused message is found by sending those of its request one by one") {
  key_delivery_fixture f{4, 3};
  f.ready({"a", "a", "b"});
  CHECK(f.start() == numbers{1, 2, 3});
  CHECK(f.answer({1, 2, 3}, refused{"422"}) == delivery_verdict::again);
  CHECK(f.start() == numbers{1});
  CHECK(f.start() == numbers{3});
  CHECK(f.answer({1}, refused{"422"}) == delivery_verdict::refused);
  CHECK(f.answer({3}, confirmed{}) == delivery_verdict::delivered);
}

TEST_CASE("when one key after the other fails and nothing gets through, one request at a time asks again") {
  key_delivery_fixture f{2};
  f.ready({"a", "b", "c", "d"});
  CHECK(f.start() == numbers{1});
  CHECK(f.start() == numbers{2});
  f.answer({1}, trouble);
  CHECK_FALSE(f.delivery.away());
  f.answer({2}, trouble);
  CHECK(f.delivery.away());
  CHECK(f.start().empty());
  const auto first = *f.delivery.not_before();
  const auto probe = f.start(first); // another key than those that failed
  REQUIRE((probe == numbers{3} || probe == numbers{4}));
  CHECK(f.start(first + std::chrono::seconds{60}).empty());
  f.answer(probe, trouble, first);
  const auto second = *f.delivery.not_before();
  CHECK(second > first);
  const auto another = f.start(second);
  REQUIRE(another == numbers{7 - probe.front()});
  f.answer(another, confirmed{}, second);
  CHECK_FALSE(f.delivery.away());
  CHECK(f.start(second) == numbers{1}); // those that failed take half of the connections
  CHECK(f.start(second).empty());
  f.answer({1}, confirmed{}, second);
  CHECK(f.start(second) == numbers{2});
}

TEST_CASE("many keys that fail, before all others, do not pass for the receiver for long") {
  key_delivery_fixture f{4};
  f.limits_.lane.window = 1000;
  f.tested = f.make();
  constexpr std::uint64_t bad = 30;
  constexpr std::uint64_t all = 230;
  for (std::uint64_t n = 1; n <= all; ++n) f.ready({"key " + std::to_string(n)});
  std::set<std::uint64_t> delivered;
  std::uint64_t failures = 0;
  auto now = t0;
  const auto end = t0 + std::chrono::seconds{20};
  while (delivered.size() < all - bad && now < end) {
    now += std::chrono::milliseconds{1};
    std::vector<numbers> requests;
    for (auto next = f.start(now); !next.empty(); next = f.start(now)) requests.push_back(next);
    for (const auto& request : requests) {
      const bool fails = request.front() <= bad;
      f.answer(request, fails ? receiver_answer{trouble} : receiver_answer{confirmed{}}, now);
      fails ? ++failures : delivered.insert(request.front()).second;
    }
    f.save();
  }
  CHECK(delivered.size() == all - bad);
  CHECK(now < t0 + std::chrono::seconds{5});
  CHECK(failures < 10 * bad);
}

TEST_CASE("one key that fails again and again is not the whole receiver") {
  key_delivery_fixture f{2};
  f.ready({"a"});
  auto now = t0;
  for (int i = 0; i < 10; ++i) {
    REQUIRE(f.start(now) == numbers{1});
    f.answer({1}, trouble, now);
    now += std::chrono::seconds{10};
  }
  CHECK_FALSE(f.delivery.away());
  f.ready({"b"});
  CHECK(f.start(now - std::chrono::seconds{10}) == numbers{2});
}

TEST_CASE("keys that hang leave half of the connections to the others") {
  key_delivery_fixture f{4};
  f.ready({"a", "b", "c"});
  for (const std::uint64_t n : {1U, 2U, 3U}) CHECK(f.start() == numbers{n});
  for (const std::uint64_t n : {1U, 2U, 3U}) f.answer({n}, trouble);
  CHECK(f.start(after(200)) == numbers{1});
  CHECK(f.start(after(200)) == numbers{2});
  CHECK(f.start(after(200)).empty());
  f.ready({"d", "e"});
  CHECK(f.start(after(200)) == numbers{4});
  CHECK(f.start(after(200)) == numbers{5});
}

TEST_CASE("by key, an answer that nobody waits for changes nothing") {
  key_delivery_fixture f{2};
  f.ready({"a"});
  f.start();
  CHECK(f.delivery.answer(request_id{99}, confirmed{}, t0, f.tested).verdict == delivery_verdict::late);
  CHECK_FALSE(f.delivery.idle());
  f.answer({1}, confirmed{});
  CHECK(f.delivery.idle());
}
