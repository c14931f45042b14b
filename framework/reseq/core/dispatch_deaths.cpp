// What the death of a worker says about the work it had, and how suspects are told apart.
#include <algorithm>
#include <utility>

#include "reseq/core/dispatch_state.hpp"

namespace reseq::core {

using detail::no_slot;
using detail::slot;

namespace {

/// Where all workers that could do something else are rooms, the others have their turn after so many groups: enough to
/// find one killer among some thousand messages.
constexpr std::uint32_t patience = 16;

/// Work that ran beside others so recently is reason enough not to take workers from it all the time.
constexpr auto recently = std::chrono::seconds{10};

} // namespace

void dispatch_table::state::bury(slot worker, departure how, time_point now) {
  const auto had = tasks_at(worker);
  if (how == departure::lost)
    for (const auto which : had) note_loss(which);
  const auto room = suspects.owner(worker);
  const bool ran_suspects = room && !suspects.of(*room).clearing;
  const auto blamed = [&](slot which) { return may_have_killed(which, how); };
  const bool killed = how == departure::died || (!had.empty() && std::all_of(had.begin(), had.end(), blamed));
  const auto killer = ran_suspects && killed ? only_task(worker) : no_slot;
  if (killer != no_slot) convict(killer);
  if (ran_suspects && killed) rest_after_death(worker, now);
  if (killer != no_slot) {
    ++counters.crashed;
    const auto* end = how == departure::died ? "died" : "fell silent";
    fail_attempt(killer, "crashed", std::string{"its worker "} + end + ", and ran nothing else", now);
  } else {
    for (const auto which : had) {
      if (blamed(which)) strike(which);
      for (const auto copy_slot : attempt_copies{queue[which].copies})
        if (copies[copy_slot].worker == worker) lose_copy(which, copy_slot, how, now);
    }
  }
  while (!workers.copies(worker).empty()) {
    free_copy(workers.copies(worker).back());
    ++counters.orphaned;
  }
  stop_watching(worker);
  workers.leave(worker);
  if (room) suspects.vacate(*room);
  if (killer != no_slot) return;

  for (std::uint32_t p = 0; p < suspects.pipelines(); ++p) {
    auto group = set_apart(had, pipeline_index{p});
    if (!ran_suspects || *room != pipeline_index{p})
      suspects.add(pipeline_index{p}, std::move(group));
    else if (killed && group.size() > 1)
      suspects.add_halves(pipeline_index{p}, std::move(group));
    else
      suspects.add_first(pipeline_index{p}, std::move(group));
  }
}

std::vector<slot> dispatch_table::state::tasks_at(slot worker) const {
  std::vector<slot> tasks;
  for (const auto copy_slot : workers.copies(worker))
    for (const auto& l : legs(copy_slot))
      if (is_current(l)) tasks.push_back(l.task);
  std::sort(tasks.begin(), tasks.end(), [this](slot a, slot b) { return queue.key(a) < queue.key(b); });
  tasks.erase(std::unique(tasks.begin(), tasks.end()), tasks.end());
  return tasks;
}

slot dispatch_table::state::only_task(slot worker) const {
  if (workers.copies(worker).size() != 1) return no_slot;
  const auto copy_slot = workers.copies(worker).front();
  const auto& c = copies[copy_slot];
  if (c.unanswered != 1 || c.awaited != 1) return no_slot;
  const auto all = legs(copy_slot);
  const auto found = std::find_if(
    all.begin(), all.end(), [&](const dispatch_leg& l) { return is_current(l) && is_running(l.task, copy_slot); });
  return found->task;
}

void dispatch_table::state::strike(slot which) {
  auto& t = queue[which];
  if (t.accused()) return;
  ++t.deaths;
  if (!t.accused()) return;
  t.suspect = true;
  ++suspected;
  ++counters.suspected;
}

void dispatch_table::state::note_loss(slot which) {
  auto& t = queue[which];
  if (!t.lost_too_often()) ++t.losses;
}

void dispatch_table::state::isolate(slot which) {
  queue.isolate(which);
  if (is_quarantined(which))
    admit(which);
  else
    suspects.add(queue.pipeline(which), {{which, queue[which].life}});
}

suspect_group dispatch_table::state::set_apart(const std::vector<slot>& tasks, pipeline_index of) {
  suspect_group group;
  for (const auto which : tasks) {
    if (!queue.wants(which)) continue; // given up just now
    const auto& t = queue[which];
    if (queue.pipeline(which) != of || !t.suspect || t.phase != task_phase::due) continue;
    queue.isolate(which);
    group.push_back({which, t.life});
  }
  keep_quarantined(group);
  return group;
}

void dispatch_table::state::assign_suspects(time_point now, std::size_t limit, std::vector<dispatch>& out) {
  const auto count = suspects.pipelines();
  const auto pass = [&] {
    const auto first = suspects.first.value();
    for (std::uint32_t i = 0; i < count; ++i) run_suspects(pipeline_index{(first + i) % count}, now, limit, out);
  };
  suspects.vacated = false;
  pass();
  if (suspects.vacated) pass(); // somebody who was looked at before may have waited for that room
  if (std::exchange(suspects.yielded, false)) suspects.runs = 0;
}

void dispatch_table::state::run_suspects(pipeline_index pipeline, time_point now, std::size_t limit,
                                         std::vector<dispatch>& out) {
  auto& room = suspects.of(pipeline);
  while (out.size() < limit) {
    if (room.worker == no_slot && !find_room(pipeline)) return;
    const bool quiet = workers.awaited(room.worker) == 0;
    if (room.clearing && !quiet) {
      if (!some_wait(pipeline)) give_room_back(pipeline);
      return;
    }
    room.clearing = false;
    if (room.left.empty() && (!quiet || !find_group(pipeline))) return;
    if (workers.free_slots(room.worker) == 0) {
      if (quiet) give_room_back(pipeline); // all of its slots hang
      return;
    }
    if (take_message(room.left)) send(room.worker, false, now, out);
  }
}

bool dispatch_table::state::some_wait(pipeline_index pipeline) {
  const auto waits = [this](const suspect& s) { return still_waits(s); };
  return suspects.has_waiting(pipeline, waits) || quarantine.has_ready(pipeline, waits);
}

bool dispatch_table::state::find_room(pipeline_index pipeline) {
  if (!some_wait(pipeline)) return false;
  const auto doors = workers.offering(pipeline);
  if (doors.closed > 0 && doors.open < 2) return false; // other suspects have the rest
  const auto worker = workers.quietest(pipeline);
  if (worker == no_slot) return false;
  workers.close(worker);
  if (is_others_turn(worker)) {
    suspects.yielded = true;
    workers.reopen(worker);
    return false;
  }
  suspects.move_in(pipeline, worker, workers.awaited(worker) > 0);
  return true;
}

bool dispatch_table::state::find_group(pipeline_index pipeline) {
  const auto& room = suspects.of(pipeline);
  if (room.used && some_wait(pipeline) && is_others_turn(room.worker)) suspects.yielded = true;
  while (some_wait(pipeline) && (!room.used || (!suspects.yielded && !others_wait_for(room.worker, pipeline)))) {
    auto group = next_group(pipeline);
    if (group.empty()) continue; // all of it was in quarantine
    suspects.begin(pipeline, std::move(group));
    return true;
  }
  give_room_back(pipeline);
  return false;
}

suspect_group dispatch_table::state::next_group(pipeline_index pipeline) {
  if (suspects.has_groups(pipeline)) {
    auto group = suspects.take_next(pipeline);
    keep_quarantined(group);
    return group;
  }
  suspects.runs += patience; // then it is the others' turn

  // A room without a free slot is given back.
  const auto most = std::max(workers.free_slots(suspects.of(pipeline).worker), 1U);
  return quarantine.take(pipeline, most, [this](const suspect& s) { return still_waits(s); });
}

void dispatch_table::state::give_room_back(pipeline_index pipeline) {
  workers.reopen(suspects.of(pipeline).worker);
  suspects.vacate(pipeline);
}

/// Takes what is next, all chains of one message, into `batch`. False when nothing of `from` waits any more.
bool dispatch_table::state::take_message(suspect_group& from) {
  batch.clear();
  while (!from.empty()) {
    const auto next = from.front();
    const bool waits = still_waits(next);
    if (waits && !batch.empty() && queue[next.task].message != queue[batch.front()].message) break;
    if (waits) batch.push_back(next.task);
    from.pop_front();
  }
  return !batch.empty();
}

bool dispatch_table::state::is_others_turn(slot room) const {
  if (suspects.runs < patience) return false;
  const auto& offers = workers.offers(room);
  return std::any_of(offers.begin(), offers.end(), [this](pipeline_index p) {
    const bool due = queue.has_due(p, dispatch_rank::heads) || queue.has_due(p, dispatch_rank::others);
    return due && workers.offering(p).open == 0;
  });
}

bool dispatch_table::state::others_wait_for(slot room, pipeline_index but) const {
  const auto& offers = workers.offers(room);
  return std::any_of(offers.begin(), offers.end(), [&](pipeline_index p) {
    return p != but && !suspects.has_room(p) && (suspects.has_groups(p) || quarantine.is_ready(p));
  });
}

void dispatch_table::state::admit(slot which) {
  const auto key = queue.key(which);
  const auto& t = queue[which];
  quarantine.admit(key.pipeline, key.chain, key.at, {which, t.life}, t.trouble && t.trouble->crashed);
}

void dispatch_table::state::keep_quarantined(suspect_group& some) {
  if (quarantine.empty()) return;
  std::erase_if(some, [this](const suspect& s) {
    const bool keep = still_waits(s) && is_quarantined(s.task);
    if (keep) admit(s.task);
    return keep;
  });
}

bool dispatch_table::state::divert_quarantined() {
  const auto quarantined = std::erase_if(batch, [this](slot which) {
    if (!is_quarantined(which)) return false;
    queue[which].phase = task_phase::isolated;
    queue[which].suspect = true;
    admit(which);
    return true;
  });
  return quarantined > 0;
}

/// It killed its worker, alone.
void dispatch_table::state::convict(slot which) {
  auto& t = queue[which];
  make_trouble(which);
  quarantine.convict(queue.pipeline(which), t.chain, std::exchange(t.trouble->crashed, true));
  if (!t.accused()) ++suspected; // so far only its chain was
  t.deaths = deaths_of_a_suspect;
}

/// Its worker has survived it.
void dispatch_table::state::survive(slot which) {
  if (quarantine.empty()) return;
  const auto pipeline = queue.pipeline(which);
  suspect_group accused;
  for (const auto& freed : quarantine.survive(pipeline, queue[which].chain)) {
    if (!still_waits(freed)) continue;
    if (queue[freed.task].accused()) {
      accused.push_back(freed);
    } else {
      queue[freed.task].suspect = false;
      queue.make_due(freed.task);
    }
  }
  suspects.add(pipeline, std::move(accused));
}

void dispatch_table::state::rest_after_death(slot room, time_point now) {
  if (quarantine.empty()) return;
  for (const auto copy_slot : workers.copies(room))
    for (const auto& l : legs(copy_slot))
      if (is_current(l) && is_running(l.task, copy_slot) && is_quarantined(l.task)) {
        const auto pipeline = copies[copy_slot].pipeline;
        const auto other = recent.last_but(pipeline, l.chain);
        return quarantine.rest(pipeline, l.chain, other && now - *other <= recently, now); // all are of one chain
      }
}

/// From now on its pipeline's copies are counted as such that may hang, until it is done.
void dispatch_table::state::note_timeout(slot which) {
  make_trouble(which);
  if (!std::exchange(queue[which].trouble->timed_out, true)) ++timed_out[queue.pipeline(which).value()];
}

/// Somebody waits for it still.
void dispatch_table::state::mark_risky(slot copy_slot) {
  auto& c = copies[copy_slot];
  if (c.risky) return;
  c.risky = true;
  workers.count_risky(c.worker, c.pipeline, 1);
}

void dispatch_table::state::watch_anew(slot worker, worker_hang hangs, time_point now) {
  auto& w = workers.watched(worker);
  const auto earlier = w.until;
  const bool worse = w.seen == worker_hang::in_part && hangs == worker_hang::whole;
  stop_watching(worker);
  w.seen = hangs;
  if (hangs == worker_hang::none) return;
  // What others could do is kept up by a whole worker: only as long as an attempt may take.
  const auto& offers = workers.offers(worker);
  const bool shared = hangs == worker_hang::whole && offers.size() > 1;
  duration longest{};
  for (const auto p : offers)
    longest = std::max(longest, shared ? policies[p.value()].timeout : policies[p.value()].max_timeout);
  w.until = now + longest;
  if (worse && earlier) w.until = std::min(*w.until, *earlier);
  hanging.emplace(*w.until, worker);
}

void dispatch_table::state::stop_watching(slot worker) {
  auto& w = workers.watched(worker);
  if (w.until) hanging.erase({*w.until, worker});
  w = {};
}

void dispatch_table::state::find_hung(time_point now) {
  while (!hanging.empty() && hanging.begin()->first <= now) {
    const auto worker = hanging.begin()->second;
    hung.push_back(workers.id(worker));
    hanging.erase(hanging.begin()); // it is told once, unless it hangs otherwise meanwhile
    workers.watched(worker).until.reset();
  }
}

} // namespace reseq::core
