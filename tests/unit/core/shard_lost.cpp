#include "catch.hpp"
#include "shard_fixture.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace reseq::core::test;

namespace {

destination_setup losing(std::uint64_t watermark, sequence_range lost, delivery_order order = delivery_order::total) {
  auto d = setup(1);
  d.settings.order = order;
  d.last = lost.last;
  d.progress.watermark = d.progress.last_delivered = sequence{watermark};
  d.lost = {lost};
  return d;
}

void accept_after(shard_fixture& f, std::uint64_t last) {
  f.last_sequence[1] = last;
  f.last_position = last;
  f.accept({1});
}

} // namespace

TEST_CASE("what is lost is passed over at once when everything before it is settled") {
  const auto order = GENERATE(delivery_order::total, delivery_order::key);
  shard_fixture f({losing(5, {sequence{6}, sequence{1'000'000'000'000}}, order)});
  CHECK(f.todo.reads.empty());
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->progress[0].watermark == sequence{1'000'000'000'000});
  f.save();
  CHECK(f.status().lag == 0);
  CHECK(f.status().accepted == sequence{1'000'000'000'000});
  accept_after(f, 1'000'000'000'000);
  f.work(1'000'000'000'001);
  REQUIRE(f.sent() == numbers{1'000'000'000'001});
  if (order == delivery_order::total) CHECK(f.todo.sends[0].items[0].previous == sequence{5});
}

TEST_CASE("what stands before the lost is delivered first, and what comes after it waits in the journal") {
  shard_fixture f({losing(3, {sequence{6}, sequence{20}})});
  CHECK(f.status().lag == 2);
  REQUIRE(f.todo.reads.size() == 1);
  CHECK(f.todo.reads[0].from == sequence{4});
  accept_after(f, 20);
  CHECK(f.status().lag == 3);
  f.read_reply(1, 4, 5);
  CHECK(f.asked() == numbers{4, 5});
  f.work(5);
  f.work(4);
  REQUIRE(f.sent() == numbers{4, 5});
  f.answer(f.todo.sends[0], confirmed{});
  CHECK(f.todo.reads.empty()); // nothing is passed before what went before it is saved
  f.save();
  REQUIRE(f.todo.reads.size() == 1);
  CHECK(f.todo.reads[0].from == sequence{21});
}

TEST_CASE("with order by key what is lost is passed over as soon as all before it was looked at") {
  shard_fixture f({losing(3, {sequence{6}, sequence{20}}, delivery_order::key)});
  accept_after(f, 20);
  f.read_reply(1, 4, 5);
  REQUIRE(f.todo.reads.size() == 1);
  CHECK(f.todo.reads[0].from == sequence{21});
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->progress[0].reached == sequence{20});
  CHECK(f.todo.save->progress[0].open == std::vector{sequence{4}, sequence{5}});
  CHECK(f.todo.save->progress[0].watermark == sequence{3});
  CHECK(f.todo.save->progress[0].settled == 18);
}

TEST_CASE("several losses, one after the other, are all passed over") {
  auto d = losing(2, {sequence{3}, sequence{4}});
  d.lost.push_back({sequence{5}, sequence{6}});
  d.lost.push_back({sequence{8}, sequence{9}});
  d.last = sequence{9};
  shard_fixture f({d});
  REQUIRE(f.todo.reads.size() == 1);
  CHECK(f.todo.reads[0].from == sequence{7});
  CHECK(f.status().lag == 5); // until it is saved that 6 was passed
  f.save();
  CHECK(f.status().lag == 1);
}

TEST_CASE("what was lost and passed over before a start is not passed over again") {
  auto d = losing(20, {sequence{6}, sequence{20}});
  d.last = sequence{21};
  shard_fixture f({d});
  CHECK_FALSE(f.todo.save);
  CHECK(f.status().lag == 1);
  REQUIRE(f.todo.reads.size() == 1);
  CHECK(f.todo.reads[0].from == sequence{21});
}
