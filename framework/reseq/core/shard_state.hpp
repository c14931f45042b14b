/// The inside of `shard`: private to `shard*.cpp`.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "reseq/core/delivery_window.hpp"
#include "reseq/core/key_delivery.hpp"
#include "reseq/core/key_lane.hpp"
#include "reseq/core/lane.hpp"
#include "reseq/core/progress.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/core/shard_jobs.hpp"
#include "reseq/core/shard_mirror.hpp"

namespace reseq::core {

/// Waits of 100 ms doubling to 5 s between tries against the journal.
class journal_backoff {
public:
  void failed(time_point now);
  void worked() { *this = {}; }
  /// Forgets the wait, not how long it was.
  void elapsed() { until_.reset(); }
  [[nodiscard]] std::optional<time_point> until() const { return until_; }

private:
  std::optional<time_point> until_;
  std::uint32_t failures_ = 0;
};

/// A held message; shown as held once that is durable.
struct held_message {
  held_record record;
  bool durable = false;
};

/// What came together since the last save began, ready to be one `journal_change`.
struct change_buffer {
  using key = std::pair<destination_id, sequence>;

  std::vector<std::uint32_t> targets;             ///< whose progress changed, each once
  std::map<key, std::optional<held_record>> held; ///< the latest word on each: held, or no longer
  std::vector<dead_letter_record> dead_letters;
  std::vector<operation_record> operations;
  std::vector<operation_answer> answers;                       ///< due once it is durable
  std::vector<std::pair<std::uint32_t, std::uint64_t>> pauses; ///< target and token, likewise

  [[nodiscard]] bool empty() const;
  /// Puts `earlier`, which failed to become durable, before what is here; all but its `targets`.
  void put_back(change_buffer earlier);
};

/// What a destination with order by key has instead of a lane and a delivery window.
struct keyed_target {
  key_lane window;
  key_delivery delivery;
  bool search_next = false; ///< the next read is for parked keys, if they want one
};

/// One destination.
struct shard_target {
  shard_target(destination_setup setup, std::uint64_t seed, time_point now);

  // Whatever the order.
  [[nodiscard]] const lane_slot* find(sequence seq) const;
  [[nodiscard]] lane_slot* find(sequence seq);
  [[nodiscard]] bool is_head(sequence seq) const;
  [[nodiscard]] bool idle() const; ///< nothing is under way
  /// The last sequence that may come into the window before something lost is passed over.
  [[nodiscard]] sequence end() const { return lost.empty() ? last : lost.front().first - 1; }
  /// Messages that were assigned and are not settled, as far as `settled` says.
  [[nodiscard]] std::uint64_t unsettled(std::uint64_t settled) const;

  destination_id id;
  std::string name;
  chain_index chain;
  give_up on_refused;
  std::uint32_t max_dead_letters;

  progress book;
  lane window;
  delivery_window delivery;
  sequence last;                    ///< last assigned
  std::vector<sequence_range> lost; ///< ascending: what lies ahead, and has no messages
  bool filled = false;              ///< the window has been filled once
  std::map<sequence, held_message> held;
  std::set<sequence> retried;         ///< no longer held, and to be tried anew when they come into the window
  std::unique_ptr<keyed_target> keys; ///< with order by key, instead of `window` and `delivery`

  sequence announced;           ///< the head that the dispatcher was told of
  sequence holding;             ///< the head of which it was told that it keeps results back
  std::uint64_t next_bytes = 0; ///< of the message at `window.next()`, if it is known not to have fitted
  bool reading = false;
  journal_backoff reads;
  std::vector<std::uint64_t> pausing; ///< tokens that wait until nothing is under way

  bool touched = false;             ///< listed in the shard's `touched`
  bool progress_changed = false;    ///< listed in the shard's `changes`
  std::optional<time_point> wakeup; ///< as it stands in the shard's `wakeups`
  std::uint64_t counted_messages = 0;
  std::uint64_t counted_bytes = 0;
  std::uint64_t delivered = 0;
  std::uint64_t redelivered = 0;
};

struct shard::state {
  state(std::vector<destination_setup> setups, give_up on_exhausted, std::uint64_t seed, time_point now, epoch ours,
        std::optional<resequencing> how);

  shard_target* find(destination_id id);
  [[nodiscard]] const shard_target* find(destination_id id) const;
  [[nodiscard]] std::uint32_t index_of(const shard_target& t) const;
  void touch(shard_target& t);
  void progress_changed(shard_target& t);

  // Into the window.
  void admit(shard_target& t, position at, const message_ptr& message, std::uint64_t bytes, time_point now);
  void want(shard_target& t, sequence seq, lane_slot& slot, time_point now);
  void ask_anew(shard_target& t, const lane_slot& slot);
  void skip_settled(shard_target& t, time_point now);
  void pass_lost(shard_target& t, time_point now);
  [[nodiscard]] bool is_at_lost(const shard_target& t) const;
  void take_backlog(shard_target& t, const std::vector<backlog_item>& items, time_point now);

  // The same with order by key.
  key_lane::fate offer(shard_target& t, position at, const message_ptr& message, time_point now);
  void entered(shard_target& t, sequence seq, slot_state as, time_point now);
  void take_key_backlog(shard_target& t, const std::vector<backlog_item>& items, time_point now);
  void take_searched(shard_target& t, const key_backlog& found, time_point now);
  void answered_by_key(shard_target& t, request_id request, const receiver_answer& answer, time_point now,
                       wall_time wall);
  void settle_down_by_key(shard_target& t, time_point now);
  void make_room(shard_target& t, time_point now);
  void withdraw(work_key what);
  void send_by_key(shard_target& t, time_point now);
  void read_by_key(shard_target& t, time_point now);
  bool read_next(shard_target& t);
  bool search_keys(shard_target& t);

  // Outcomes.
  void take_result(shard_target& t, sequence seq, content_ptr body, time_point now);
  void settle(shard_target& t, sequence seq, bool delivered, time_point now);
  void release_job(const shard_target& t, sequence seq, lane_slot& slot);
  bool release_job(work_key key, job_waiter who);
  void give_up_on(shard_target& t, give_up policy, held_record why, time_point now);
  void refused_by(shard_target& t, sequence seq, const receiver_answer& answer, time_point now, wall_time wall);

  // Operators.
  void pause(shard_target& t, std::uint64_t token, wall_time wall);
  void resume(shard_target& t, std::uint64_t token, time_point now, wall_time wall);
  void retry_held(shard_target& t, sequence seq, time_point now, wall_time wall);
  void answer_later(std::uint64_t token, std::uint64_t changed);
  void answer_pauses(shard_target& t);
  bool refuse(std::uint64_t token); ///< if the shard has diverged
  void refuse_waiting();            ///< those whose changes are not being saved

  // What follows from an event, for the targets it touched and for no other.
  void settle_down(time_point now);
  void settle_touched(time_point now);
  void filled(shard_target& t);
  void announce_head(shard_target& t);
  void announce_holding(shard_target& t);
  void send(shard_target& t, time_point now);
  void read(shard_target& t, time_point now);
  void plan_wakeup(shard_target& t, time_point now);
  void count_memory(shard_target& t);

  // Saving.
  [[nodiscard]] journal_change begin_save();
  void saved();
  void save_failed(time_point now);

  [[nodiscard]] destination_status status(const shard_target& t) const;
  [[nodiscard]] std::optional<blocked_by> blocked(const shard_target& t) const;
  [[nodiscard]] blocked_by blocked(const shard_target& t, const blocked_key& key) const;

  std::vector<shard_target> targets;
  std::vector<std::uint32_t> by_id; ///< index + 1; ids are small and dense
  shard_jobs jobs;
  give_up on_exhausted;
  epoch ours;
  bool draining = false;
  std::unique_ptr<shard_mirror> outside; ///< with a resequencer
  std::size_t unfilled = 0;              ///< targets whose windows were not filled once
  std::optional<std::string> diverged;

  effects out;
  change_buffer changes;
  std::optional<change_buffer> saving;
  journal_backoff saves;

  std::vector<std::uint32_t> touched;
  std::vector<std::uint32_t> losing; ///< targets with something lost ahead
  std::set<std::pair<time_point, std::uint32_t>> wakeups;
  std::vector<released_slot> released; ///< this and the next two are kept for their capacity
  std::vector<sequence> heads;
  std::vector<evicted_message> left;
  std::uint64_t requests_under_way = 0;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  shard_counters counters;
};

} // namespace reseq::core
