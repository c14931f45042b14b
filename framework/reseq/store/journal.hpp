/// The journal: what was accepted, in which order, and how far each destination has come. The one source of truth.
///
/// `commit`, `left_behind_elsewhere`, `findings`, `recover` and `expire` are called from one thread, the others from
/// one other thread; both at once is fine. Every implementation passes `tests/unit/store/journal_contract.hpp`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/submission.hpp"

namespace reseq::store {

/// A shard that this process owns, from `open`.
using shard_handle = strong<struct shard_handle_tag, std::uint32_t>;

/// A destination as the configuration knows it.
struct destination_spec {
  std::string name;
  std::uint64_t max_pending = 0; ///< accepted and not settled; what would go past it is refused with `errc::full`
};

/// A pipeline's definition: names, order, routes, fingerprints; no URLs, secrets or tuning.
struct definition {
  std::string text; ///< canonical JSON; compared byte for byte
};

/// Sequences that a recovery found to be missing at one destination.
struct lost_sequences {
  core::sequence_range range;
  wall_time recovered{};
  std::string why; ///< what had been seen
};

/// How many of `lost` lie after what `progress` has come to.
std::uint64_t missing_after(const core::progress_record& progress, std::span<const lost_sequences> lost);

struct destination_state {
  destination_id id;
  std::string name;
  sequence last; ///< last assigned
  core::progress_record progress;
  std::vector<core::held_record> held;
  std::vector<core::parked_record> parked; ///< by key, ascending
  std::vector<lost_sequences> lost{};      ///< ascending, not above `last`

  /// Messages of it that are not settled.
  [[nodiscard]] std::uint64_t backlog() const {
    return last.value() - progress.settled_messages() - missing_after(progress, lost);
  }
};

struct shard_state {
  shard_handle handle;
  epoch owner;   ///< one more than any owner before had
  position last; ///< last assigned
  std::uint64_t definition_version = 0;
  std::vector<destination_state> destinations; ///< in the order of the specs
};

/// What one shard wants made durable by one commit.
struct shard_commit {
  shard_handle shard;
  std::vector<submission> submissions;
  core::journal_change change;
};

struct shard_committed {
  /// One for each submission, in order: the (first) receipt; `errc::unprocessable` for a known id with another
  /// fingerprint; `errc::full` when a destination's backlog is full.
  std::vector<result<receipt>> receipts;
  std::vector<core::accepted_message> accepted; ///< what is new since the last one, in order of position
};

/// How a shard goes on whose journal has gone backwards. What was given in the history that it has lost is never given
/// again; no message of this journal is touched.
struct recovery {
  struct lost {
    destination_id destination;
    core::sequence_range range; ///< of none of which the journal has a message, and perhaps never had
  };

  epoch owner;                                  ///< later than any that was seen
  position last;                                ///< the next message gets the position after this one
  std::vector<lost> missing;                    ///< the destination's next sequence comes after its last range
  std::vector<core::progress_record> rewound{}; ///< of destinations that have gone backwards: where they stand
  std::string why;
};

/// Where destinations are put back to whose receivers have gone backwards.
struct rewinding {
  std::vector<core::progress_record> progress;
  std::vector<recovery::lost> missing; ///< what the journal no longer has of what they lack
  std::string why;
};

/// What a shard's journal has, and what was seen elsewhere; of a destination nothing may have been.
struct recovery_findings {
  struct destination {
    destination_id id;
    sequence assigned;         ///< the last one, by the journal
    sequence seen;             ///< the greatest; 0: nothing is known
    bool keeps_itself = false; ///< the receiver does, in the transaction that takes a message: it has got nothing later
  };

  epoch owner;       ///< of the journal
  epoch owner_seen;  ///< the latest
  position assigned; ///< the last one, by the journal
  position seen;     ///< the greatest; 0: none is known
  std::vector<destination> destinations;
  rewinding back{};
  bool takes_over = false; ///< what another journal had recorded of a receiver, which it need not be behind of
};

/// What is to be done about that. A position gives each destination at most one sequence, so there were at least as
/// many positions as sequences are missing at one; and a destination that does not keep itself what it got is taken to
/// have got as many sequences as positions are missing, so that none of its delivery ids comes again with another
/// message. (What Redis says of it may be older than what it got.)
/// `errc::conflict`: the journal is behind in nothing.
result<recovery> plan_recovery(const recovery_findings& found, std::string why);

struct stored_message {
  position at;
  message_ptr message;
  wall_time accepted{};
  std::vector<core::enrolment> enrolled;
};

/// What is recorded of a settled message at one destination. Of one that was delivered or dropped nothing is.
enum class recorded_end { none, dead_letter, skipped };

/// Messages that wait at a destination of a shard which nobody here has opened.
struct left_behind {
  shard_id shard;
  std::string destination;
  std::uint64_t messages = 0; ///< not settled; at least 1
};

struct dead_letter {
  core::dead_letter_record record;
  std::string message_id;
  std::uint64_t bytes = 0; ///< of the payload, which the journal keeps and does not read for this
};

/// The journal was found to lack what it had confirmed of a shard.
struct gone_back {
  shard_handle shard;
  std::string why; ///< what was seen
};

class journal {
public:
  virtual ~journal() = default;

  /// What tells it from every other journal, from the moment on in which it was made, and however often it is copied,
  /// restored or brought up to date. Any thread may ask.
  [[nodiscard]] virtual std::string identity() const = 0;

  /// Takes over a shard: raises its epoch, records the definition if it changed, makes new destinations known (they
  /// start with what is accepted from now on), and says where everything stands. Reads windows' worth, never the
  /// backlog. A destination that has left the configuration with a backlog: `errc::conflict`, naming it. The journal
  /// lacks what it had confirmed, as far as it can know: `errc::diverged`. One opened before was taken over: `fenced`.
  virtual result<shard_state> open(const shard_id& shard, const definition& what,
                                   std::span<const destination_spec> destinations) = 0;

  /// What waits in shards that were not opened here, by shard, then destination. On the thread of `commit`.
  virtual result<std::vector<left_behind>> left_behind_elsewhere() = 0;

  /// Makes everything in `batch` durable in one transaction, or nothing of it. Ids known before, or earlier in the same
  /// batch, get their first receipt. Returns when it is durable. `errc::no_space`, `errc::unavailable`,
  /// `errc::fenced`, `errc::diverged`: nothing happened. `errc::in_doubt`: all of it happened or nothing, and it is not
  /// known which; the next commit of its shards that succeeds, an empty one too, reports in `accepted` what did. One
  /// that has nothing to do at all writes something nevertheless, and leaves nothing of it: it works where others
  /// would.
  virtual result<std::vector<shard_committed>> commit(std::span<const shard_commit> batch, wall_time now) = 0;

  /// The backlog of one destination from `from` on: contiguous sequences, at most `max_messages`, and no further
  /// message once `max_bytes` is reached. Empty when nothing from there on is durable.
  virtual result<std::vector<core::backlog_item>> read(shard_handle shard, destination_id destination, sequence from,
                                                       std::uint32_t max_messages, std::uint64_t max_bytes) = 0;

  /// Searches the backlog of one destination, from the lowest `from` of `keys` up to and with `until`, for messages of
  /// these keys, each key's from its own `from` on. The answer holds all there are up to `searched`, at most
  /// `max_messages` (at least 1), and no further one once `max_bytes` is reached. One call looks at some thousand
  /// sequences, at least at one, then it is to be called again. `keys` is not empty and names each key once; what is
  /// not durable is not searched.
  virtual result<core::key_backlog> read_keys(shard_handle shard, destination_id destination,
                                              std::span<const core::key_cursor> keys, sequence until,
                                              std::uint32_t max_messages, std::uint64_t max_bytes) = 0;

  /// One message by position; nothing when it was never assigned or is past retention.
  virtual result<std::optional<stored_message>> find(shard_handle shard, position at) = 0;
  virtual result<std::optional<position>> find_id(shard_handle shard, const std::string& message_id) = 0;

  /// Dead letters after `after` (by destination, then sequence), at most `limit`.
  virtual result<std::vector<dead_letter>> dead_letters(shard_handle shard, std::optional<core::enrolment> after,
                                                        std::uint32_t limit) = 0;

  /// How `what`, which is settled, ended, as far as that is recorded: a skip is for as long as its message.
  virtual result<recorded_end> end_of(shard_handle shard, core::enrolment what) = 0;

  /// The epoch that the journal has now; greater than ours means that we were taken over. Where a later owner may be
  /// one of a copy that has taken the journal's place, no answer: `errc::unavailable`.
  virtual result<epoch> current_epoch(shard_handle shard) = 0;

  /// Shards that were found to have gone back in time since the last call. Nothing of them is committed or expired any
  /// more, that is `errc::diverged`; `findings` and `recover` go by what this process knows to have given. On the
  /// thread of `commit`, after anything else there.
  virtual std::vector<gone_back> take_gone_back() { return {}; }

  /// What this journal has, and nothing seen elsewhere, but for what it was found to have lost. Changes nothing. On the
  /// thread of `commit`.
  virtual result<recovery_findings> findings(shard_handle shard) = 0;

  /// Does what `how` says, in one transaction, and records it: `open` tells of it from then on. The handle is not to be
  /// used after that; the shard is to be opened again. `errc::invalid`: it would go back, or names what is unknown;
  /// `errc::fenced`, `errc::no_space`: nothing happened; `errc::unavailable`: opening the shard again shows whether it
  /// did. On the thread of `commit`.
  virtual result<void> recover(shard_handle shard, const recovery& how, wall_time now) = 0;

  /// Forgets messages (and their ids) accepted before `before` that every destination has settled, at most
  /// `max_messages` of them in one transaction. Says how many, or `max_messages` also when there is more to delete of
  /// what was forgotten than it has deleted now: either way it is to be called again soon, as each call is short.
  /// Positions and sequences are never reused after that. A message from after `now` was accepted while the clock was
  /// ahead: it is as old as the next one that is not.
  virtual result<std::uint64_t> expire(shard_handle shard, wall_time before, wall_time now,
                                       std::uint32_t max_messages) = 0;
};

} // namespace reseq::store
