/// Which messages of a destination with order by key are settled, in bounded memory.
///
/// A pure value. Everything up to `reached` is settled but for the open ones, which are in the window, and for the
/// messages of parked keys; who these are, and where each begins, its owner knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

class key_progress {
public:
  /// Goes on from what was saved, with either order.
  explicit key_progress(const progress_record& saved);

  [[nodiscard]] sequence reached() const { return reached_; }
  /// How many messages are settled.
  [[nodiscard]] std::uint64_t settled() const { return settled_; }
  /// The first sequence from `from` on that is open, kept, or not reached yet.
  [[nodiscard]] sequence next(sequence from) const;

  /// `seq` comes into the window: open, or the one after `reached`, or a parked key's that is read again.
  void enter(sequence seq);
  /// `seq`, open or the one after `reached`, stays outside: its key is parked before it or there.
  void pass(sequence seq);
  /// `seq`, open, leaves the window unsettled: its key is parked there, or before.
  void leave(sequence seq);
  /// `lost`, which begins after `reached`, has no messages, and is passed over.
  void pass(const sequence_range& lost);
  /// `seq` is settled: an open one, or one of a parked key.
  void settle(sequence seq);

  /// `seq`, settled, is not reached yet, or something of its key before it is not settled: that is remembered.
  void keep(sequence seq);
  /// Everything of its key before `seq` is settled too. Whether it was kept; it is no longer.
  bool take_kept(sequence seq);
  [[nodiscard]] bool is_open(sequence seq) const;
  [[nodiscard]] bool is_kept(sequence seq) const;
  /// How many are kept.
  [[nodiscard]] std::size_t kept() const { return above_.size(); }

  /// Up to here all is settled, when the parked keys begin at `lowest_parked` or later (0: there are none).
  [[nodiscard]] sequence watermark(sequence lowest_parked) const;
  /// Fills in where this stands.
  void write(progress_record& record, sequence lowest_parked) const;

private:
  sequence reached_;
  std::vector<sequence> open_;  ///< ascending
  std::vector<sequence> above_; ///< ascending: what is kept
  std::uint64_t settled_ = 0;
};

} // namespace reseq::core
