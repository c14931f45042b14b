#include "reseq/core/dispatch_table.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "reseq/core/detail/ascending_queue.hpp"
#include "reseq/core/detail/slab.hpp"
#include "reseq/core/detail/slot_index.hpp"
#include "reseq/core/dispatch_queue.hpp"
#include "reseq/core/dispatch_workers.hpp"
#include "reseq/core/retry_policy.hpp"

namespace reseq::core {

using detail::no_slot;
using detail::slot;

namespace {

constexpr std::size_t history_limit = 8;
constexpr std::size_t kept_legs = 32; // an ordinary copy has a few; an extraordinary one does not keep its memory

/// One chain of a copy. The incarnation tells whether the task is still the one that was dispatched.
struct leg {
  chain_index chain;
  slot task = no_slot; ///< `no_slot` once it was answered
  std::uint64_t incarnation = 0;
};

struct copy {
  dispatch_id id;
  slot worker = no_slot;
  std::uint32_t worker_place = 0; ///< which of the worker's slots it occupies
  std::uint32_t unanswered = 0;
  time_point started;
  std::vector<leg> legs; ///< by ascending chain
};

std::string timeout_text(duration limit) {
  return "no answer within " + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(limit).count()) +
         " ms";
}

} // namespace

struct dispatch_table::state {
  explicit state(std::uint64_t seed) : random(seed) {}

  // Attempts.
  dispatch send(pipeline_index pipeline, dispatch_rank rank, time_point now);
  void start(slot which, slot copy_slot, time_point now);
  void assign_rank(dispatch_rank rank, time_point now, std::size_t limit, std::vector<dispatch>& out);
  slot worker_to_avoid() const;

  // How they end.
  bool settle(slot which, slot copy_slot, attempt_end end, std::string error, time_point now);
  void fail_attempt(slot which, const char* outcome, std::string error, time_point now);
  void time_out(slot which, time_point now);
  void orphan(slot which, time_point now);
  void record(slot which, const char* outcome, const std::string& error, time_point now);
  attempt_record running_attempt(slot which) const;

  // What follows.
  void give_up_if_hopeless(slot which, time_point now);
  void forget(slot which);
  void free_copy(slot which);
  bool is_current(const leg& l) const { return l.task != no_slot && queue[l.task].incarnation == l.incarnation; }
  bool is_running(slot which, slot copy_slot) const {
    return queue[which].phase == task_phase::running && queue[which].copy == copy_slot;
  }

  slot find_copy(dispatch_id id) const;
  void set_timer(slot which, time_point at);
  void stop_timer(slot which);

  std::vector<retry_settings> policies; ///< by pipeline
  dispatch_queue queue;
  dispatch_workers workers;
  detail::slab<copy> copies;
  detail::slot_index copy_by_id;
  detail::ascending_queue<time_point> timers; ///< tasks that run (time out) or back off (are due)
  std::size_t running = 0;
  std::mt19937_64 random;
  dispatch_id last_id;
  std::vector<slot> batch; ///< what `send` takes from the queue, kept for its capacity
  std::vector<pipeline_index> blocked;
  std::vector<given_up> hopeless;
  dispatch_counters counters;
};

slot dispatch_table::state::find_copy(dispatch_id id) const {
  return copy_by_id.find(detail::hash_dense(id.value()), [&](slot which) { return copies[which].id == id; });
}

void dispatch_table::state::set_timer(slot which, time_point at) {
  timers.push(at, which, [this](slot s) -> std::uint32_t& { return queue[s].timer_place; });
}

void dispatch_table::state::stop_timer(slot which) {
  timers.erase(queue[which].timer_place, [this](slot s) -> std::uint32_t& { return queue[s].timer_place; });
  queue[which].timer_place = no_slot;
}

void dispatch_table::state::assign_rank(dispatch_rank rank, time_point now, std::size_t limit,
                                        std::vector<dispatch>& out) {
  auto& turns = queue.turns(rank);
  blocked.clear();
  while (!turns.empty() && out.size() < limit && workers.free_slots() > 0) {
    const auto pipeline = turns.front();
    if (!queue.has_due(pipeline, rank)) {
      queue.retire_turn(rank);
      continue;
    }
    turns.pop_front();
    if (!workers.has_free(pipeline)) {
      blocked.push_back(pipeline);
      continue;
    }
    turns.push_back(pipeline);
    out.push_back(send(pipeline, rank, now));
  }
  turns.insert(turns.begin(), blocked.begin(), blocked.end()); // they come first when a slot is free for them
}

dispatch dispatch_table::state::send(pipeline_index pipeline, dispatch_rank rank, time_point now) {
  queue.take_next(pipeline, rank, batch);
  const auto worker = workers.pick(pipeline, worker_to_avoid(), random);
  const auto copy_slot = copies.add();
  auto& c = copies[copy_slot];
  c.id = ++last_id;
  c.worker = worker;
  c.worker_place = workers.occupy(worker, copy_slot);
  c.unanswered = static_cast<std::uint32_t>(batch.size());
  c.started = now;
  c.legs.clear();
  copy_by_id.insert(detail::hash_dense(c.id.value()), copy_slot);
  ++counters.dispatched;

  dispatch out{c.id, workers.id(worker), pipeline, queue.key(batch.front()).at, {}, attempt{}};
  out.chains.reserve(batch.size());
  for (auto which : batch) {
    const auto& t = queue[which];
    c.legs.push_back({t.chain, which, t.incarnation});
    out.chains.push_back(t.chain);
    out.number = std::max(out.number, attempt{t.failed} + 1);
    start(which, copy_slot, now);
  }
  return out;
}

void dispatch_table::state::start(slot which, slot copy_slot, time_point now) {
  auto& t = queue[which];
  t.phase = task_phase::running;
  t.copy = copy_slot;
  t.last_worker = workers.id(copies[copy_slot].worker);
  if (!t.first_started) t.first_started = now;
  ++running;
  set_timer(which, now + attempt_timeout(policies[queue.pipeline(which).value()], attempt{t.failed} + 1));
}

slot dispatch_table::state::worker_to_avoid() const {
  const auto tried_most =
    *std::max_element(batch.begin(), batch.end(), [this](slot a, slot b) { return queue[a].failed < queue[b].failed; });
  return queue[tried_most].failed > 0 ? workers.find(queue[tried_most].last_worker) : no_slot;
}

bool dispatch_table::state::settle(slot which, slot copy_slot, attempt_end end, std::string error, time_point now) {
  if (end == attempt_end::done) {
    ++counters.done;
    forget(which);
    return true;
  }
  // The attempt of a copy that timed out has failed already.
  if (!is_running(which, copy_slot)) return false;
  ++counters.failed;
  queue[which].permanent = end == attempt_end::permanent;
  fail_attempt(which, "failed", std::move(error), now);
  return true;
}

void dispatch_table::state::fail_attempt(slot which, const char* outcome, std::string error, time_point now) {
  record(which, outcome, error, now);
  stop_timer(which);
  --running;
  auto& t = queue[which];
  t.trouble->last_error = std::move(error);
  ++t.failed;
  t.copy = no_slot;
  if (t.permanent) {
    t.phase = task_phase::spent;
  } else {
    t.phase = task_phase::backing_off;
    const auto share = static_cast<double>(random() >> 11U) * 0x1p-53;
    set_timer(which, now + retry_delay(policies[queue.pipeline(which).value()], attempt{t.failed}, share));
  }
  give_up_if_hopeless(which, now);
}

void dispatch_table::state::time_out(slot which, time_point now) {
  ++counters.timed_out;
  const auto limit = attempt_timeout(policies[queue.pipeline(which).value()], attempt{queue[which].failed} + 1);
  fail_attempt(which, "timed out", timeout_text(limit), now);
}

void dispatch_table::state::orphan(slot which, time_point now) {
  record(which, "worker died", {}, now);
  stop_timer(which);
  --running;
  queue[which].copy = no_slot;
  queue.make_due(which);
}

attempt_record dispatch_table::state::running_attempt(slot which) const {
  const auto& t = queue[which];
  return {attempt{t.failed} + 1, t.last_worker, copies[t.copy].started, std::nullopt, "running", {}};
}

void dispatch_table::state::record(slot which, const char* outcome, const std::string& error, time_point now) {
  auto& t = queue[which];
  if (!t.trouble) t.trouble = std::make_unique<task_trouble>();
  auto& history = t.trouble->history;
  if (history.size() == history_limit) history.erase(history.begin());
  auto ended = running_attempt(which);
  ended.ended = now;
  ended.outcome = outcome;
  ended.error = error;
  history.push_back(std::move(ended));
}

void dispatch_table::state::give_up_if_hopeless(slot which, time_point now) {
  auto& t = queue[which];
  if (!t.head || t.phase == task_phase::running || !t.first_started) return;
  const auto& policy = policies[queue.pipeline(which).value()];
  if (!t.permanent && !exhausted(policy, t.failed, now - *t.first_started)) return;
  hopeless.push_back({queue.key(which), t.failed, std::move(t.trouble->last_error)});
  ++counters.given_up;
  forget(which);
}

void dispatch_table::state::forget(slot which) {
  const auto phase = queue[which].phase;
  if (phase == task_phase::running) --running;
  if (phase == task_phase::running || phase == task_phase::backing_off) stop_timer(which);
  queue.forget(which);
}

void dispatch_table::state::free_copy(slot which) {
  auto& c = copies[which];
  if (c.legs.capacity() > kept_legs) std::vector<leg>{}.swap(c.legs);
  copy_by_id.erase(detail::hash_dense(c.id.value()), which);
  const auto moved = workers.release(c.worker, c.worker_place);
  if (moved != no_slot) copies[moved].worker_place = c.worker_place;
  copies.remove(which);
}

dispatch_table::dispatch_table(std::uint64_t seed) : state_(std::make_unique<state>(seed)) {}
dispatch_table::~dispatch_table() = default;
dispatch_table::dispatch_table(dispatch_table&&) noexcept = default;
dispatch_table& dispatch_table::operator=(dispatch_table&&) noexcept = default;

pipeline_index dispatch_table::add_pipeline(const retry_settings& policy) {
  state_->policies.push_back(policy);
  state_->workers.add_pipeline();
  return state_->queue.add_pipeline();
}

worker_id dispatch_table::join(std::uint32_t slots, std::vector<pipeline_index> offers) {
  return state_->workers.join(slots, offers);
}

void dispatch_table::leave(worker_id worker, time_point now) {
  auto& s = *state_;
  const auto who = s.workers.find(worker);
  if (who == no_slot) return;
  while (!s.workers.copies(who).empty()) {
    const auto copy_slot = s.workers.copies(who).back();
    for (const auto& l : s.copies[copy_slot].legs)
      if (s.is_current(l) && s.is_running(l.task, copy_slot)) s.orphan(l.task, now);
    s.free_copy(copy_slot);
    ++s.counters.orphaned;
  }
  s.workers.leave(who);
}

void dispatch_table::retire(worker_id worker) {
  const auto who = state_->workers.find(worker);
  if (who != no_slot) state_->workers.retire(who);
}

void dispatch_table::submit(task_key key, bool head, time_point now) {
  auto& s = *state_;
  if (s.queue.find(key) == no_slot) {
    if (s.queue.knows(key.pipeline)) s.queue.add(key, head);
  } else if (head) {
    make_head(key, now);
  }
}

void dispatch_table::make_head(task_key key, time_point now) {
  const auto which = state_->queue.find(key);
  if (which == no_slot) return;
  state_->queue.raise_to_head(which);
  state_->give_up_if_hopeless(which, now);
}

void dispatch_table::withdraw(task_key key) {
  const auto which = state_->queue.find(key);
  if (which != no_slot) state_->forget(which);
}

bool dispatch_table::answer(worker_id worker, dispatch_id copy_id, chain_index chain, attempt_end end,
                            std::string error, time_point now) {
  auto& s = *state_;
  const auto late = [&s] {
    ++s.counters.late;
    return false;
  };
  const auto copy_slot = s.find_copy(copy_id);
  if (copy_slot == no_slot || s.workers.id(s.copies[copy_slot].worker) != worker) return late();
  auto& c = s.copies[copy_slot];
  const auto found = std::lower_bound(c.legs.begin(), c.legs.end(), chain,
                                      [](const leg& l, chain_index wanted) { return l.chain < wanted; });
  if (found == c.legs.end() || found->chain != chain || found->task == no_slot) return late();

  const auto counts = s.is_current(*found) && s.settle(found->task, copy_slot, end, std::move(error), now);
  found->task = no_slot;
  if (--c.unanswered == 0) s.free_copy(copy_slot);
  return counts || late();
}

void dispatch_table::tick(time_point now) {
  auto& s = *state_;
  while (!s.timers.empty() && s.timers.top_key() <= now) {
    const auto which = s.timers.top();
    if (s.queue[which].phase == task_phase::running) {
      s.time_out(which, now);
    } else {
      s.stop_timer(which);
      s.queue.make_due(which);
    }
  }
}

std::optional<time_point> dispatch_table::next_deadline() const {
  if (state_->timers.empty()) return std::nullopt;
  return state_->timers.top_key();
}

std::vector<dispatch> dispatch_table::assign(time_point now, std::size_t limit) {
  std::vector<dispatch> out;
  state_->assign_rank(dispatch_rank::heads, now, limit, out);
  state_->assign_rank(dispatch_rank::others, now, limit, out);
  return out;
}

std::vector<given_up> dispatch_table::take_given_up() { return std::exchange(state_->hopeless, {}); }

std::optional<task_status> dispatch_table::inspect(task_key key) const {
  const auto& s = *state_;
  const auto which = s.queue.find(key);
  if (which == no_slot) return std::nullopt;
  const auto& t = s.queue[which];
  task_status status;
  status.attempts = t.failed;
  if (t.trouble) {
    status.last_error = t.trouble->last_error;
    status.history = t.trouble->history;
  }
  if (t.phase == task_phase::backing_off) status.next_attempt = s.timers.key_at(t.timer_place);
  if (t.phase == task_phase::running) {
    if (status.history.size() == history_limit) status.history.erase(status.history.begin());
    status.history.push_back(s.running_attempt(which));
  }
  return status;
}

const dispatch_counters& dispatch_table::counters() const { return state_->counters; }
std::size_t dispatch_table::workers() const { return state_->workers.size(); }
std::size_t dispatch_table::free_slots() const { return state_->workers.free_slots(); }
std::size_t dispatch_table::in_flight() const { return state_->copies.size(); }
std::size_t dispatch_table::waiting() const { return state_->queue.size() - state_->running; }

} // namespace reseq::core
