#include "reseq/core/dispatch_hedges.hpp"

#include <algorithm>
#include <utility>

#include "reseq/core/dispatch_state.hpp"

namespace reseq::core {

using detail::no_slot;
using detail::slot;

namespace {

constexpr std::uint32_t copies_a_hedge = 20;
constexpr std::uint32_t largest_burst = 8;

} // namespace

void dispatch_hedges::dispatched(pipeline_index pipeline) {
  auto& credit = pipelines_[pipeline.value()].credit;
  credit = std::min(credit + 1, copies_a_hedge * largest_burst);
}

bool dispatch_hedges::may_hedge(pipeline_index pipeline) const {
  return pipelines_[pipeline.value()].credit >= copies_a_hedge;
}

void dispatch_hedges::hedged(pipeline_index pipeline) { pipelines_[pipeline.value()].credit -= copies_a_hedge; }

void dispatch_hedges::add_overdue(pipeline_index pipeline, overdue_head one) {
  pipelines_[pipeline.value()].overdue.push_back(one);
  ++overdue_;
}

void dispatch_hedges::drop_overdue(pipeline_index pipeline) {
  pipelines_[pipeline.value()].overdue.pop_front();
  --overdue_;
}

void dispatch_hedges::took(pipeline_index pipeline, chain_index chain, duration time) {
  auto& p = pipelines_[pipeline.value()];
  (chain.value() == 0 ? p.common : p.own[chain]).add(time);
}

std::optional<duration> dispatch_hedges::patience(pipeline_index pipeline, chain_index chain) const {
  const auto& p = pipelines_[pipeline.value()];
  if (chain.value() == 0) return p.common.p95();
  const auto found = p.own.find(chain);
  return found == p.own.end() ? std::nullopt : found->second.p95();
}

bool dispatch_table::state::may_kill(slot which) const {
  const auto& t = queue[which];
  return t.deaths > 0 || t.suspect || (!quarantine.empty() && is_quarantined(which));
}

void dispatch_table::state::arm_hedge(slot which) {
  const auto& t = queue[which];
  const auto pipeline = queue.pipeline(which);
  // What may have killed a worker is not sent to a second one.
  auto& held = holding[t.holds_back];
  if (!policies[pipeline.value()].hedge || !t.head || may_kill(which) || held.timer_place != no_slot) return;
  if (t.copies.size() == attempt_copies::most) return;
  const auto patience = hedges.patience(pipeline, t.chain);
  if (!patience) return;
  hedge_timers.push(std::max(copies[t.copies.latest()].started, held.since) + *patience, which, hedge_place());
}

void dispatch_table::state::disarm_hedge(slot which) {
  const auto held = queue[which].holds_back;
  if (holding[held].timer_place == no_slot) return;
  hedge_timers.erase(holding[held].timer_place, hedge_place());
  holding[held].timer_place = no_slot;
}

void dispatch_table::state::find_overdue(time_point now) {
  while (!hedge_timers.empty() && hedge_timers.top_key() <= now) {
    const auto which = hedge_timers.top();
    disarm_hedge(which);
    const auto& t = queue[which];
    hedges.add_overdue(queue.pipeline(which), {which, t.life, id_of(t.copies.latest())});
  }
}

void dispatch_table::state::assign_hedges(time_point now, std::size_t limit, std::vector<dispatch>& out) {
  const auto still_runs = [this](const overdue_head& h) {
    const auto& t = queue[h.task];
    return queue.is(h.task, h.life) && t.phase == task_phase::running && id_of(t.copies.latest()) == h.copy &&
           !may_kill(h.task);
  };
  for (std::uint32_t i = 0; i < hedges.pipelines(); ++i) {
    const pipeline_index pipeline{i};
    const auto& overdue = hedges.overdue(pipeline);
    while (!overdue.empty() && out.size() < limit) {
      const auto which = overdue.front().task;
      if (still_runs(overdue.front())) {
        if (!hedges.may_hedge(pipeline) || !workers.has_free(pipeline)) break;
        batch.assign(1, which);
        send(workers.pick(pipeline, copies[queue[which].copies.latest()].worker, random), true, now, out);
        hedges.hedged(pipeline);
        ++counters.hedged;
      }
      hedges.drop_overdue(pipeline);
    }
  }
}

} // namespace reseq::core
