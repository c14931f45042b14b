#include "reseq/core/key_lane.hpp"

#include "catch.hpp"
#include "key_lane_fixture.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace reseq::core::test;

namespace {

using fates = std::vector<key_lane::fate>;
constexpr auto enters = key_lane::fate::enters;
constexpr auto passes = key_lane::fate::passes;
constexpr auto waits = key_lane::fate::waits;

} // namespace

TEST_CASE("by key, what is ready goes unless something of its key before it is not") {
  key_lane_fixture f;
  f.offer({"a", "b", "a", "b", "", ""});
  f.finish({2, 3, 6});
  CHECK(f.release() == numbers{2});
  f.finish({1, 4, 5});
  CHECK(f.release() == numbers{1, 3, 5, 6});
}

TEST_CASE("nothing of a key goes while a request of it is under way") {
  key_lane_fixture f;
  f.offer({"a", "a", "b"});
  f.finish({1, 2, 3});
  CHECK(f.release(1) == numbers{1});
  CHECK(f.release() == numbers{3});
  f.deliver({1});
  CHECK(f.release() == numbers{2});
}

TEST_CASE("by key, a drop holds back what follows in its key until it is durable, and no other key") {
  key_lane_fixture f;
  f.offer({"a", "b", "a", "a"});
  f.finish({2, 3, 4});
  f.drop(1);
  CHECK(f.release() == numbers{2});
  f.deliver({2});
  f.save();
  CHECK(f.release() == numbers{3, 4});
}

TEST_CASE("a drop that is settled while a save is under way is not durable with it") {
  key_lane_fixture f;
  f.offer({"a", "a"});
  f.finish({2});
  f.begin_save();
  f.drop(1);
  f.tested.saved();
  CHECK(f.release().empty());
  f.save();
  CHECK(f.release() == numbers{2});
}

TEST_CASE("each key's head is announced once it becomes one") {
  key_lane_fixture f;
  f.offer({"a", "a", "b", "b"});
  std::vector<sequence> heads;
  f.tested.take_heads(heads);
  CHECK(heads.empty()); // they were heads when they were asked for
  CHECK(f.tested.is_head(sequence{3}));
  CHECK_FALSE(f.tested.is_head(sequence{2}));
  f.drop(1);
  f.drop(3);
  f.tested.take_heads(heads);
  CHECK(heads == std::vector<sequence>{sequence{2}, sequence{4}});
}

TEST_CASE("each key's head is said once to keep back what is ready behind it, whichever came first") {
  key_lane_fixture f;
  f.offer({"a", "a", "a", "b", "b", "b"});
  const auto holding = [&f] {
    std::vector<sequence> found;
    f.tested.take_holding(found);
    return found;
  };
  CHECK(holding().empty());
  f.finish({4}); // keeps back nothing itself
  CHECK(holding().empty());
  f.finish({2, 6});
  CHECK(holding() == std::vector<sequence>{sequence{1}});
  f.finish({3});
  CHECK(holding().empty());
  CHECK(f.release() == numbers{4});
  CHECK(holding().empty());
  f.deliver({4});
  CHECK(holding() == std::vector<sequence>{sequence{5}});

  f.tested.hold(sequence{5});
  CHECK(holding().empty());
  f.tested.unhold(sequence{5}, t0);
  CHECK(holding() == std::vector<sequence>{sequence{5}}); // whoever works on it now has not heard of it
}

TEST_CASE("by key, no more is handed over than may be unsaved, and what is refused does not count") {
  key_lane_fixture f{{{16, 1'000'000, 2}, 10}};
  f.offer({"a", "b", "c"});
  f.finish({1, 2, 3});
  CHECK(f.release() == numbers{1, 2});
  CHECK(f.release().empty());
  f.tested.hold(sequence{1});
  CHECK(f.release() == numbers{3});
  f.deliver({2});
  CHECK(f.release().empty());
  f.save();
  f.offer({"d"});
  f.finish({4});
  CHECK(f.release() == numbers{4});
}

TEST_CASE("by key, what failed goes again anyway, and does not count as unsaved meanwhile") {
  key_lane_fixture f{{{16, 1'000'000, 2}, 10}};
  f.offer({"a", "b", "c", "d"});
  f.finish({1, 2, 3, 4});
  CHECK(f.release() == numbers{1, 2});
  for (const auto n : {1, 2}) {
    f.tested.take_back(std::vector<sequence>{sequence(n)});
    f.tested.rest(sequence(n), after(100));
  }
  CHECK(f.release() == numbers{3, 4});
  f.tested.end_rests(after(100));
  CHECK(f.release().empty());
  f.deliver({3, 4});
  CHECK(f.release().empty());
  f.save();
  CHECK(f.release() == numbers{1, 2});
}

TEST_CASE("by key, a window that is nearly full of what does not move is read into whenever it has room") {
  key_lane_fixture f{{{64, 1'000'000, 100}, 100}}; // a sixteenth are 4
  std::vector<std::string> stuck;
  for (int n = 0; n < 60; ++n) stuck.push_back("stuck " + std::to_string(n));
  f.offer(stuck);
  f.offer({"a", "b", "c", "d"});
  f.finish({61, 62, 63, 64});
  CHECK(f.release() == numbers{61, 62, 63, 64});
  f.deliver({61, 62});
  CHECK(f.make_room(100, t0).empty());
  CHECK(f.tested.wanted(sequence{100}) == 0); // more may become free soon
  CHECK(f.make_room(100, after(2000)).empty());
  CHECK(f.tested.wanted(sequence{100}) == 2);
}

TEST_CASE("a key that rests lets the others go, and goes on after that") {
  key_lane_fixture f;
  f.offer({"a", "b"});
  f.finish({1, 2});
  CHECK(f.release(1) == numbers{1});
  f.tested.take_back(std::vector<sequence>{sequence{1}});
  f.tested.rest(sequence{1}, after(100));
  CHECK(f.release() == numbers{2});
  CHECK(f.tested.next_rest_ends() == after(100));
  f.tested.end_rests(after(99));
  CHECK(f.release().empty());
  f.tested.end_rests(after(100));
  CHECK(f.release() == numbers{1});
}

TEST_CASE("a key that goes alone shares no request, and brings nothing new into it") {
  key_lane_fixture f;
  f.offer({"a", "a", "b", "a"});
  f.finish({1, 2, 3});
  CHECK(f.release(2) == numbers{1, 2});
  f.tested.trouble(sequence{1}).alone = true;
  f.tested.take_back(std::vector<sequence>{sequence{1}, sequence{2}});
  f.finish({4});
  CHECK(f.release() == numbers{1, 2});
  CHECK(f.release() == numbers{3});
}

TEST_CASE("while the window is full, a held key leaves it, and later messages of it stay outside") {
  key_lane_fixture f{{{4, 1'000'000, 100}, 10}};
  f.offer({"a", "a", "b", "a"});
  f.tested.hold(sequence{1});
  CHECK(f.make_room(4).empty()); // nothing waits
  CHECK(f.offer({"c"}) == fates{waits});
  CHECK(f.make_room(5) == numbers{4}); // its last ones first, as many as there is need
  CHECK(f.offer({"c", "a", "d"}) == fates{enters, passes, waits});
  CHECK(f.make_room(7) == numbers{2});
  CHECK(f.offer({"d", "e"}) == fates{enters, waits});
  CHECK(f.make_room(8) == numbers{1});
  CHECK(f.offer({"e"}) == fates{enters});
  CHECK(f.save().watermark == sequence{0});
  CHECK(f.parked_from() == numbers{1});
  CHECK(f.catch_up(8).empty()); // it is held still

  f.tested.unhold(sequence{1}, t0);
  for (const auto other : {3, 5, 7}) f.drop(other);
  for (const auto mine : {1, 2, 4, 6}) {
    CHECK(f.catch_up(8).size() <= 2);
    f.finish({std::uint64_t(mine)});
    CHECK(f.release() == numbers{std::uint64_t(mine)});
    f.deliver({std::uint64_t(mine)});
  }
  CHECK(f.catch_up(8).empty());
  f.drop(8);
  CHECK(f.tested.parked_keys() == 0);
  CHECK(f.save().watermark == sequence{8});
  CHECK(f.parked_from().empty());
}

TEST_CASE("a head that does not move makes room after a second, by what is behind it, and stays itself") {
  key_lane_fixture f{{{4, 1'000'000, 100}, 10}};
  f.offer({"a", "a", "a", "a"});
  f.finish({2, 3, 4});
  CHECK(f.offer({"b"}) == fates{waits});
  CHECK(f.make_room(5, after(999)).empty());
  CHECK(f.tested.look_again_at() == after(1000));
  CHECK(f.make_room(5, after(1000)) == numbers{4});
  CHECK(f.offer({"b"}) == fates{enters});
  CHECK(f.state_of(1) == slot_state::pending);
  CHECK(f.catch_up(5).empty()); // it does not move yet
  f.finish({1, 5});
  CHECK(f.release() == numbers{1, 2, 3, 5});
  f.deliver({1, 2, 3, 5});
  CHECK(f.catch_up(5) == numbers{4});
}

TEST_CASE("while the window is full, a key with more than its share of it lets others pass") {
  key_lane_fixture f{{{4, 1'000'000, 100}, 10}};
  f.offer({"a", "a", "a", "a"});
  CHECK(f.offer({"a", "a", "b"}) == fates{passes, passes, waits});
  f.drop(1);
  CHECK(f.offer({"b"}) == fates{enters});
  f.drop(2);
  f.drop(3);
  f.drop(4);
  CHECK(f.catch_up(7) == numbers{5, 6});
  CHECK(f.tested.parked_keys() == 0);
}

TEST_CASE("no more keys are parked than may be; then the others wait") {
  key_lane_fixture f{{{2, 1'000'000, 100}, 1}};
  f.offer({"a", "b"});
  f.tested.hold(sequence{1});
  f.tested.hold(sequence{2});
  CHECK(f.offer({"c"}) == fates{waits});
  CHECK(f.make_room(4).size() == 1);
  CHECK(f.offer({"c", "d"}) == fates{enters, waits});
  CHECK(f.make_room(4, after(5000)).empty());
}

TEST_CASE("nothing is parked while nobody could go on anyway") {
  key_lane_fixture f{{{2, 1'000'000, 100}, 10}};
  f.offer({"a", "a"});
  f.tested.let_park(false);
  CHECK(f.offer({"a"}) == fates{waits});
  CHECK(f.make_room(3, after(5000)).empty());
  CHECK(f.tested.wanted(sequence{3}) == 0);
}

TEST_CASE("a start reads what was open, and keeps what parked keys have outside there") {
  key_lane_fixture f{{{4, 1'000'000, 100}, 10}};
  f.offer({"a", "a", "b", "b"});
  f.drop(3);
  f.tested.hold(sequence{1});
  CHECK(f.offer({"c", "a"}) == fates{enters, passes});
  CHECK(f.make_room(7) == numbers{2});
  CHECK(f.offer({"d", "e"}) == fates{enters, waits});
  CHECK(f.make_room(8) == numbers{1});
  CHECK(f.offer({"a"}) == fates{passes});
  f.drop(5);
  f.drop(7);
  const auto record = f.save();
  CHECK(record.open == std::vector<sequence>{sequence{4}});
  CHECK(record.reached == sequence{8});
  CHECK(f.parked_from() == numbers{1});

  f.restart(record);
  CHECK(f.tested.next() == sequence{4});
  CHECK(f.tested.catch_up(sequence{8}).keys.empty()); // first what was open
  CHECK(f.offer({"b"}) == fates{enters});
  CHECK(f.tested.next() == sequence{9});
  CHECK(f.catch_up(8) == numbers{1, 2}); // and leaves a share of the room to others
  CHECK(f.tested.is_settled(sequence{5}, "c"));
  CHECK_FALSE(f.tested.is_settled(sequence{6}, "a"));
}

TEST_CASE("after a start with less room a parked key keeps outside what was in its window, too") {
  key_lane_fixture f{{{8, 1'000'000, 100}, 10}};
  f.offer({"a", "a", "a", "a", "b", "b", "b", "b"});
  CHECK(f.offer({"a"}) == fates{passes});
  const auto record = f.save();
  CHECK(f.parked_from() == numbers{9});

  f.limits_.lane.window = 2;
  f.restart(record);
  CHECK(f.offer({"a", "a", "a", "a", "b"}) == fates{enters, enters, passes, passes, waits});
  f.save();
  CHECK(f.parked_from() == numbers{3});
  f.finish({1, 2});
  CHECK(f.release() == numbers{1, 2});
  f.deliver({1, 2});
  for (const std::uint64_t n : {5U, 6U, 7U, 8U}) {
    CHECK(f.offer({"b"}) == fates{enters});
    f.drop(n);
    f.save();
  }
  CHECK(f.catch_up(9) == numbers{3});
  CHECK(f.tested.is_settled(sequence{2}, "a"));
  CHECK_FALSE(f.tested.is_settled(sequence{4}, "a"));
}

TEST_CASE("what is settled behind its head is settled after it was outside, and after a start") {
  key_lane_fixture f{{{3, 1'000'000, 100}, 10}};
  f.offer({"a", "a", "a"});
  f.drop(2);
  f.tested.hold(sequence{1});
  f.offer({"b"});
  f.save();
  CHECK(f.offer({"c"}) == fates{waits});
  CHECK(f.make_room(5) == numbers{3});
  CHECK(f.offer({"c", "d"}) == fates{enters, waits});
  CHECK(f.make_room(6) == numbers{1});
  CHECK(f.offer({"d"}) == fates{enters});
  const auto record = f.save();
  CHECK(record.above == std::vector<sequence>{sequence{2}});
  f.tested.unhold(sequence{1}, t0);
  f.drop(4);
  CHECK(f.catch_up(6) == numbers{1});
  f.drop(1);
  CHECK(f.catch_up(6) == numbers{3});

  f.restart(record);
  CHECK(f.tested.next() == sequence{2});
  CHECK(f.offer({"a", "b", "c", "d"}) == fates{passes, enters, enters, enters});
  f.drop(4);
  CHECK(f.catch_up(6) == numbers{1});
  CHECK(f.tested.is_settled(sequence{2}, "a"));
}

TEST_CASE("a held message that is skipped outside holds back its key until that is durable") {
  key_lane_fixture f{{{2, 1'000'000, 100}, 10}};
  f.offer({"a", "b"});
  f.tested.hold(sequence{1});
  f.offer({"c"});
  CHECK(f.make_room(3) == numbers{1});
  f.offer({"c", "a"});
  f.drop(1);
  f.drop(2);
  CHECK(f.catch_up(4) == numbers{4});
  f.finish({3, 4});
  CHECK(f.release() == numbers{3});
  f.save();
  CHECK(f.release() == numbers{4});
}

TEST_CASE("what failed to be saved of parked keys is saved with the next, a later word first") {
  key_lane_fixture f{{{2, 1'000'000, 100}, 10}};
  f.offer({"a", "b"});
  f.tested.hold(sequence{1});
  f.offer({"c"});
  f.make_room(3);
  progress_record record;
  std::vector<parked_record> parked;
  std::vector<journal_change::parked_key> unparked;
  f.tested.begin_save(record, parked, unparked);
  REQUIRE(parked.size() == 1);
  f.tested.settle(sequence{1}, false, t0); // skipped: nothing of "a" is left outside
  f.tested.save_failed();
  parked.clear();
  f.tested.begin_save(record, parked, unparked);
  CHECK(parked.empty());
  REQUIRE(unparked.size() == 1);
  CHECK(unparked[0].key == "a");
}

TEST_CASE("by key, the last message that comes in may go over the bytes, and no other") {
  key_lane_fixture f{{{16, 100, 100}, 10}};
  const auto large = with_key("a", 1000);
  CHECK(f.tested.offer(slot_state::pending, position{1}, large, 1000, t0) == enters);
  CHECK(f.offer({"b"}) == fates{waits});
  f.drop(1);
  CHECK(f.offer({"b"}) == fates{enters});
  CHECK(f.tested.offer(slot_state::pending, position{3}, large, 1000, t0) == enters);
  CHECK(f.tested.bytes() == 1010);
}

TEST_CASE("by key, the window keeps room for results as large as the last ones") {
  key_lane_fixture f({{1000, 10'000, 1000}, 10});
  f.offer({"a"});
  f.tested.finish(sequence{1}, body(), 990, t0);
  numbers inside{1};
  while (f.offer({"key " + std::to_string(inside.size())}) == fates{enters}) inside.push_back(inside.size() + 1);
  CHECK(inside.size() == 10);
}

TEST_CASE("a key has no more handed over than one message or a sixteenth of the window's bytes") {
  key_lane_fixture f({{16, 16 * 40, 100}, 10}); // each message has 10 bytes, and its result 5
  f.offer({"a", "a", "a", "b", "a"});
  f.finish({1, 2, 3, 4, 5});
  CHECK(f.release() == numbers{1, 2, 4});
  key_lane_fixture large({{16, 16 * 10, 100}, 10});
  large.offer({"a", "a", "b"});
  large.finish({1, 2, 3});
  CHECK(large.release() == numbers{1, 3});
}
