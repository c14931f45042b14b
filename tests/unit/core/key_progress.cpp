#include "reseq/core/key_progress.hpp"

#include "catch.hpp"

using namespace reseq;
using namespace reseq::core;

namespace {

std::vector<sequence> all(std::initializer_list<std::uint64_t> numbers) {
  std::vector<sequence> made;
  for (const auto n : numbers) made.emplace_back(n);
  return made;
}

progress_record written(const key_progress& tested, std::uint64_t lowest_parked = 0) {
  progress_record record;
  tested.write(record, sequence{lowest_parked});
  return record;
}

} // namespace

TEST_CASE("order by key begins with everything that order in total had not settled as open") {
  progress_record saved;
  saved.watermark = sequence{2};
  saved.above = all({4, 6});
  const key_progress tested{saved};
  CHECK(tested.reached() == sequence{6});
  CHECK(tested.settled() == 4);
  CHECK(written(tested).open == all({3, 5}));
  CHECK(tested.watermark({}) == sequence{2});
}

TEST_CASE("by key, the watermark stays below what is open and below what is parked") {
  key_progress tested{progress_record{}};
  for (std::uint64_t n = 1; n <= 5; ++n) tested.enter(sequence{n});
  tested.settle(sequence{2});
  tested.settle(sequence{5});
  CHECK(tested.watermark({}) == sequence{0});
  tested.settle(sequence{1});
  CHECK(tested.watermark({}) == sequence{2});
  tested.leave(sequence{3});
  CHECK(tested.watermark(sequence{3}) == sequence{2});
  tested.settle(sequence{4});
  CHECK(tested.watermark({}) == sequence{5});
  CHECK(written(tested, 3).settled == 4);
}

TEST_CASE("by key, a start looks at what is open or kept, and then goes on where nothing was reached") {
  progress_record saved;
  saved.watermark = sequence{2};
  saved.reached = sequence{1'000'000};
  saved.open = all({3, 700});
  saved.above = all({701});
  saved.settled = 999'998;
  key_progress tested{saved};
  CHECK(tested.next(sequence{1}) == sequence{3});
  CHECK(tested.next(sequence{4}) == sequence{700});
  CHECK(tested.next(sequence{701}) == sequence{701});
  CHECK(tested.next(sequence{702}) == sequence{1'000'001});
  CHECK(tested.take_kept(sequence{701}));
  CHECK_FALSE(tested.take_kept(sequence{701}));
  CHECK(tested.next(sequence{701}) == sequence{1'000'001});
}

TEST_CASE("by key, what was written is what a start goes on from") {
  key_progress tested{progress_record{}};
  for (std::uint64_t n = 1; n <= 4; ++n) tested.enter(sequence{n});
  tested.pass(sequence{5});
  tested.settle(sequence{3});
  tested.keep(sequence{3});
  const auto record = written(tested, 5);
  CHECK(written(key_progress{record}, 5) == record);
  CHECK(record.open == all({1, 2, 4}));
  CHECK(record.above == all({3}));
  CHECK(record.reached == sequence{5});
  CHECK(record.settled_messages() == 1);
}
