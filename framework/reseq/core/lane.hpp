/// The window of one destination: which of its messages are pending and ready, and which may go to the receiver
/// next.
///
/// A pure state machine, single-threaded. Sequences are admitted one after the other and kept until their outcome is
/// saved; their payloads only until they are settled. Every operation costs O(1), amortised, and an idle lane keeps no
/// window's worth of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reseq/core/progress.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"

namespace reseq::core {

struct lane_limits {
  std::uint32_t window = 1;       ///< messages between the first unsettled one and the last admitted one
  std::uint64_t window_bytes = 1; ///< of their payloads and results, those that are expected included
  std::uint32_t max_unsaved = 1;  ///< messages handed to the receiver whose outcome is not saved
};

enum class slot_state : std::uint8_t { pending, ready, sent, held, settled };

/// How large results are here, as far as is known: a window has to have room for those that are still to come.
class result_sizes {
public:
  /// One came, or a message turned out to have none (0).
  void add(std::uint64_t bytes);
  /// What the next one is expected to have: the average of the last ones.
  [[nodiscard]] std::uint64_t expected() const { return average_; }
  /// How many messages may be pending: not very many while nothing is known.
  [[nodiscard]] std::uint32_t most_pending() const { return known_ ? UINT32_MAX : 64; }

private:
  std::uint64_t average_ = 0;
  bool known_ = false;
};

/// Of several messages in one request: a store takes no more than a gibibyte, and a batch that it cannot take would be
/// repeated as it is for ever. A single message goes whatever its size.
inline constexpr std::uint64_t most_request_bytes = std::uint64_t{64} << 20U;

/// More than a million deliveries of a message are counted as a million.
inline constexpr std::uint32_t most_deliveries = (1U << 20U) - 1;

/// One sequence in the window: there may be millions, so its size matters.
struct lane_slot {
  lane_slot() = default; // g++ 12 takes no `= {}` for an aggregate with bit fields like these

  message_ptr message; ///< null once settled
  content_ptr body;    ///< the result; null while there is none and once settled
  position at;
  time_point finished{};             ///< when its outcome was known
  std::uint64_t bytes : 40 = 0;      ///< up to a tebibyte: stores take no more than a gibibyte
  std::uint32_t deliveries : 20 = 0; ///< how often it was handed to the receiver
  slot_state state : 3 = slot_state::pending;
  bool uses_job : 1 = false; ///< the owner's mark: it shares in a piece of work

  /// It is handed to the receiver. Whether that is the first time.
  bool count_delivery() {
    const bool first = deliveries == 0;
    if (deliveries < most_deliveries) ++deliveries;
    return first;
  }
  /// As if it were new, but for the payloads, which a settled one does not have.
  void renew() {
    finished = {};
    bytes = 0;
    deliveries = 0;
    uses_job = false;
  }
  void charge(std::uint64_t more) { bytes = (bytes + more) & ((1ULL << 40U) - 1); }
};
static_assert(sizeof(lane_slot) <= 56);

/// A message that goes to the receiver now.
struct released_slot {
  sequence seq;
  bool first_time = true;
  duration overhead{}; ///< since the latest finish among its predecessors and itself
};

class lane {
public:
  /// An empty window; `first` is admitted first.
  lane(const lane_limits& limits, sequence first, time_point now);

  /// The first sequence that is not settled; `next()` when all admitted ones are.
  [[nodiscard]] sequence head() const { return head_; }
  /// The sequence to be admitted next.
  [[nodiscard]] sequence next() const { return next_; }
  /// When `head()` became the head.
  [[nodiscard]] time_point head_since() const { return head_since_; }
  /// The first sequence without a result or an outcome; `next()` when there is none.
  [[nodiscard]] sequence oldest_unfinished() const;
  /// Null when it is not admitted, or trimmed.
  [[nodiscard]] const lane_slot* find(sequence seq) const { return is_kept(seq) ? &slot(seq) : nullptr; }
  [[nodiscard]] lane_slot* find(sequence seq) { return is_kept(seq) ? &slot(seq) : nullptr; }

  /// Whether `next()` may be admitted if it has that many bytes. A head may, whatever its size.
  [[nodiscard]] bool fits(std::uint64_t bytes) const;
  /// A quarter of the window is free, or all of it: reading ahead is worth while.
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] std::uint32_t free_messages() const;
  [[nodiscard]] std::uint64_t free_bytes() const;

  /// Admits `next()`, which fits.
  lane_slot& admit(slot_state state, position at, message_ptr message, std::uint64_t bytes, time_point now);
  /// Passes over `next()`, which was settled before it got here.
  void admit_settled(time_point now);
  /// Nothing is kept: all that was admitted is settled, and saved.
  [[nodiscard]] bool empty() const { return first_ == next_; }
  /// An empty window goes on with `next`.
  void skip_to(sequence next, time_point now);

  /// Pending becomes ready.
  void finish(sequence seq, content_ptr body, std::uint64_t body_bytes, time_point now);
  /// Pending or ready becomes held.
  void hold(sequence seq);
  /// Held becomes ready, if it has its result still, else pending.
  void unhold(sequence seq);
  /// Anything but settled becomes settled. Only sent messages are settled as delivered.
  void settle(sequence seq, time_point now);

  /// Appends up to `count` messages to `out` and makes them sent: ready, everything before them settled or sent,
  /// outcomes without a delivery before them durable by `book`, no more than `max_unsaved` handed over, none of them at
  /// or after `limit`, and for the first time no more than `most_request_bytes`.
  void release(std::size_t count, sequence limit, const progress& book, time_point now,
               std::vector<released_slot>& out);
  /// Nothing goes out for the first time before something is saved: `max_unsaved` are handed over.
  [[nodiscard]] bool waits_for_saving() const { return unsaved_ >= limits_.max_unsaved; }
  /// What is sent becomes ready again.
  void take_back();
  /// The sequence after the last one that is sent, or settled in order.
  [[nodiscard]] sequence cursor() const { return cursor_; }

  /// Forgets what `book` has saved up to its watermark.
  void trim(const progress& book);

  [[nodiscard]] std::uint64_t messages() const { return messages_; } ///< admitted and not settled
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t pending() const { return count(slot_state::pending); }
  /// Including what is sent.
  [[nodiscard]] std::uint64_t ready() const { return count(slot_state::ready) + count(slot_state::sent); }

private:
  [[nodiscard]] bool is_kept(sequence seq) const { return seq >= first_ && seq < next_; }
  [[nodiscard]] const lane_slot& slot(sequence seq) const {
    const auto at = start_ + static_cast<std::size_t>(seq - first_);
    return ring_[at < capacity_ ? at : at - capacity_];
  }
  [[nodiscard]] lane_slot& slot(sequence seq) { return const_cast<lane_slot&>(std::as_const(*this).slot(seq)); }
  [[nodiscard]] std::uint64_t most_kept() const;
  lane_slot& append();
  void resize(std::size_t capacity);
  void change(lane_slot& s, slot_state to);
  [[nodiscard]] std::uint64_t count(slot_state state) const { return counts_[static_cast<std::size_t>(state)]; }
  std::uint64_t& count(slot_state state) { return counts_[static_cast<std::size_t>(state)]; }
  void advance_head(time_point now);
  bool pass(const progress& book);

  lane_limits limits_;
  std::vector<lane_slot> ring_;
  std::size_t capacity_ = 0; ///< its size, which costs a division
  std::size_t start_ = 0;    ///< of `first_` in it
  sequence first_;           ///< first kept
  sequence head_;
  sequence cursor_;
  sequence next_;
  mutable sequence unfinished_; ///< nothing before it is pending or held
  time_point head_since_;
  time_point latest_finish_{};
  std::uint64_t messages_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t counts_[5] = {}; ///< of what was admitted, by state; of settled ones, ever
  std::uint32_t unsaved_ = 0;    ///< kept slots that were handed to the receiver
  result_sizes results_;
};

} // namespace reseq::core
