/// A shard's whole decision making after acceptance: lanes, shared work, ordered delivery, progress.
///
/// A pure state machine: events come in as calls with the time, what must be done comes out of `take()`. It is not
/// thread-safe; the actor that owns it calls one event, then performs what `take()` gives, in the order of its members.
/// Memory depends on the windows, never on the backlog.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/lane_updates.hpp"
#include "reseq/core/records.hpp"
#include "reseq/core/work.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"
#include "reseq/model/settings.hpp"

namespace reseq::core {

/// One destination as the journal and the configuration give it when a shard starts.
struct destination_setup {
  destination_id id;
  destination_settings settings;
  sequence last;            ///< last assigned
  progress_record progress; ///< for order in total that of order by key is made into it first: `progress::in_total`
  std::vector<held_record> held;
  std::vector<parked_record> parked;
  bool own_chain = false; ///< it has transforms of its own: its chain is its id, else the common chain 0
  /// Ascending. Sequences that no message has: they were given in a history that the journal has lost. Passed over once
  /// everything before them is settled.
  std::vector<sequence_range> lost{};
};

/// A chain's first answer.
struct finished_work {
  position at;
  chain_index chain;
  work_result done;
  asking asked;    ///< as the request said
  duration took{}; ///< the transforms' time
};

/// A chain that was given up.
struct unfinished_work {
  position at;
  chain_index chain;
  std::uint32_t attempts = 0;
  std::string last_error;
  asking asked;           ///< as the request said
  bool permanent = false; ///< its transform said that trying again is no use
};

/// With a resequencer outside of the shard.
struct resequencing {
  duration timeout;   ///< how long a delivery waits for it, twice at most, before the shard goes on by itself
  duration keep_over; ///< results of work that took at least that long are kept there
};

/// How a receiver answered one request.
struct confirmed {};
struct refused {
  std::string why;
};
struct stale {
  epoch seen;
};
struct failing {
  std::string why;
  std::optional<duration> retry_after; ///< the receiver's own wish
};
using receiver_answer = std::variant<confirmed, refused, stale, failing>;

/// Numbers the requests to one destination; a late answer is recognised by it.
using request_id = strong<struct request_id_tag>;

struct send_item {
  sequence seq;
  std::optional<sequence> previous; ///< the delivered one before it, 0 for the first; absent with order by key
  position at;
  message_ptr message;
  content_ptr body;
  std::uint32_t attempt = 1; ///< of the delivery
};

struct send_request {
  destination_id destination;
  request_id id;
  std::vector<send_item> items; ///< ascending; 1 to `batch`
};

struct work_request {
  position at;
  chain_index chain;
  message_ptr message;
  bool head = false;
  asking asked{};
};

struct read_request {
  destination_id destination;
  sequence from;
  std::uint32_t max_messages = 0;
  std::uint64_t max_bytes = 0;    ///< at least one message is wanted whatever its size
  std::vector<key_cursor> keys{}; ///< if there are any: not a piece from `from` on, but what a search for them finds
  sequence until{};               ///< … up to here
};

/// An operator's call, answered when what it changed is durable.
struct operation_answer {
  std::uint64_t token = 0;
  result<std::uint64_t> outcome; ///< how many messages it changed
};

/// A message that was given up now: held, or a dead letter.
struct abandoned_message {
  held_record why;
  std::string message_id;
  bool held = true;
};

/// What must be done, in this order.
struct effects {
  std::vector<work_key> withdrawn;
  std::vector<work_request> work;
  std::vector<work_key> heads;
  std::vector<work_key> holding; ///< heads that keep back results which are ready
  std::vector<read_request> reads;
  std::vector<send_request> sends;
  std::optional<journal_change> save; ///< at most one at a time: none until `saved` or `save_failed`
  std::vector<operation_answer> answers;
  std::vector<duration> release_overheads; ///< of each message handed to its receiver: time since the latest finish
                                           ///< among its predecessors in the lane and itself
  std::optional<mirror_call> lanes;        ///< of the resequencer; one at a time
  std::vector<work_key> load; ///< results that it may have; one such wish at a time, which is always answered
  std::vector<abandoned_message> abandoned; ///< for the log
  bool check_epoch = false;                 ///< a receiver has seen a later epoch: ask the journal
  bool lanes_fenced = false;                ///< the resequencer has: ask the journal, and `diverge` if it knows of none
  std::optional<std::string> diverged; ///< the journal has gone backwards, as this says: nothing more is to be accepted
};

enum class lane_state { running, paused, held, failing, diverged };

/// What the head of a lane waits for.
struct blocked_by {
  sequence seq;
  position at;
  std::string message_id;
  chain_index chain;
  std::optional<std::string> key{};   ///< with order by key
  std::string phase;                  ///< "transform", "resequencer", "delivery", "held", "saving", "reading"
  time_point since{};                 ///< when it became the head
  std::uint32_t attempts = 0;         ///< of the delivery, or as held; those of a transform are the dispatcher's
  std::optional<time_point> asked_at; ///< its receiver, which has not answered yet
  std::optional<time_point> next_attempt;
  std::string last_error;
  std::uint64_t ready_behind = 0;
};

struct destination_status {
  destination_id id;
  std::string name;
  lane_state state = lane_state::running;
  std::string reason; ///< if it has diverged
  sequence accepted;  ///< last assigned
  sequence settled;   ///< the watermark, saved
  std::uint64_t lag = 0;
  std::uint64_t pending = 0;
  std::uint64_t ready = 0;
  std::uint64_t delivered = 0;    ///< since the start
  std::uint64_t redelivered = 0;  ///< requests tried again since the start
  std::optional<blocked_by> head; ///< absent when nothing waits
  bool by_key = false;
  std::vector<blocked_by> heads; ///< with order by key, the oldest of them
  std::uint64_t parked = 0;      ///< keys that are left out of the window until they move
  std::vector<held_record> held;
};

/// What one sequence is doing.
struct sequence_status {
  destination_id destination;
  sequence seq;
  std::string state; ///< "enrolled", "pending", "ready", "sent", "held", "settled"
};

struct shard_counters {
  std::uint64_t out_of_order = 0; ///< results that came before an older one of their lane
  std::uint64_t released = 0;
  std::uint64_t delivered = 0;
  std::uint64_t dropped = 0;
  std::uint64_t late_answers = 0; ///< answers of receivers and workers that nobody waits for
};

class shard_mirror;

class shard {
public:
  /// `on_exhausted` says what happens to messages whose transforms used up their attempts, `seed` feeds the jitter of
  /// delivery retries, `ours` is the epoch under which this shard is owned: receivers that name a later one cause
  /// `effects::check_epoch`. Destinations go on after their saved progress. Without `outside` lanes are in memory
  /// alone.
  shard(std::vector<destination_setup> destinations, give_up on_exhausted, std::uint64_t seed, time_point now,
        epoch ours = epoch{}, std::optional<resequencing> outside = {});
  ~shard();
  shard(shard&&) noexcept;
  shard& operator=(shard&&) noexcept;

  /// Messages that have just become durable, in order of position; those of destinations with room go in at once, the
  /// others stay in the journal until the window reaches them.
  void accepted(const std::vector<accepted_message>& messages, time_point now);

  /// The answer to a read: contiguous from what was asked; empty only when there is nothing.
  void backlog(destination_id destination, std::vector<backlog_item> items, time_point now);
  /// The answer to a read for keys.
  void searched(destination_id destination, key_backlog found, time_point now);
  /// A read of either kind failed; it is asked again after a backoff.
  void backlog_failed(destination_id destination, time_point now);

  /// First answers, or that the dispatcher gave a chain up. Late ones are counted and ignored. What came together goes
  /// to its receiver together, as far as `batch` lets it.
  void worked(std::vector<finished_work> done, time_point now);
  void gave_up(unfinished_work lost, time_point now, wall_time wall);

  /// A receiver's answer to a request.
  void answered(destination_id destination, request_id request, const receiver_answer& answer, time_point now,
                wall_time wall);

  /// What `effects::save` asked is durable; or it is not, and is asked again after a backoff.
  void saved(time_point now);
  void save_failed(time_point now);

  /// The resequencer's answer to `effects::lanes`, or that it has none; as in `lane_mirror`. After `errc::diverged` the
  /// shard stops, and changes nothing any more.
  void lanes_opened(mirror_call_id call, const lanes_found& found, time_point now);
  void lanes_answered(mirror_call_id call, const lane_answers& answers, time_point now);
  void lanes_failed(mirror_call_id call, const error& why, time_point now);
  /// The journal has gone backwards, as `why` says: stops, likewise. The first reason stays.
  void diverge(std::string why);
  /// The answer to `effects::load`.
  void loaded(result<std::vector<stored_result>> found, time_point now);

  /// Operators. Each is answered by `effects::answers` under its token once durable. `retry` and `skip` act on a held
  /// message: not held gives `errc::conflict`; `retry` without a sequence, on all that the destination holds. Once the
  /// shard has diverged, `errc::conflict`, and also for whoever waits then.
  void pause(std::uint64_t token, destination_id destination, time_point now,
             wall_time wall); ///< answered when nothing is under way
  /// Also ends the backoff of a receiver that failed, paused or not.
  void resume(std::uint64_t token, destination_id destination, time_point now, wall_time wall);
  void retry(std::uint64_t token, destination_id destination, std::optional<sequence> seq, time_point now,
             wall_time wall);
  void skip(std::uint64_t token, destination_id destination, sequence seq, time_point now, wall_time wall);

  /// Why it has diverged, if it has.
  [[nodiscard]] const std::optional<std::string>& diverged() const;

  /// From now on nothing new is sent; what is under way is answered and saved. `drained()` says when that is done.
  void drain();
  [[nodiscard]] bool drained() const;

  /// Delivery retries and repeated reads and saves that are due. Call at `wakeup()`; early is harmless.
  void tick(time_point now);
  [[nodiscard]] std::optional<time_point> wakeup() const;

  /// What has to be done since the last call.
  [[nodiscard]] effects take();

  [[nodiscard]] std::vector<destination_status> status() const;
  /// With order by key this takes the longer the more keys there are.
  [[nodiscard]] std::optional<destination_status> status(destination_id destination) const;
  /// "?" for one that is not known. Valid as long as the shard.
  [[nodiscard]] std::string_view name(destination_id destination) const;
  /// Whether its receiver's last answers count as a failure of the whole destination, not just of single keys.
  [[nodiscard]] bool is_failing(destination_id destination) const;
  /// `key` is the message's.
  [[nodiscard]] std::optional<sequence_status> find(destination_id destination, sequence seq,
                                                    std::string_view key = {}) const;
  [[nodiscard]] const shard_counters& counters() const;
  /// How lanes went adrift from the resequencer; null without one.
  [[nodiscard]] const shard_mirror* outside() const;
  /// Messages and bytes in all windows.
  [[nodiscard]] std::uint64_t messages_in_memory() const;
  [[nodiscard]] std::uint64_t bytes_in_memory() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace reseq::core
