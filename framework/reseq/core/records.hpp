/// What the state machines want remembered, and what they are given back after a restart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"

namespace reseq::core {

/// Both included.
struct sequence_range {
  sequence first;
  sequence last;

  [[nodiscard]] std::uint64_t size() const { return last - first + 1; }

  friend bool operator==(const sequence_range&, const sequence_range&) = default;
};

/// Where one destination stands. Everything at or below `watermark`, and everything in `above`, is settled:
/// delivered, dropped, skipped or dead-lettered, and is never sent again.
///
/// With order by key, all up to `reached` is settled too, but for `open` and for what `parked_record`s say. `above`
/// then has what is settled although something of its key before it is not.
struct progress_record {
  destination_id destination;
  sequence watermark;
  std::vector<sequence> above; ///< ascending, all greater than `watermark` + 1; bounded by the window
  sequence last_delivered;     ///< what `Reseq-Previous-Sequence` of the next delivery says
  std::uint32_t dead_letters_in_a_row = 0;
  bool paused = false;
  sequence reached{};           ///< 0 with order in total
  std::vector<sequence> open{}; ///< ascending, greater than `watermark`, not above `reached`; bounded by the window
  std::uint64_t settled = 0;    ///< how many are, whenever `reached` is not 0

  [[nodiscard]] std::uint64_t settled_messages() const {
    return reached == sequence{} ? watermark.value() + above.size() : settled;
  }

  friend bool operator==(const progress_record&, const progress_record&) = default;
};

/// A key whose messages from `from` on are not settled, but for those in `progress_record::above`: they have left the
/// window, or never came in, because something of their key was held up.
struct parked_record {
  destination_id destination;
  std::string key; ///< empty: the messages that have none
  sequence from;

  friend bool operator==(const parked_record&, const parked_record&) = default;
};

/// Why a message waits for a person, or was given up.
enum class hold_reason {
  exhausted,    ///< its transform used up its attempts
  permanent,    ///< its transform said that trying again is no use
  refused,      ///< the receiver will never take it
  dead_letters, ///< too many dead letters in a row: the lane waits with this message at its head
};

/// A message that waits for a person; its lane waits with it.
struct held_record {
  destination_id destination;
  sequence seq;
  position at;
  hold_reason reason = hold_reason::exhausted;
  std::uint32_t attempts = 0;
  std::string last_error;
  wall_time since{};

  friend bool operator==(const held_record&, const held_record&) = default;
};

/// A message that was given up; the journal copies its payload beside it.
using dead_letter_record = held_record;

/// What a person did.
struct operation_record {
  std::string kind; ///< "retry", "skip", "pause" or "resume"
  destination_id destination;
  sequence seq; ///< zero for "pause" and "resume"
  wall_time when{};
};

/// One durable step of a shard's progress. All of it happens, or none.
struct journal_change {
  struct held_key {
    destination_id destination;
    sequence seq;
  };
  struct parked_key {
    destination_id destination;
    std::string key;
  };

  std::vector<progress_record> progress; ///< at most one a destination; replaces the saved one
  std::vector<parked_record> parked;     ///< inserted or replaced
  std::vector<parked_key> unparked;      ///< removed
  std::vector<held_record> held;         ///< inserted or replaced
  std::vector<held_key> unheld;          ///< removed
  std::vector<dead_letter_record> dead_letters;
  std::vector<operation_record> operations;

  [[nodiscard]] bool empty() const {
    return progress.empty() && parked.empty() && unparked.empty() && held.empty() && unheld.empty() &&
           dead_letters.empty() && operations.empty();
  }
};

/// The place of one message at one destination.
struct enrolment {
  destination_id destination;
  sequence seq;

  friend bool operator==(const enrolment&, const enrolment&) = default;
};

/// A message that has just become durable.
struct accepted_message {
  position at;
  message_ptr message;
  std::vector<enrolment> enrolled; ///< by destination, ascending; empty when no route wanted it
};

/// A message of one destination's backlog, read back from the journal.
struct backlog_item {
  sequence seq;
  position at;
  message_ptr message;
};

/// A key's messages from a sequence on.
struct key_cursor {
  std::string key; ///< empty: the messages that have none
  sequence from;
};

/// What a backlog holds of some keys, and up to where it was searched for that.
struct key_backlog {
  std::vector<backlog_item> items; ///< ascending
  sequence searched;
};

} // namespace reseq::core
