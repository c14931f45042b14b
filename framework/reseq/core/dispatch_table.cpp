#include "reseq/core/dispatch_table.hpp"

#include <algorithm>
#include <utility>

#include "reseq/core/dispatch_state.hpp"

namespace reseq::core {

using detail::no_slot;
using detail::slot;

dispatch_table::dispatch_table(std::uint64_t seed) : state_(std::make_unique<state>(seed)) {}
dispatch_table::~dispatch_table() = default;
dispatch_table::dispatch_table(dispatch_table&&) noexcept = default;
dispatch_table& dispatch_table::operator=(dispatch_table&&) noexcept = default;

pipeline_index dispatch_table::add_pipeline(const retry_settings& policy) {
  state_->policies.push_back(policy);
  state_->timed_out.push_back(0);
  state_->workers.add_pipeline();
  state_->suspects.add_pipeline();
  state_->quarantine.add_pipeline();
  state_->hedges.add_pipeline();
  return state_->queue.add_pipeline();
}

worker_id dispatch_table::join(std::uint32_t slots, std::vector<pipeline_index> offers) {
  return state_->workers.join(slots, offers);
}

void dispatch_table::leave(worker_id worker, departure how, time_point now) {
  const auto who = state_->workers.find(worker);
  if (who != no_slot) state_->bury(who, how, now);
}

void dispatch_table::retire(worker_id worker) {
  const auto who = state_->workers.find(worker);
  if (who == no_slot) return;
  state_->stop_watching(who);
  state_->workers.retire(who);
  if (const auto room = state_->suspects.owner(who)) state_->suspects.vacate(*room);
}

void dispatch_table::submit(task_key key, bool head, time_point now, task_work work) {
  auto& queue = state_->queue;
  if (!queue.knows(key.pipeline)) return;
  const auto [which, is_new] = queue.want(key, head);
  queue.set_work(which, std::move(work));
  if (!is_new && head) state_->make_head(which, now);
}

void dispatch_table::make_head(task_key key, time_point now) {
  const auto which = state_->queue.find(key);
  if (which != no_slot) state_->make_head(which, now);
}

void dispatch_table::hold_back(task_key key, time_point now) {
  const auto which = state_->queue.find(key);
  if (which == no_slot || state_->queue[which].holds_back != no_slot) return;
  const auto held = state_->queue[which].holds_back = state_->holding.add();
  state_->holding[held] = {now};
  if (state_->queue[which].phase == task_phase::running) state_->arm_hedge(which);
}

void dispatch_table::withdraw(task_key key, time_point now) {
  const auto which = state_->queue.find(key);
  if (which != no_slot) state_->abandon(which, no_slot, now);
}

std::optional<owed_work> dispatch_table::owed(worker_id worker, dispatch_id copy_id, std::size_t number) const {
  const auto& s = *state_;
  const auto copy_slot = s.find_copy(worker, copy_id);
  if (copy_slot == no_slot) return std::nullopt;
  const auto legs = s.legs(copy_slot);
  if (number >= legs.size() || legs[number].task == no_slot) return std::nullopt;
  return owed_work{s.copies[copy_slot].pipeline, legs[number].chain};
}

std::optional<answered_task> dispatch_table::answer(worker_id worker, dispatch_id copy_id, chain_index chain,
                                                    attempt_end end, std::string error, time_point now) {
  auto& s = *state_;
  std::optional<answered_task> counted;
  const auto copy_slot = s.find_copy(worker, copy_id);
  if (auto* leg = copy_slot == no_slot ? nullptr : s.find_leg(copy_slot, chain)) {
    auto& c = s.copies[copy_slot];
    const auto who = c.worker;
    if (end == attempt_end::done) s.hedges.took(c.pipeline, chain, now - c.started);
    if (s.is_current(*leg)) counted = s.settle(leg->task, copy_slot, end, error, now);
    leg->task = no_slot;
    if (--c.unanswered == 0) s.free_copy(copy_slot);
    s.watch(who, now);
  }
  if (!counted) ++s.counters.late;
  return counted;
}

void dispatch_table::tick(time_point now) {
  auto& s = *state_;
  while (!s.timers.empty() && s.timers.top_key() <= now) {
    const auto which = s.timers.top();
    if (s.queue[which].phase == task_phase::running) {
      s.time_out(which, now);
    } else {
      s.stop_timer(which);
      s.make_due(which, now);
    }
  }
  s.quarantine.wake(now);
  s.find_overdue(now);
  s.find_hung(now);
}

std::optional<time_point> dispatch_table::next_deadline() const {
  const auto& s = *state_;
  std::optional<time_point> due;
  if (!s.timers.empty()) due = s.timers.top_key();
  if (!s.hedge_timers.empty() && (!due || s.hedge_timers.top_key() < *due)) due = s.hedge_timers.top_key();
  if (!s.hanging.empty() && (!due || s.hanging.begin()->first < *due)) due = s.hanging.begin()->first;
  if (const auto rested = s.quarantine.next_wake(); rested && (!due || *rested < *due)) due = rested;
  return due;
}

std::vector<dispatch> dispatch_table::assign(time_point now, std::size_t limit) {
  std::vector<dispatch> out;
  auto& s = *state_;
  out.reserve(std::min({limit, s.workers.free_slots(), waiting()}));
  if (!s.suspects.idle() || !s.quarantine.idle()) s.assign_suspects(now, limit, out);
  if (!s.hedges.idle()) s.assign_hedges(now, limit, out);
  const bool heads = s.assign_rank(dispatch_rank::heads, now, limit, out);
  const bool others = s.assign_rank(dispatch_rank::others, now, limit, out);
  if (heads || others) s.assign_suspects(now, limit, out); // perhaps it is their turn at once
  return out;
}

std::vector<given_up> dispatch_table::take_given_up() { return std::exchange(state_->hopeless, {}); }

std::vector<quarantine_change> dispatch_table::take_quarantine_changes() { return state_->quarantine.take_changes(); }

std::vector<worker_id> dispatch_table::take_hung() { return std::exchange(state_->hung, {}); }

std::optional<task_status> dispatch_table::inspect(task_key key) const {
  const auto& s = *state_;
  const auto which = s.queue.find(key);
  if (which == no_slot) return std::nullopt;
  const auto& t = s.queue[which];
  task_status status;
  status.attempts = t.failed();
  if (t.trouble) {
    status.last_error = t.trouble->last_error;
    status.history = t.trouble->history;
  }
  status.quarantined = s.is_quarantined(which);
  status.suspect = t.suspect;
  status.spent = t.phase == task_phase::spent;
  status.workers = s.workers.strength(key.pipeline);
  if (t.phase == task_phase::backing_off) status.next_attempt = s.timers.key_at(t.timer_place);
  if (t.phase == task_phase::isolated && status.quarantined)
    status.next_attempt = s.quarantine.rests_until(key.pipeline, key.chain);
  if (t.phase == task_phase::running) {
    for (const auto copy_slot : t.copies) {
      if (status.history.size() == attempt_history_limit) status.history.erase(status.history.begin());
      status.history.push_back(s.running_attempt(which, copy_slot));
    }
  }
  return status;
}

const dispatch_counters& dispatch_table::counters() const { return state_->counters; }
std::size_t dispatch_table::workers() const { return state_->workers.size(); }
std::size_t dispatch_table::free_slots() const { return state_->workers.free_slots(); }
std::size_t dispatch_table::in_flight() const { return state_->copies.size(); }
std::size_t dispatch_table::waiting() const { return state_->queue.size() - state_->running; }
std::size_t dispatch_table::suspects() const { return state_->suspected; }

} // namespace reseq::core
