/// What one destination has settled, and how much of that would survive a crash.
///
/// A pure value. Settled and saved are told apart: what is settled only in memory may come out differently after a
/// crash, so outcomes without a delivery count only once they are durable.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

class progress {
public:
  /// Goes on from what was saved.
  explicit progress(progress_record saved);
  /// What order by key has saved, for order in total. Everything is settled. To be saved before anything is accepted.
  static progress_record in_total(progress_record saved);

  /// Whether a receiver, the last of whose messages is `has`, lacks what `saved` says it got: it has gone back in time.
  /// Of order in total.
  [[nodiscard]] static bool is_ahead_of(const progress_record& saved, sequence has);
  /// `saved`, gone back to what such a receiver has. What was settled above that without a delivery stays so:
  /// `saved.above`, and `given_up`, the dead letters up to its watermark.
  static progress_record gone_back(const progress_record& saved, sequence has, std::span<const sequence> given_up);

  /// `seq`, not settled before, is delivered (or dropped, skipped, dead-lettered). Deliveries come in ascending order
  /// and end a row of dead letters.
  void settle(sequence seq, bool delivered);
  /// Everything before `lost` is settled; `lost` has no messages, and is passed over.
  void pass(const sequence_range& lost);
  void count_dead_letter();
  /// With order by key, where `key_progress` knows what is settled: what `settle` notes of a delivery.
  void count_delivery(sequence seq);
  void set_paused(bool paused);

  [[nodiscard]] bool is_settled(sequence seq) const;
  /// Settled, and a crash does not change that.
  [[nodiscard]] bool is_durable(sequence seq) const;

  /// Everything up to here is settled …
  [[nodiscard]] sequence watermark() const { return now_.watermark; }
  /// … and up to here it is saved.
  [[nodiscard]] sequence saved_watermark() const { return saved_.watermark; }
  [[nodiscard]] sequence last_delivered() const { return now_.last_delivered; }
  [[nodiscard]] std::uint32_t dead_letters_in_a_row() const { return now_.dead_letters_in_a_row; }
  [[nodiscard]] bool paused() const { return now_.paused; }
  [[nodiscard]] const progress_record& record() const { return now_; }

  /// What is to be saved now; followed by `saved` when it is durable, by nothing when saving failed. One at a time.
  progress_record begin_save();
  void saved();

private:
  struct extent {
    sequence watermark;
    std::vector<sequence> above;

    [[nodiscard]] bool covers(sequence seq) const;
  };

  progress_record now_;
  extent saving_;
  extent saved_;
};

} // namespace reseq::core
