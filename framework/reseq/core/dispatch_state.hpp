/// The inside of `dispatch_table`: private to `dispatch_table.cpp`, `dispatch_attempts.cpp` and `dispatch_deaths.cpp`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reseq/core/detail/ascending_queue.hpp"
#include "reseq/core/detail/random.hpp"
#include "reseq/core/detail/slab.hpp"
#include "reseq/core/dispatch_hedges.hpp"
#include "reseq/core/dispatch_quarantine.hpp"
#include "reseq/core/dispatch_queue.hpp"
#include "reseq/core/dispatch_suspects.hpp"
#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/dispatch_workers.hpp"

namespace reseq::core {

/// So many ended attempts of a task are remembered.
inline constexpr std::size_t attempt_history_limit = 8;

/// More chains than a shard has destinations.
inline constexpr std::uint32_t most_chains = (1U << 30U) - 1;

/// One chain of a copy.
struct dispatch_leg {
  chain_index chain;
  detail::slot task = detail::no_slot; ///< `no_slot` once it was answered
  incarnation life = 0;
};

/// There is one for each job in flight: its size matters.
struct dispatch_copy {
  time_point started;
  std::uint32_t uses = 0; ///< of its slot of the slab: which copy this is
  pipeline_index pipeline;
  detail::slot worker = detail::no_slot; ///< `no_slot` once it is freed
  std::uint32_t worker_place = 0;        ///< which of the worker's slots it occupies
  std::uint32_t chains = 0;
  dispatch_leg leg; ///< when it has one chain; else they are among the table's `legs_of_many`
  std::uint32_t unanswered = 0;
  std::uint32_t awaited : 30 = 0; ///< of its chains, those whose attempt it still is
  bool hedge : 1 = false;         ///< a second copy whose end was not counted yet
  bool risky : 1 = false;         ///< it may hang, and counts as such at its worker
};
static_assert(sizeof(dispatch_copy) <= 48);

/// Of a copy's id: below what counts the copies that were in that slot.
inline constexpr unsigned slot_bits = 32;

struct dispatch_table::state {
  explicit state(std::uint64_t seed) : random(seed) {}

  // Attempts.
  /// Whether something of a quarantined chain was found, which waits for its chain's turn from now on.
  bool assign_rank(dispatch_rank rank, time_point now, std::size_t limit, std::vector<dispatch>& out);
  /// Sends `batch`, tasks of one message by ascending chain, which nobody runs; or as a second copy. Into `out`.
  void send(detail::slot worker, bool hedge, time_point now, std::vector<dispatch>& out);
  void start(detail::slot which, time_point now);
  detail::slot worker_to_avoid() const;

  // How they end.
  std::optional<answered_task> settle(detail::slot which, detail::slot copy_slot, attempt_end end, std::string& error,
                                      time_point now);
  void fail_attempt(detail::slot which, const char* outcome, std::string error, time_point now);
  void time_out(detail::slot which, time_point now);
  void lose_copy(detail::slot which, detail::slot copy_slot, departure how, time_point now);
  /// One of its copies failed: the attempt goes on with the others. False when it has no other.
  bool goes_on_without(detail::slot which, detail::slot copy_slot, const char* outcome, const std::string& error,
                       time_point now);
  /// Nobody waits for its copies any more.
  void stop_running(detail::slot which);
  void stop_awaiting(detail::slot copy_slot);
  void count_failed_hedge(detail::slot copy_slot);
  /// Whether it is a second copy whose end was not counted yet: it is from now on.
  bool take_hedge(detail::slot copy_slot) {
    auto& c = copies[copy_slot];
    const bool was = c.hedge;
    c.hedge = false;
    return was;
  }
  void make_trouble(detail::slot which);
  void record(detail::slot which, detail::slot copy_slot, const char* outcome, const std::string& error,
              time_point now);
  attempt_record running_attempt(detail::slot which, detail::slot copy_slot) const;

  // What follows.
  void make_head(detail::slot which, time_point now);
  void make_due(detail::slot which, time_point now);
  void give_up_if_hopeless(detail::slot which, time_point now);
  task_work forget(detail::slot which);
  task_work abandon(detail::slot which, detail::slot answered, time_point now);
  void free_copy(detail::slot which);
  bool is_current(const dispatch_leg& l) const { return l.task != detail::no_slot && queue.is(l.task, l.life); }
  bool is_running(detail::slot which, detail::slot copy_slot) const {
    const auto& t = queue[which];
    return t.phase == task_phase::running && t.copies.has(copy_slot);
  }

  // Hedges.
  bool may_kill(detail::slot which) const;
  void arm_hedge(detail::slot which);
  /// It holds results back.
  void disarm_hedge(detail::slot which);
  auto hedge_place() {
    return [this](detail::slot s) -> std::uint32_t& { return holding[queue[s].holds_back].timer_place; };
  }
  void find_overdue(time_point now);
  void assign_hedges(time_point now, std::size_t limit, std::vector<dispatch>& out);

  // Deaths.
  void bury(detail::slot worker, departure how, time_point now);
  /// All tasks of which something unanswered goes with the worker; by ascending key, each once.
  std::vector<detail::slot> tasks_at(detail::slot worker) const;
  void strike(detail::slot which);
  bool may_have_killed(detail::slot which, departure how) const {
    return how == departure::died || (how == departure::lost && queue[which].lost_too_often());
  }
  /// The worker fell silent with it.
  void note_loss(detail::slot which);
  /// It is no suspect any more.
  void clear(detail::slot which) {
    auto& t = queue[which];
    if (t.accused()) --suspected;
    t.deaths = 0;
    t.losses = 0;
    t.suspect = false;
  }
  /// A suspect that is due waits for a worker of its own, or for its chain's turn, from now on.
  void isolate(detail::slot which);
  /// Those of them that are suspects and due, and in no quarantine, as a group.
  suspect_group set_apart(const std::vector<detail::slot>& tasks, pipeline_index of);
  /// The only thing that the worker had to do; `no_slot` when it had more to do, or nothing.
  detail::slot only_task(detail::slot worker) const;

  // Suspects.
  void assign_suspects(time_point now, std::size_t limit, std::vector<dispatch>& out);
  void run_suspects(pipeline_index pipeline, time_point now, std::size_t limit, std::vector<dispatch>& out);
  bool some_wait(pipeline_index pipeline);
  bool find_room(pipeline_index pipeline);
  bool find_group(pipeline_index pipeline);
  suspect_group next_group(pipeline_index pipeline);
  void give_room_back(pipeline_index pipeline);
  bool take_message(suspect_group& from);
  bool is_others_turn(detail::slot room) const;
  bool others_wait_for(detail::slot room, pipeline_index but) const;
  bool still_waits(const suspect& s) const {
    return queue.is(s.task, s.life) && queue[s.task].phase == task_phase::isolated;
  }

  // Chains of which many kill their workers.
  bool is_quarantined(detail::slot which) const { return quarantine.holds(queue.pipeline(which), queue[which].chain); }
  /// It waits for its chain's turn from now on.
  void admit(detail::slot which);
  /// What of it is in quarantine waits there.
  void keep_quarantined(suspect_group& some);
  /// The batch goes without what is quarantined of it. Whether there was something.
  bool divert_quarantined();
  void convict(detail::slot which);
  void survive(detail::slot which);
  /// The worker died, which was a room. A quarantined chain that ran there rests.
  void rest_after_death(detail::slot room, time_point now);

  // Work and workers that hang.
  void note_timeout(detail::slot which);
  void mark_risky(detail::slot copy_slot);
  /// Follows whether it hangs, and since when.
  void watch(detail::slot worker, time_point now) {
    const auto hangs = workers.hangs(worker);
    if (hangs != workers.watched(worker).seen) watch_anew(worker, hangs, now);
  }
  void watch_anew(detail::slot worker, worker_hang hangs, time_point now);
  void stop_watching(detail::slot worker);
  void find_hung(time_point now);

  /// A copy's id says where in the slab it is, and which of those that were there.
  dispatch_id id_of(detail::slot copy_slot) const {
    return dispatch_id{(std::uint64_t{copies[copy_slot].uses} << slot_bits) | copy_slot};
  }
  detail::slot find_copy(worker_id worker, dispatch_id id) const;
  /// By ascending chain.
  std::span<dispatch_leg> legs(detail::slot copy_slot) {
    auto& c = copies[copy_slot];
    if (c.chains < 2) return {&c.leg, c.chains};
    return legs_of_many.at(copy_slot);
  }
  std::span<const dispatch_leg> legs(detail::slot copy_slot) const {
    const auto& c = copies[copy_slot];
    if (c.chains < 2) return {&c.leg, c.chains};
    return legs_of_many.at(copy_slot);
  }
  /// Null when the copy does not have that chain, or it was answered.
  dispatch_leg* find_leg(detail::slot copy_slot, chain_index chain);
  void set_timer(detail::slot which, time_point at);
  void stop_timer(detail::slot which);

  std::vector<retry_settings> policies; ///< by pipeline
  std::vector<std::uint32_t> timed_out; ///< by pipeline: how many wanted tasks have timed out
  dispatch_queue queue;
  dispatch_workers workers;
  dispatch_suspects suspects;
  dispatch_quarantine quarantine;
  dispatch_hedges hedges;
  detail::slab<dispatch_copy> copies;
  std::unordered_map<detail::slot, std::vector<dispatch_leg>> legs_of_many; ///< of copies with more than one chain
  detail::slab<held_back> holding;
  detail::ascending_queue<time_point> timers;            ///< tasks that run (time out) or back off (are due)
  detail::ascending_queue<time_point> hedge_timers;      ///< heads that will have held results back for too long
  std::set<std::pair<time_point, detail::slot>> hanging; ///< workers, by when they have hung for long enough
  std::size_t running = 0;
  std::size_t suspected = 0; ///< tasks that are suspects by themselves
  recent_chains recent;      ///< that ran beside others
  detail::random_numbers random;
  std::vector<detail::slot> batch; ///< what `send` sends, kept for its capacity
  std::vector<pipeline_index> blocked;
  std::vector<given_up> hopeless;
  std::vector<worker_id> hung;
  dispatch_counters counters;
};

} // namespace reseq::core
