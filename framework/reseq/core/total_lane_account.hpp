/// The account of a lane with order in total, which the resequencer releases.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "reseq/core/lane_account.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// A byte for each sequence between the first that is neither released nor settled and the last that was admitted, and
/// what has not been told.
class total_lane_account final : public lane_account {
public:
  /// Nothing before `first` is admitted.
  explicit total_lane_account(sequence first) : head_(first) {}

  void admit(sequence seq) override;
  void finish(sequence seq) override;
  void settle(sequence seq) override;

  void let_go() override;
  [[nodiscard]] bool has_news() const override;
  lane_answer tell(lane_update& into, std::size_t most) override;
  lane_answer tell_all(lane_update& into, std::size_t most) override;

  [[nodiscard]] std::size_t size() const override { return pending_; }
  [[nodiscard]] bool is_clear() const override { return states_.empty() && !has_news(); }
  [[nodiscard]] sequence head() const override { return head_; }

private:
  enum class state : std::uint8_t { gone, pending, ready };

  // In what was told.
  void enter(sequence seq);
  void make_ready(sequence seq);
  void leave(sequence seq);
  std::vector<sequence> release();
  lane_answer expected();
  [[nodiscard]] bool is_gone(sequence seq) const;
  [[nodiscard]] state* find(sequence seq);
  void remove(state& s);
  void skip_gone();

  sequence head_;
  std::deque<state> states_; ///< of `head_` and those after it
  std::size_t pending_ = 0;  ///< ready ones included
  std::size_t ready_ = 0;
  bool let_go_ = true;
  std::vector<sequence> admitted_; ///< these are not told yet
  std::vector<sequence> finished_;
  std::vector<sequence> settled_;
};

} // namespace reseq::core
