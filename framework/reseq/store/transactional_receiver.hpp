/// A destination that takes messages and remembers, in the same transaction, which was the last: it holds each message
/// once, whatever is killed.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <tl/expected.hpp>

#include "reseq/core/shard.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::store {

/// Whose messages a receiver takes.
struct receiver_owner {
  std::string pipeline;
  std::string destination;
  epoch owner;
  sequence assigned;   ///< the last sequence that the journal had given the destination when this owner started
  std::string journal; ///< its identity
  sequence ours{};     ///< the last that the receiver had when that was found to be the journal's; 0: nobody looked
};

/// A message as the receiver gets it.
struct received {
  core::send_item item;
  std::string headers; ///< a JSON object, as in an envelope
};

/// What the receiver remembers of one destination. All zero: it has never had anything.
struct receiver_record {
  epoch owner;              ///< the latest one that has written, or announced itself
  sequence last;            ///< the last message that it has
  std::string last_message; ///< that one's id; empty if that is not known
  position last_position{}; ///< and its position; 0 if that is not known, or not beyond what the journal had given
  std::string foreign{};    ///< the identity of the journal whose record it is, if that is another than the owner's
  std::string written{};    ///< when it was last written, for people; empty if that is not known
  /// Where there are messages, and no record says whose: that, and what to do about it, as the end of a sentence about
  /// the receiver.
  std::string unclaimed{};
};

/// Whether it is of the owner's journal, or there is nothing yet.
bool is_ours(const receiver_record& known);

/// Whose record it is, and what to do about that, as the end of a sentence about the receiver. Only of what is not
/// ours.
std::string belongs_elsewhere(const receiver_record& known);

/// What `unclaimed` says: `record` names what should say whose the messages are, `claim` what makes it say so, if they
/// are the owner's.
std::string unclaimed(sequence last, const receiver_owner& owner, const std::string& record, const std::string& claim);

/// Whether this journal, which has given its destination the sequences up to `assigned` and settled those up to
/// `settled`, can go on behind the record of another one, or of nobody. `errc::conflict`: messages of its own wait
/// under sequences that are used there, and would be taken for delivered.
result<void> may_take_over(const receiver_record& known, sequence assigned, sequence settled);

/// In words, as the end of a sentence about the receiver: "the last that it has is sequence 5, message m-5".
std::string described(const receiver_record& known);

/// How many of the first `items`, at least one and in ascending order, the receiver has; or why it must get none of
/// them, which is
///
/// - `stale`: a later owner was there;
/// - `failing`: the record is another journal's, or nobody's; or it lacks what progress says it got, or has what this
///   journal cannot have sent it. One of the two has gone back in time, or is another one than before.
tl::expected<std::size_t, core::receiver_answer>
already_received(const receiver_record& known, std::span<const received> items, const receiver_owner& owner);

/// What to say of a receiver that has `theirs` in the place of `item`: of another history, which nothing mends but an
/// empty receiver. What it took for its own would be lost.
core::receiver_answer other_history(const core::send_item& item, const std::string& theirs);

/// Used by one thread at a time. Calls block; they connect again by themselves when they must.
class transactional_receiver {
public:
  transactional_receiver() = default;
  virtual ~transactional_receiver() = default;
  transactional_receiver(const transactional_receiver&) = delete;
  transactional_receiver& operator=(const transactional_receiver&) = delete;

  /// Connects, announces the owner, whose predecessors are refused from then on, and says what is remembered. That has
  /// a later epoch if a later owner was there. `deliver` does without, or after a failure: it announces by itself.
  /// Messages of which no record says whose they are become this journal's if the last is the one that this owner has
  /// seen to be: it was recorded so before, or is the owner's `ours`. Else, as where they are another journal's,
  /// everything stays as it is, and nothing is delivered.
  virtual result<receiver_record> open() = 0;

  /// Makes a record of another journal, or of nobody, this journal's, whereupon others are refused there, and says what
  /// is remembered. Of the destination everything up to `settled` is settled. `errc::conflict`: see `may_take_over`;
  /// nothing has changed.
  virtual result<receiver_record> take_over(sequence settled) = 0;

  /// Takes those of `items` (not empty, ascending) that it does not have, all or none of them. Those that it should
  /// have are looked for, as far as it can be seen: one that it has another message in the place of is not there.
  ///
  /// - `confirmed`: it durably has all of them;
  /// - `refused`: it will never take one of them;
  /// - `stale`, `failing`: nothing is known to have changed. The same call may be made again.
  virtual core::receiver_answer deliver(std::span<const received> items) = 0;

  /// How its server may lose what it has confirmed, by its settings, and what to set; as the end of a sentence about
  /// it. Empty: not by these, or nobody says within two seconds.
  virtual std::string durability_risk() { return {}; }
};

} // namespace reseq::store
