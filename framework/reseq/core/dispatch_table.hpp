/// Decides which worker gets which work, when it is tried again, and whose answer counts.
///
/// A pure state machine: time comes in as arguments, randomness from the seed. Not thread-safe. The cost of each
/// call depends on what it changes, never on how much waits, except where it says so.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reseq/core/work.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"
#include "reseq/model/settings.hpp"

namespace reseq::core {

/// A pipeline's (shard's) number in this table, from `add_pipeline`.
using pipeline_index = strong<struct pipeline_index_tag, std::uint32_t>;

/// One chain of one message.
struct task_key {
  pipeline_index pipeline;
  position at;
  chain_index chain;

  friend auto operator<=>(const task_key&, const task_key&) = default;
};

/// What a worker has to do for a copy: of which pipeline, which chain.
struct owed_work {
  pipeline_index pipeline;
  chain_index chain;

  friend bool operator==(const owed_work&, const owed_work&) = default;
};

/// What a task was submitted with, and is handed back with: of no meaning here.
struct task_work {
  message_ptr message;
  asking asked{}; ///< the last time
};

/// A task that was answered: which one, and what it was submitted with.
struct answered_task {
  task_key key;
  task_work work;
};

/// One copy of a job, to be sent to `worker`: chains of the same message that were due together.
struct dispatch {
  dispatch_id id;
  worker_id worker;
  pipeline_index pipeline;
  position at;
  message_ptr message;
  chain_list chains;
  attempt number;       ///< of the chain that was tried most often
  bool hedge = false;   ///< a further copy of an attempt that is under way
  bool suspect = false; ///< its worker runs nothing but suspects beside it
};

/// How an attempt ended at the worker.
enum class attempt_end {
  done,      ///< a result, a drop or a narrowed result
  failed,    ///< the transform threw: another attempt may help
  permanent, ///< the transform said that no other attempt will help
};

/// How a worker went, and what that says about the work that it had.
enum class departure {
  died, ///< its connection was closed or reset: what it ran may have killed it
  lost, ///< it fell silent: most often that is the network, but what was there each of `losses_borne` + 1 times may do
        ///< it
  left, ///< it took its leave, was dismissed, or begins anew: its work is not to blame
};

/// So many workers that fell silent, since one last survived it, say nothing about a piece of work. Each further one
/// counts as one that died of it: a process that dumps its core, or is frozen by what it runs, is silent before its
/// connection is closed.
inline constexpr std::uint8_t losses_borne = 2;

/// Several messages of a chain were found to kill their workers, or enough were answered since.
struct quarantine_change {
  pipeline_index pipeline;
  chain_index chain;
  bool quarantined = false;
};

/// One attempt, for `GET …/messages/{shard}:{position}`.
struct attempt_record {
  attempt number;
  worker_id worker;
  time_point started;
  std::optional<time_point> ended; ///< absent while it runs
  std::string outcome;             ///< "running", "failed", "timed out", "worker died", "worker lost",
                                   ///< "worker left", "crashed"
  std::string error;
  bool hedge = false; ///< a further copy of the attempt before
};

/// A task that used up its attempts and is the head of a lane, with nothing of it in flight. It is forgotten;
/// `submit` starts it anew.
struct given_up {
  task_key key;
  std::uint32_t attempts = 0;
  std::string last_error;
  std::vector<attempt_record> history; ///< oldest first; the last eight
  task_work work;
  bool permanent = false; ///< its transform said that no other attempt would help
};

/// Workers, as far as people want to know.
struct worker_strength {
  std::size_t workers = 0;
  std::size_t apart = 0;     ///< of these, kept free for suspects, or running some: they get nothing else
  std::uint64_t slots = 0;   ///< all together
  std::uint64_t hanging = 0; ///< of these, taken by copies that nobody waits for any more
};

/// What is known of a task, for people.
struct task_status {
  std::uint32_t attempts = 0;             ///< failed ones
  std::string last_error;                 ///< empty when none has failed
  std::optional<time_point> next_attempt; ///< when it waits for its backoff, or its quarantined chain rests
  std::vector<attempt_record> history;    ///< oldest first; the last eight
  bool quarantined = false;               ///< its chain is: it waits for its turn, or has it
  bool suspect = false;                   ///< it waits for a worker of its own, or is alone on one
  bool spent = false;                     ///< failed for good: it is given up once it is a head
  worker_strength workers{};              ///< of those that may get it
};

/// Since the start. `dispatched` and `orphaned` count copies, the others chains.
struct dispatch_counters {
  std::uint64_t dispatched = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t late = 0;      ///< answers that do not count: the work was already answered, withdrawn or given up, or
                               ///< a failure of a copy that had timed out before
  std::uint64_t orphaned = 0;  ///< copies that went with their worker
  std::uint64_t crashed = 0;   ///< attempts: each killed its worker alone
  std::uint64_t suspected = 0; ///< chains that were in flight on two workers that died, or on several that fell silent
  std::uint64_t given_up = 0;
  std::uint64_t hedged = 0;        ///< second and third copies; each ends as one of:
  std::uint64_t hedges_won = 0;    ///< its answer was the first that counted
  std::uint64_t hedges_lost = 0;   ///< another copy's was, or nobody wants it any more
  std::uint64_t hedges_failed = 0; ///< no answer in time, an error, or its worker went
};

class dispatch_table {
public:
  explicit dispatch_table(std::uint64_t seed);
  ~dispatch_table();
  dispatch_table(dispatch_table&&) noexcept;
  dispatch_table& operator=(dispatch_table&&) noexcept;

  /// Makes a pipeline known; all its tasks follow `policy`.
  pipeline_index add_pipeline(const retry_settings& policy);

  /// A worker that runs `slots` (at least 1) copies at once, of the pipelines in `offers` only.
  worker_id join(std::uint32_t slots, std::vector<pipeline_index> offers);

  /// The worker is gone. What it had in flight is due again at once, at its old rank, and that is no failed attempt.
  /// But what was in flight on two workers that died (`losses_borne`: or fell silent) is a suspect from then on:
  /// suspects run on a worker of their own, which gets nothing else meanwhile; if that dies, too, half of them at a
  /// time. One that is alone on a worker when it dies has failed an attempt, and is not tried again once it has used up
  /// its attempts; one that is answered is no suspect any more. An unknown worker changes nothing.
  ///
  /// A chain of which several messages have killed a worker alone is quarantined: all its messages run as suspects do,
  /// and by themselves, lowest position first: one, then one more for each that was answered. Those that have killed
  /// one have every second turn, alone. When that worker dies, they rest for a second, or twice as long as the last
  /// time (at most four), if work of another chain was dispatched within the last ten. One that kills outweighs 128
  /// that are answered, but after 33 in a row the quarantine is over.
  void leave(worker_id worker, departure how, time_point now);

  /// The worker is leaving: it gets nothing new, and keeps what it has until it answers or leaves.
  void retire(worker_id worker);

  /// Wants `key` worked out; `head` says that a lane waits for exactly this one. Wanting it again raises `head`, and
  /// replaces `work`, of which the message is the same for all chains of a position.
  void submit(task_key key, bool head, time_point now, task_work work = {});

  /// A lane now waits for exactly this one: it goes before all that are not heads, and may be given up from now on.
  /// An unknown key changes nothing.
  void make_head(task_key key, time_point now);

  /// Results that come after this head are ready and have to wait for it. Once they have waited longer than the 95th
  /// percentile of the time that its chain takes, a second copy of it is dispatched (`retry_settings::hedge`), to
  /// another worker if there is one with a free slot, and a third one if the second takes as long: one further copy to
  /// twenty others of the pipeline, and never of what was in flight on a worker that died. The first result counts; an
  /// error, a timeout or a death only when no other copy of the attempt is in flight; a permanent error then, however
  /// the others ended. An unknown key changes nothing.
  void hold_back(task_key key, time_point now);

  /// Nobody wants it any more. Its copies still occupy their slots until they are answered.
  void withdraw(task_key key, time_point now);

  /// What the worker has to do with the copy, by the chain's number in `dispatch::chains`; nothing when it does not
  /// have that copy, or has answered that chain of it.
  [[nodiscard]] std::optional<owed_work> owed(worker_id worker, dispatch_id copy, std::size_t number) const;

  /// A worker answered one chain of one copy. When it is the first answer and counts, the task: for `done` it is
  /// finished and forgotten; for the others it backs off, or waits for the attempt's other copy. Nothing when the
  /// answer is late and must be ignored. The slot is free once every chain of the copy was answered.
  std::optional<answered_task> answer(worker_id worker, dispatch_id copy, chain_index chain, attempt_end end,
                                      std::string error, time_point now);

  /// Times out what is due, makes due what has backed off, and finds workers that hang. Call at `next_deadline()`;
  /// calling early is harmless.
  void tick(time_point now);

  /// When `tick` has something to do next; nothing while nothing waits for time.
  [[nodiscard]] std::optional<time_point> next_deadline() const;

  /// Gives due work to free slots, at most `limit` copies: heads first, then the lowest position; of two eligible
  /// workers picked at random the less loaded, and not the one that had the last attempt if there is another. While a
  /// task of a pipeline has timed out and is not done, the pipeline's copies take at most half of the slots of a worker
  /// that serves others, too. Chains of one message that are due together travel in one copy. Hedges go first; suspects
  /// before them, on a worker that is kept free for them: finding one costs the number of workers. Where there is only
  /// one, the others have their turn, too: after some groups of suspects, and after each of a quarantined chain.
  std::vector<dispatch> assign(time_point now, std::size_t limit = SIZE_MAX);

  /// Tasks given up since the last call.
  std::vector<given_up> take_given_up();

  /// Chains that were quarantined since the last call, or are no longer.
  std::vector<quarantine_change> take_quarantine_changes();

  /// Workers that hang, since the last call. All slots of one have been taken for the longest `max_timeout` of its
  /// pipelines by copies that nobody waits for any more; if it serves several, for their longest `timeout`. Or half of
  /// them have been taken by such copies of one of its several pipelines, for the longest `max_timeout`. That pipeline,
  /// or all of them, get nothing more of it before one of the copies is answered.
  std::vector<worker_id> take_hung();

  [[nodiscard]] std::optional<task_status> inspect(task_key key) const;
  [[nodiscard]] const dispatch_counters& counters() const;
  [[nodiscard]] std::size_t workers() const;
  [[nodiscard]] std::size_t free_slots() const;
  [[nodiscard]] std::size_t in_flight() const; ///< copies that occupy a slot
  [[nodiscard]] std::size_t waiting() const;   ///< tasks that no copy is running: due, backing off, or failed for good
                                               ///< and waiting to become a head
  [[nodiscard]] std::size_t suspects() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace reseq::core
