#include "reseq/core/progress.hpp"

#include "catch.hpp"

using namespace reseq;
using namespace reseq::core;

namespace {

progress from(std::uint64_t watermark, std::vector<sequence> above = {}) {
  progress_record saved;
  saved.destination = destination_id{1};
  saved.watermark = sequence{watermark};
  saved.above = std::move(above);
  saved.last_delivered = sequence{watermark};
  return progress{saved};
}

} // namespace

TEST_CASE("the watermark follows what is settled without a gap") {
  auto book = from(0);
  book.settle(sequence{3}, false);
  book.settle(sequence{2}, false);
  CHECK(book.watermark() == sequence{0});
  CHECK(book.record().above == std::vector{sequence{2}, sequence{3}});
  CHECK(book.is_settled(sequence{2}));
  CHECK_FALSE(book.is_settled(sequence{1}));
  book.settle(sequence{1}, true);
  CHECK(book.watermark() == sequence{3});
  CHECK(book.record().above.empty());
}

TEST_CASE("only deliveries move the last delivered sequence") {
  auto book = from(4);
  book.settle(sequence{5}, false);
  CHECK(book.last_delivered() == sequence{4});
  book.settle(sequence{6}, true);
  CHECK(book.last_delivered() == sequence{6});
}

TEST_CASE("a delivery ends a row of dead letters, a drop does not") {
  auto book = from(0);
  book.count_dead_letter();
  book.settle(sequence{1}, false);
  book.settle(sequence{2}, false);
  CHECK(book.dead_letters_in_a_row() == 1);
  book.settle(sequence{3}, true);
  CHECK(book.dead_letters_in_a_row() == 0);
}

TEST_CASE("what is settled is durable only once the save that carried it is") {
  auto book = from(0);
  book.settle(sequence{2}, false);
  CHECK_FALSE(book.is_durable(sequence{2}));
  const auto saving = book.begin_save();
  CHECK(saving.above == std::vector{sequence{2}});
  book.settle(sequence{1}, true);
  CHECK_FALSE(book.is_durable(sequence{2}));
  book.saved();
  CHECK(book.is_durable(sequence{2}));
  CHECK_FALSE(book.is_durable(sequence{1}));
  CHECK(book.saved_watermark() == sequence{0});
  CHECK(book.watermark() == sequence{2});
}

TEST_CASE("a save that failed makes nothing durable, and the next one carries all of it") {
  auto book = from(0);
  book.settle(sequence{1}, true);
  book.begin_save();
  book.settle(sequence{2}, true);
  CHECK(book.begin_save().watermark == sequence{2});
  CHECK_FALSE(book.is_durable(sequence{1}));
  book.saved();
  CHECK(book.is_durable(sequence{2}));
}

TEST_CASE("progress goes on from what was saved") {
  auto book = from(7, {sequence{9}});
  CHECK(book.is_settled(sequence{7}));
  CHECK(book.is_durable(sequence{9}));
  CHECK_FALSE(book.is_settled(sequence{8}));
  book.settle(sequence{8}, true);
  CHECK(book.watermark() == sequence{9});
}

TEST_CASE("a receiver is behind when it lacks what was delivered, not when it lacks what was never sent") {
  auto saved = from(5).record();
  CHECK(progress::is_ahead_of(saved, sequence{4}));
  CHECK_FALSE(progress::is_ahead_of(saved, sequence{5}));
  saved.watermark = sequence{9}; // 6 to 9 were dropped
  CHECK_FALSE(progress::is_ahead_of(saved, sequence{5}));
  saved.reached = sequence{9}; // in order by key
  CHECK_FALSE(progress::is_ahead_of(saved, sequence{1}));
}

TEST_CASE("progress goes back to what the receiver has, and a row of dead letters begins anew") {
  auto paused = from(9, {sequence{12}}).record();
  paused.paused = true;
  paused.dead_letters_in_a_row = 2;
  CHECK(progress::gone_back(paused, sequence{4}, {}) ==
        progress_record{destination_id{1}, sequence{4}, {sequence{12}}, sequence{4}, 0, true});
  CHECK(progress::gone_back(from(9).record(), {}, {}) == progress_record{destination_id{1}, {}, {}, {}});
}

TEST_CASE("what was given up stays settled when progress goes back, and moves the watermark where it follows on it") {
  const std::vector<sequence> given_up{sequence{5}, sequence{6}, sequence{8}};
  CHECK(progress::gone_back(from(9, {sequence{12}}).record(), sequence{4}, given_up) ==
        progress_record{destination_id{1}, sequence{6}, {sequence{8}, sequence{12}}, sequence{4}});
}
