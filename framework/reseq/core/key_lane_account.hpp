/// The account of a lane with order by key, which its owner releases.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>

#include "reseq/core/lane_account.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// Sequences come, leave and come back in any order: a parked key's leave the window unsettled, and are read again.
/// What comes and leaves while nothing is told leaves nothing behind.
class key_lane_account final : public lane_account {
public:
  void admit(sequence seq) override { become(seq, state::pending); }
  void finish(sequence seq) override;
  void settle(sequence seq) override;

  void let_go() override;
  [[nodiscard]] bool has_news() const override { return !changed_.empty(); }
  /// What was ready, left and is pending again leaves with this step, and comes with the next.
  lane_answer tell(lane_update& into, std::size_t most) override;
  lane_answer tell_all(lane_update& into, std::size_t most) override;

  [[nodiscard]] std::size_t size() const override { return known_.size(); }
  [[nodiscard]] bool is_clear() const override { return known_.empty(); }
  [[nodiscard]] sequence head() const override { return {}; }

  // As the resequencer has it after that.
  [[nodiscard]] std::uint64_t pending() const { return pending_; } ///< ready ones included
  [[nodiscard]] std::uint64_t ready() const { return ready_; }

private:
  enum class state : std::uint8_t { gone, pending, ready };
  struct entry {
    state now = state::gone;
    state told = state::gone;
  };

  void become(sequence seq, state now);
  void mark(entry& e, state told);

  std::map<sequence, entry> known_; ///< here, or not told to have gone
  std::set<sequence> changed_;      ///< those that are told otherwise than they are now
  std::uint64_t pending_ = 0;
  std::uint64_t ready_ = 0;
};

} // namespace reseq::core
