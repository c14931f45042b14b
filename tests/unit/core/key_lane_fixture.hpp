/// A window with order by key and short words for what tests do with it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reseq/core/key_lane.hpp"
#include "shard_fixture.hpp"

namespace reseq::core::test {

inline message_ptr with_key(std::string key, std::size_t bytes = 10) {
  return std::make_shared<message>("m", std::move(key), content{std::string(bytes, 'm'), "", {}});
}

struct key_lane_fixture {
  explicit key_lane_fixture(key_lane_limits limits = {{16, 1'000'000, 100}, 10}) : limits_(limits), tested(make()) {}

  /// Offers one message of each key.
  std::vector<key_lane::fate> offer(const std::vector<std::string>& keys, time_point now = t0) {
    std::vector<key_lane::fate> fates;
    for (const auto& key : keys) {
      keys_.resize(std::max<std::size_t>(keys_.size(), tested.next().value() + 1));
      keys_[tested.next().value()] = key;
      fates.push_back(tested.offer(slot_state::pending, position{tested.next().value()}, with_key(key), 10, now));
    }
    return fates;
  }
  /// By value: Catch2 takes what it compares by reference, which no bit-field can be taken by.
  [[nodiscard]] slot_state state_of(std::uint64_t seq) const { return tested.find(sequence{seq})->state; }
  void finish(const numbers& sequences, time_point now = t0) {
    for (const auto n : sequences) tested.finish(sequence{n}, body(), 5, now);
  }
  numbers release(std::size_t count = 100, time_point now = t0) {
    std::vector<released_slot> out;
    tested.release({.count = count, .first_time = true, .again = true}, now, out);
    numbers sequences;
    for (const auto& one : out) sequences.push_back(one.seq.value());
    return sequences;
  }
  void deliver(const numbers& sequences, time_point now = t0) {
    for (const auto n : sequences) tested.settle(sequence{n}, true, now);
  }
  void drop(std::uint64_t n) { tested.settle(sequence{n}, false, t0); }
  progress_record save() {
    const auto record = begin_save();
    tested.saved();
    return record;
  }
  progress_record begin_save() {
    progress_record record;
    std::vector<journal_change::parked_key> unparked;
    std::vector<parked_record> parked;
    tested.begin_save(record, parked, unparked);
    for (const auto& one : unparked) std::erase_if(parked_, [&](const parked_record& p) { return p.key == one.key; });
    for (const auto& one : parked) {
      std::erase_if(parked_, [&](const parked_record& p) { return p.key == one.key; });
      parked_.push_back(one);
    }
    return record;
  }
  /// What leaves the window to make room.
  numbers make_room(std::uint64_t last, time_point now = t0) {
    std::vector<evicted_message> left;
    tested.make_room(sequence{last}, now, left);
    numbers sequences;
    for (const auto& one : left) sequences.push_back(one.seq.value());
    return sequences;
  }
  /// Reads what parked keys have outside, as the journal would answer; says what came in.
  numbers catch_up(std::uint64_t last, time_point now = t0) {
    const auto wanted = tested.catch_up(sequence{last});
    numbers came;
    if (wanted.keys.empty()) return came;
    std::uint64_t n = 0;
    while (n < wanted.until.value() && came.size() < wanted.max_messages) {
      ++n;
      for (const auto& [key, from] : wanted.keys)
        if (n >= from.value() && n < keys_.size() && keys_[n] == key &&
            tested.found(sequence{n}, slot_state::pending, position{n}, with_key(key), 10, now) ==
              key_lane::fate::enters)
          came.push_back(n);
    }
    tested.searched(sequence{n});
    return came;
  }
  /// Another start from what is saved.
  void restart(const progress_record& record) {
    start_ = record;
    tested = make();
  }
  [[nodiscard]] numbers parked_from() const {
    numbers from;
    for (const auto& one : parked_) from.push_back(one.from.value());
    return from;
  }

  key_lane make() { return {limits_, start_, parked_, t0}; }

  key_lane_limits limits_;
  progress_record start_;
  std::vector<parked_record> parked_; ///< as saved
  std::vector<std::string> keys_;     ///< by sequence
  key_lane tested;
};

} // namespace reseq::core::test
