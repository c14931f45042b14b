#include "reseq/core/lane.hpp"

#include <memory>

#include "catch.hpp"
#include "reseq/core/lane_updates.hpp"

using namespace reseq;
using namespace reseq::core;

namespace {

constexpr time_point opened{std::chrono::hours{1}};

time_point at_ms(int ms) { return opened + std::chrono::milliseconds{ms}; }

/// A lane with its progress, as a shard keeps them.
struct lane_fixture {
  explicit lane_fixture(lane_limits limits, progress_record saved = {})
    : book(std::move(saved)), window(limits, book.watermark() + 1, opened) {}

  void admit(std::uint64_t bytes = 10, slot_state state = slot_state::pending) {
    const auto n = window.next().value();
    window.admit(state, position{100 + n}, std::make_shared<message>(), bytes, opened);
  }
  // By value: Catch2 takes what it compares by reference, which no bit-field can be taken by.
  [[nodiscard]] slot_state state_of(std::uint64_t seq) const { return window.find(sequence{seq})->state; }
  [[nodiscard]] std::uint32_t deliveries_of(std::uint64_t seq) const { return window.find(sequence{seq})->deliveries; }
  void finish(std::uint64_t seq, time_point now = opened) {
    window.finish(sequence{seq}, std::make_shared<content>(), 5, now);
  }
  void settle(std::uint64_t seq, bool delivered, time_point now = opened) {
    window.settle(sequence{seq}, now);
    book.settle(sequence{seq}, delivered);
  }
  void save() {
    book.begin_save();
    book.saved();
    window.trim(book);
  }
  std::vector<std::uint64_t> release(std::size_t count, time_point now = opened, sequence limit = greatest_sequence) {
    released.clear();
    window.release(count, limit, book, now, released);
    std::vector<std::uint64_t> sequences;
    for (const auto& r : released) sequences.push_back(r.seq.value());
    return sequences;
  }

  progress book;
  lane window;
  std::vector<released_slot> released;
};

using numbers = std::vector<std::uint64_t>;

} // namespace

TEST_CASE("a request carries no more bytes than a store takes, but for a single message, and goes again as it was") {
  constexpr auto half = most_request_bytes / 2;
  lane_fixture f({8, 10 * most_request_bytes, 8});
  for (int i = 0; i < 5; ++i) f.admit(0);
  for (std::uint64_t seq = 1; seq <= 5; ++seq)
    f.window.finish(sequence{seq}, std::make_shared<content>(), seq == 4 ? 3 * half : half, opened);
  CHECK(f.release(8) == numbers{1, 2});
  f.window.take_back();
  CHECK(f.release(2) == numbers{1, 2});
  CHECK(f.release(8) == numbers{3});
  CHECK(f.release(8) == numbers{4});
  CHECK(f.release(8) == numbers{5});
}

TEST_CASE("only the contiguous head run is released") {
  lane_fixture f({8, 1000, 8});
  for (int i = 0; i < 4; ++i) f.admit();
  f.finish(2);
  f.finish(4);
  CHECK(f.release(8).empty());
  CHECK(f.window.oldest_unfinished() == sequence{1});
  f.finish(1);
  CHECK(f.release(8) == numbers{1, 2});
  CHECK(f.state_of(1) == slot_state::sent);
  f.finish(3);
  CHECK(f.release(1) == numbers{3});
  CHECK(f.release(8) == numbers{4});
}

TEST_CASE("nothing at or after the limit is released, and outcomes there are passed over all the same") {
  lane_fixture f({8, 1000, 8});
  for (int i = 0; i < 4; ++i) f.admit();
  for (const auto seq : {1, 2, 4}) f.finish(seq);
  CHECK(f.release(8, opened, sequence{1}).empty());
  CHECK(f.release(8, opened, sequence{2}) == numbers{1});
  CHECK(f.release(8, opened, sequence{4}) == numbers{2});
  f.settle(1, true);
  f.settle(2, true);
  f.settle(3, false);
  f.save();
  CHECK(f.release(8, opened, sequence{4}).empty());
  CHECK(f.window.cursor() == sequence{4});
  CHECK(f.release(8, opened, sequence{5}) == numbers{4});
}

TEST_CASE("nothing after an outcome without a delivery goes before that is durable") {
  lane_fixture f({8, 1000, 8});
  for (int i = 0; i < 3; ++i) f.admit();
  f.finish(1);
  f.finish(3);
  f.settle(2, false);
  CHECK(f.release(8) == numbers{1});
  f.settle(1, true);
  CHECK(f.release(8).empty());
  f.save();
  CHECK(f.release(8) == numbers{3});
}

TEST_CASE("an outcome that was durable in time does not hold up what follows") {
  lane_fixture f({8, 1000, 8});
  for (int i = 0; i < 3; ++i) f.admit();
  f.settle(2, false);
  f.save();
  f.finish(1);
  f.finish(3);
  CHECK(f.release(8) == numbers{1, 3});
}

TEST_CASE("at most max_unsaved are handed over ahead of saved progress") {
  lane_fixture f({8, 1000, 2});
  for (int i = 0; i < 4; ++i) f.admit();
  for (std::uint64_t seq = 1; seq <= 4; ++seq) f.finish(seq);
  CHECK(f.release(8) == numbers{1, 2});
  f.settle(1, true);
  f.settle(2, true);
  CHECK(f.release(8).empty());
  f.save();
  CHECK(f.release(8) == numbers{3, 4});
}

TEST_CASE("what is taken back goes again, without counting as unsaved twice") {
  lane_fixture f({8, 1000, 2});
  for (int i = 0; i < 3; ++i) f.admit();
  for (std::uint64_t seq = 1; seq <= 3; ++seq) f.finish(seq);
  CHECK(f.release(8) == numbers{1, 2});
  f.window.take_back();
  CHECK(f.release(8) == numbers{1, 2});
  CHECK_FALSE(f.released[0].first_time);
  CHECK(f.deliveries_of(1) == 2);
}

TEST_CASE("a held message stops its lane until it is ready again") {
  lane_fixture f({8, 1000, 8});
  for (int i = 0; i < 2; ++i) f.admit();
  f.finish(1);
  f.finish(2);
  f.window.hold(sequence{1});
  CHECK(f.release(8).empty());
  CHECK(f.window.ready() == 1);
  f.window.unhold(sequence{1});
  CHECK(f.state_of(1) == slot_state::ready);
  CHECK(f.release(8) == numbers{1, 2});
}

TEST_CASE("a held message without a result is pending when it is tried again") {
  lane_fixture f({8, 1000, 8});
  f.admit();
  f.window.hold(sequence{1});
  CHECK(f.window.pending() == 0);
  f.window.unhold(sequence{1});
  CHECK(f.window.pending() == 1);
}

TEST_CASE("the window bounds messages and bytes, and the head goes in whatever its size") {
  lane_fixture f({3, 100, 8});
  CHECK(f.window.fits(1'000'000));
  f.admit(70);
  CHECK(f.window.fits(30));
  CHECK_FALSE(f.window.fits(31));
  CHECK(f.window.free_bytes() == 30);
  f.admit(10);
  f.admit(10);
  CHECK_FALSE(f.window.fits(0));
  f.finish(1);
  CHECK(f.window.bytes() == 95);
  f.settle(1, false);
  CHECK(f.window.free_bytes() == 70); // two of 10, and for each a result like the first one
  CHECK(f.window.fits(65));
  CHECK_FALSE(f.window.fits(66));
}

TEST_CASE("the window keeps room for results as large as the last ones") {
  lane_fixture f({1000, 10'000, 1000});
  f.admit(100);
  f.window.finish(sequence{1}, std::make_shared<content>(), 900, opened);
  CHECK(f.window.free_bytes() == 9000);
  while (f.window.fits(100)) f.admit(100);
  CHECK(f.window.messages() == 10); // and not 91, which would come to 90 kB
  for (std::uint64_t n = 2; n <= 10; ++n) f.window.finish(sequence{n}, std::make_shared<content>(), 900, opened);
  CHECK(f.window.bytes() == 10'000);
}

TEST_CASE("a window begins with as many messages as 64, until it is known what a result has") {
  lane_fixture f({1000, 1'000'000, 1000});
  CHECK(f.window.free_messages() == 64);
  for (int i = 0; i < 40; ++i) f.admit();
  CHECK(f.window.has_room());
  while (f.window.fits(10)) f.admit();
  CHECK(f.window.messages() == 64);
  SECTION("a result tells") { f.finish(40); }
  SECTION("so does a message without one") { f.settle(1, false); }
  CHECK(f.window.free_messages() >= 1000 - 64);
}

TEST_CASE("outcomes that cannot be saved do not let the lane grow without bound") {
  lane_fixture f({4, 1000, 2});
  int admitted = 0;
  for (; admitted < 100 && f.window.fits(10); ++admitted) {
    f.admit();
    f.settle(static_cast<std::uint64_t>(admitted) + 1, false);
  }
  CHECK(admitted == 6);
  f.save();
  CHECK(f.window.fits(10));
}

TEST_CASE("there is room to read ahead when a quarter of the window is free") {
  lane_fixture f({8, 1000, 8});
  for (int i = 0; i < 7; ++i) f.admit();
  CHECK_FALSE(f.window.has_room());
  f.settle(1, false);
  CHECK(f.window.has_room());
  CHECK(f.window.free_messages() == 2);
}

TEST_CASE("payloads leave memory when settled, slots when saved") {
  lane_fixture f({8, 1000, 8});
  f.admit();
  f.finish(1);
  f.release(1);
  f.settle(1, true);
  REQUIRE(f.window.find(sequence{1}) != nullptr);
  CHECK(f.window.find(sequence{1})->message == nullptr);
  CHECK(f.window.messages() == 0);
  CHECK(f.window.bytes() == 0);
  f.save();
  CHECK(f.window.find(sequence{1}) == nullptr);
}

TEST_CASE("the window goes round its ring many times and keeps every sequence apart") {
  lane_fixture f({100, 100'000, 100});
  std::uint64_t next_sent = 1;
  for (int round = 0; round < 50; ++round) {
    while (f.window.fits(10)) f.admit();
    for (auto seq = f.window.oldest_unfinished(); seq < f.window.next(); seq = f.window.oldest_unfinished())
      f.finish(seq.value());
    for (const auto seq : f.release(37)) {
      CHECK(seq == next_sent++);
      CHECK(f.window.find(sequence{seq})->at == position{100 + seq});
      f.settle(seq, true);
    }
    f.save();
  }
  CHECK(next_sent == 50 * 37 + 1);
}

TEST_CASE("what was settled before it was admitted is passed over") {
  progress_record saved;
  saved.above = {sequence{2}};
  lane_fixture f({8, 1000, 8}, saved);
  f.admit();
  f.window.admit_settled(opened);
  f.admit();
  f.finish(1);
  f.finish(3);
  CHECK(f.release(8) == numbers{1, 3});
}

TEST_CASE("release overhead counts from the latest finish among predecessors and itself") {
  lane_fixture f({8, 1000, 8});
  for (int i = 0; i < 3; ++i) f.admit();
  f.finish(2, at_ms(10));
  f.finish(1, at_ms(30));
  f.finish(3, at_ms(50));
  f.release(1, at_ms(30));
  CHECK(f.released[0].overhead == duration::zero());
  f.release(1, at_ms(40));
  CHECK(f.released[0].overhead == std::chrono::milliseconds{10});
  f.release(1, at_ms(50));
  CHECK(f.released[0].overhead == duration::zero());
}

TEST_CASE("the head's age starts when it becomes the head") {
  lane_fixture f({8, 1000, 8});
  f.admit();
  f.admit();
  CHECK(f.window.head_since() == opened);
  f.settle(1, false, at_ms(5));
  CHECK(f.window.head() == sequence{2});
  CHECK(f.window.head_since() == at_ms(5));
}
