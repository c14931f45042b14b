/// What a resequencer must have of one lane, and what it has not been told of it yet. A part of `lane_mirror`.
#pragma once

#include <cstddef>

#include "reseq/core/lane_updates.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

class lane_account {
public:
  lane_account() = default;
  lane_account(const lane_account&) = delete;
  lane_account& operator=(const lane_account&) = delete;
  virtual ~lane_account() = default;

  // What happens in the lane, as in `lane_mirror`.
  virtual void admit(sequence seq) = 0;
  virtual void finish(sequence seq) = 0; ///< nothing, unless it is pending
  virtual void settle(sequence seq) = 0; ///< nothing, unless it is there

  /// What the resequencer has is not known any more. Until it is told anew nothing collects, and the lane releases by
  /// itself. So it is at first.
  virtual void let_go() = 0;
  /// Whether the resequencer, which knows the rest, is to be told something.
  [[nodiscard]] virtual bool has_news() const = 0;
  /// Fills in what has changed, as one step, with at most `most` that are new to the resequencer (at least 1); how that
  /// must be answered. What is left is news still.
  virtual lane_answer tell(lane_update& into, std::size_t most) = 0;
  /// The same of everything.
  virtual lane_answer tell_all(lane_update& into, std::size_t most) = 0;

  /// How many sequences telling everything takes, at most.
  [[nodiscard]] virtual std::size_t size() const = 0;
  /// Whether nothing is there, and the resequencer is being told no more of it.
  [[nodiscard]] virtual bool is_clear() const = 0;
  /// Everything before it was released by what was told, or settled; 0 where nothing is released.
  [[nodiscard]] virtual sequence head() const = 0;
};

} // namespace reseq::core
