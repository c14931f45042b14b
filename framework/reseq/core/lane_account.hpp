/// What a resequencer must have of one lane: which sequences are pending and which of them are ready.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "reseq/model/ids.hpp"

namespace reseq::core {

/// A byte for each sequence between the first that is neither released nor settled and the last that was admitted.
class lane_account {
public:
  explicit lane_account(sequence first) : head_(first) {}

  /// Pending from now on; greater than all before.
  void admit(sequence seq);
  /// Ready, if it is pending.
  void finish(sequence seq);
  /// Gone, if it is there.
  void settle(sequence seq);
  /// Takes out the ready ones that nothing pending stands before.
  std::vector<sequence> release();

  /// Everything before it is gone.
  [[nodiscard]] sequence head() const { return head_; }
  [[nodiscard]] bool empty() const { return states_.empty(); }
  /// Whether it was admitted and is gone.
  [[nodiscard]] bool is_gone(sequence seq) const;
  [[nodiscard]] std::uint64_t pending() const { return pending_; } ///< ready ones included
  [[nodiscard]] std::uint64_t ready() const { return ready_; }
  [[nodiscard]] std::vector<sequence> all() const;
  [[nodiscard]] std::vector<sequence> all_ready() const;

private:
  enum class state : std::uint8_t { gone, pending, ready };

  [[nodiscard]] const state* find(sequence seq) const;
  [[nodiscard]] state* find(sequence seq);
  void remove(state& s);
  void skip_gone();

  sequence head_;
  std::deque<state> states_; ///< of `head_` and those after it
  std::uint64_t pending_ = 0;
  std::uint64_t ready_ = 0;
};

} // namespace reseq::core
