// Attempts: how they start, how they end, and what follows.
#include <algorithm>
#include <utility>

#include "reseq/core/dispatch_state.hpp"
#include "reseq/core/retry_policy.hpp"

namespace reseq::core {

using detail::no_slot;
using detail::slot;

namespace {

const char* outcome_of(departure how) {
  switch (how) {
  case departure::died: return "worker died";
  case departure::lost: return "worker lost";
  case departure::left: return "worker left";
  }
  return "worker gone";
}

std::string timeout_text(duration limit) {
  return "no answer within " + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(limit).count()) +
         " ms";
}

} // namespace

dispatch_leg* dispatch_table::state::find_leg(slot copy_slot, chain_index chain) {
  const auto all = legs(copy_slot);
  const auto found = std::lower_bound(all.begin(), all.end(), chain,
                                      [](const dispatch_leg& l, chain_index wanted) { return l.chain < wanted; });
  return found == all.end() || found->chain != chain || found->task == no_slot ? nullptr : &*found;
}

/// `no_slot` when the worker does not have it.
slot dispatch_table::state::find_copy(worker_id worker, dispatch_id id) const {
  const auto which = static_cast<slot>(id.value());
  if (!copies.has(which)) return no_slot;
  const auto& c = copies[which];
  return id_of(which) == id && c.worker != no_slot && workers.id(c.worker) == worker ? which : no_slot;
}

void dispatch_table::state::set_timer(slot which, time_point at) {
  timers.push(at, which, [this](slot s) -> std::uint32_t& { return queue[s].timer_place; });
}

void dispatch_table::state::stop_timer(slot which) {
  timers.erase(queue[which].timer_place, [this](slot s) -> std::uint32_t& { return queue[s].timer_place; });
  queue[which].timer_place = no_slot;
}

bool dispatch_table::state::assign_rank(dispatch_rank rank, time_point now, std::size_t limit,
                                        std::vector<dispatch>& out) {
  bool diverted = false;
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
    queue.take_next(pipeline, rank, batch);
    if (!quarantine.empty() && divert_quarantined()) {
      diverted = true;
      if (batch.empty()) continue;
    }
    for (const auto which : batch) recent.ran(pipeline, queue[which].chain, now);
    hedges.dispatched(pipeline);
    send(workers.pick(pipeline, worker_to_avoid(), random), false, now, out);
  }
  turns.insert(turns.begin(), blocked.begin(), blocked.end()); // they come first when a slot is free for them
  return diverted;
}

void dispatch_table::state::send(slot worker, bool hedge, time_point now, std::vector<dispatch>& out) {
  const auto key = queue.key(batch.front());
  const auto pipeline = key.pipeline;
  const auto copy_slot = copies.add();
  auto& c = copies[copy_slot];
  ++c.uses;
  c.pipeline = pipeline;
  c.worker = worker;
  c.worker_place = workers.occupy(worker, copy_slot);
  c.chains = static_cast<std::uint32_t>(batch.size());
  c.unanswered = c.chains;
  c.awaited = c.chains & most_chains;
  c.hedge = hedge;
  c.risky = false;
  c.started = now;
  if (c.chains > 1) legs_of_many[copy_slot].resize(c.chains);
  workers.count_awaited(worker, 1);
  if (timed_out[pipeline.value()] > 0) mark_risky(copy_slot);
  ++counters.dispatched;

  auto& sent = out.emplace_back();
  sent.id = id_of(copy_slot);
  sent.worker = workers.id(worker);
  sent.pipeline = pipeline;
  sent.at = key.at;
  sent.message = queue.content(batch.front());
  sent.hedge = hedge;
  sent.suspect = queue[batch.front()].suspect;
  auto leg = legs(copy_slot).begin();
  for (auto which : batch) {
    auto& t = queue[which];
    *leg++ = {t.chain, which, t.life};
    sent.chains.push_back(t.chain);
    sent.number = std::max(sent.number, attempt{t.failed()} + 1);
    if (!hedge) start(which, now);
    t.copies.add(copy_slot);
    if (queue[which].holds_back != no_slot) arm_hedge(which);
  }
}

void dispatch_table::state::start(slot which, time_point now) {
  auto& t = queue[which];
  t.phase = task_phase::running;
  ++running;
  set_timer(which, now + attempt_timeout(policies[queue.pipeline(which).value()], attempt{t.failed()} + 1));
}

slot dispatch_table::state::worker_to_avoid() const {
  const auto tried_most = *std::max_element(batch.begin(), batch.end(),
                                            [this](slot a, slot b) { return queue[a].failed() < queue[b].failed(); });
  return queue[tried_most].failed() > 0 ? workers.find(queue[tried_most].trouble->last_worker) : no_slot;
}

std::optional<answered_task> dispatch_table::state::settle(slot which, slot copy_slot, attempt_end end,
                                                           std::string& error, time_point now) {
  const auto key = queue.key(which);
  if (end == attempt_end::done) {
    ++counters.done;
    if (take_hedge(copy_slot)) ++counters.hedges_won;
    survive(which);
    return answered_task{key, abandon(which, copy_slot, now)};
  }
  // The attempt of a copy that timed out has failed already.
  if (!is_running(which, copy_slot)) return std::nullopt;
  answered_task counted{key, {queue.content(which), queue[which].asked}};
  queue[which].permanent = queue[which].permanent || end == attempt_end::permanent;
  survive(which);
  clear(which); // its worker has survived it
  if (goes_on_without(which, copy_slot, "failed", error, now)) {
    if (end == attempt_end::permanent) queue[which].trouble->last_error = std::move(error);
    return counted;
  }
  ++counters.failed;
  fail_attempt(which, "failed", std::move(error), now);
  return counted;
}

void dispatch_table::state::fail_attempt(slot which, const char* outcome, std::string error, time_point now) {
  record(which, queue[which].copies.first(), outcome, error, now);
  count_failed_hedge(queue[which].copies.first());
  stop_running(which);
  auto& t = queue[which];
  t.trouble->last_error = std::move(error);
  ++t.trouble->failed;
  if (t.permanent) {
    t.phase = task_phase::spent;
  } else {
    t.phase = task_phase::backing_off;
    const auto delay = retry_delay(policies[queue.pipeline(which).value()], attempt{t.failed()}, random.share());
    set_timer(which, now + delay);
  }
  give_up_if_hopeless(which, now);
}

void dispatch_table::state::time_out(slot which, time_point now) {
  const auto limit = attempt_timeout(policies[queue.pipeline(which).value()], attempt{queue[which].failed()} + 1);
  const auto copy_slot = queue[which].copies.first();
  const auto worker = copies[copy_slot].worker;
  note_timeout(which);
  mark_risky(copy_slot);
  if (!goes_on_without(which, copy_slot, "timed out", timeout_text(limit), now)) {
    ++counters.timed_out;
    fail_attempt(which, "timed out", timeout_text(limit), now);
  }
  watch(worker, now);
}

void dispatch_table::state::lose_copy(slot which, slot copy_slot, departure how, time_point now) {
  const auto* outcome = outcome_of(how);
  if (goes_on_without(which, copy_slot, outcome, {}, now)) return;
  if (queue[which].permanent) { // said by another copy, and no other is left to prove it wrong
    ++counters.failed;
    return fail_attempt(which, outcome, std::move(queue[which].trouble->last_error), now);
  }
  record(which, copy_slot, outcome, {}, now);
  count_failed_hedge(copy_slot);
  stop_running(which);
  queue.make_due(which);
}

bool dispatch_table::state::goes_on_without(slot which, slot copy_slot, const char* outcome, const std::string& error,
                                            time_point now) {
  auto& t = queue[which];
  if (t.copies.size() < 2) return false;
  record(which, copy_slot, outcome, error, now);
  count_failed_hedge(copy_slot);
  stop_awaiting(copy_slot);
  t.copies.remove(copy_slot);
  stop_timer(which);
  set_timer(which, copies[t.copies.first()].started +
                     attempt_timeout(policies[queue.pipeline(which).value()], attempt{t.failed()} + 1));
  return true;
}

void dispatch_table::state::stop_running(slot which) {
  auto& t = queue[which];
  stop_timer(which);
  if (t.holds_back != no_slot) disarm_hedge(which);
  --running;
  for (const auto copy_slot : t.copies) stop_awaiting(copy_slot);
  t.copies.clear();
}

void dispatch_table::state::stop_awaiting(slot copy_slot) {
  if (take_hedge(copy_slot)) ++counters.hedges_lost;
  auto& c = copies[copy_slot];
  if (--c.awaited > 0) return;
  workers.count_awaited(c.worker, -1);
  if (c.risky) workers.count_lost(c.worker, c.pipeline, 1);
}

void dispatch_table::state::count_failed_hedge(slot copy_slot) {
  if (take_hedge(copy_slot)) ++counters.hedges_failed;
}

attempt_record dispatch_table::state::running_attempt(slot which, slot copy_slot) const {
  const auto& c = copies[copy_slot];
  return {attempt{queue[which].failed()} + 1, workers.id(c.worker), c.started, std::nullopt, "running", {}, c.hedge};
}

void dispatch_table::state::make_trouble(slot which) {
  auto& t = queue[which];
  if (t.trouble) return;
  t.trouble = std::make_unique<task_trouble>();
  t.trouble->first_started = copies[t.copies.first()].started;
}

void dispatch_table::state::record(slot which, slot copy_slot, const char* outcome, const std::string& error,
                                   time_point now) {
  auto& t = queue[which];
  make_trouble(which);
  t.trouble->last_worker = workers.id(copies[copy_slot].worker);
  auto& history = t.trouble->history;
  if (history.size() == attempt_history_limit) history.erase(history.begin());
  auto ended = running_attempt(which, copy_slot);
  ended.ended = now;
  ended.outcome = outcome;
  ended.error = error;
  history.push_back(std::move(ended));
}

void dispatch_table::state::make_head(slot which, time_point now) {
  queue.raise_to_head(which);
  give_up_if_hopeless(which, now);
}

void dispatch_table::state::make_due(slot which, time_point now) {
  auto& t = queue[which];
  if (t.accused() && !t.head &&
      exhausted(policies[queue.pipeline(which).value()], t.failed(), now - t.trouble->first_started)) {
    t.phase = task_phase::spent; // no outage that may be over by now: it would kill a worker each time
    return;
  }
  queue.make_due(which);
  if (t.suspect) isolate(which);
}

void dispatch_table::state::give_up_if_hopeless(slot which, time_point now) {
  auto& t = queue[which];
  if (!t.head || t.phase == task_phase::running || !t.trouble) return;
  const auto& policy = policies[queue.pipeline(which).value()];
  if (!t.permanent && !exhausted(policy, t.failed(), now - t.trouble->first_started)) return;
  given_up lost{queue.key(which), t.failed(), std::move(t.trouble->last_error), std::move(t.trouble->history), {},
                t.permanent};
  lost.work = forget(which);
  hopeless.push_back(std::move(lost));
  ++counters.given_up;
}

task_work dispatch_table::state::forget(slot which) {
  const auto& t = queue[which];
  if (t.phase == task_phase::running) stop_running(which);
  if (t.phase == task_phase::backing_off) stop_timer(which);
  if (t.trouble && t.trouble->timed_out) --timed_out[queue.pipeline(which).value()];
  if (t.holds_back != no_slot) holding.remove(t.holds_back);
  clear(which);
  return queue.forget(which);
}

/// Forgets it, and may leave a copy of it behind that nobody waits for any more, besides the one that was `answered`.
task_work dispatch_table::state::abandon(slot which, slot answered, time_point now) {
  const auto left = queue[which].copies;
  auto work = forget(which);
  const auto busy = answered == no_slot ? no_slot : copies[answered].worker; // is looked at once the copy is free
  for (const auto copy_slot : left)
    if (copies[copy_slot].worker != busy) watch(copies[copy_slot].worker, now);
  return work;
}

void dispatch_table::state::free_copy(slot which) {
  auto& c = copies[which];
  if (c.chains > 1) legs_of_many.erase(which);
  if (c.risky && c.awaited == 0) workers.count_lost(c.worker, c.pipeline, -1);
  if (c.risky) workers.count_risky(c.worker, c.pipeline, -1);
  const auto moved = workers.release(c.worker, c.worker_place);
  if (moved != no_slot) copies[moved].worker_place = c.worker_place;
  c.worker = no_slot;
  copies.remove(which);
}

} // namespace reseq::core
