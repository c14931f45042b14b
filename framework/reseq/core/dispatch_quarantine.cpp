#include "reseq/core/dispatch_quarantine.hpp"

#include <algorithm>
#include <chrono>

namespace reseq::core {
namespace {

/// One that kills its worker outweighs so many that do not: a chain with more than one in a hundred is quarantined most
/// of the time.
constexpr std::uint32_t guilt_of_a_killer = 128;
/// Two killers with at most 64 others between them.
constexpr std::uint32_t too_much = 192;
/// However many there were, 33 others in a row end it.
constexpr std::uint32_t most_guilt = 224;

constexpr duration shortest_rest = std::chrono::seconds{1};
constexpr duration longest_rest = std::chrono::seconds{4};

} // namespace

void dispatch_quarantine::convict(pipeline_index pipeline, chain_index chain, bool again) {
  auto* known = find(pipeline, chain);
  if (again && (known == nullptr || !known->quarantined)) return; // one message is no reason
  if (known == nullptr) {
    known = &pipelines_[pipeline.value()].wards[chain];
    known->pipeline = pipeline;
    ++wards_;
  }
  known->guilt = std::min(known->guilt + guilt_of_a_killer, most_guilt);
  if (known->quarantined || known->guilt < too_much) return;
  known->quarantined = true;
  known->together = 1;
  changes_.push_back({pipeline, chain, true});
}

suspect_group dispatch_quarantine::survive(pipeline_index pipeline, chain_index chain) {
  suspect_group freed;
  auto* w = find(pipeline, chain);
  if (w == nullptr) return freed;
  ++w->together;
  w->pause = {};
  if (--w->guilt >= too_much) return freed;
  if (w->quarantined) {
    w->waiting.merge(w->guilty);
    for (const auto& [at, who] : w->waiting) freed.push_back(who);
    w->waiting.clear();
    w->quarantined = false;
    w->together = 1;
    if (w->rests_until) resting_.erase({*w->rests_until, pipeline, chain});
    w->rests_until.reset();
    count_ready(*w);
    changes_.push_back({pipeline, chain, false});
  }
  if (w->guilt > 0) return freed;
  pipelines_[pipeline.value()].wards.erase(chain);
  --wards_;
  return freed;
}

void dispatch_quarantine::rest(pipeline_index pipeline, chain_index chain, bool others, time_point now) {
  auto* w = find(pipeline, chain);
  if (w == nullptr || !w->quarantined) return;
  w->together = 1;
  if (!others) return;
  w->pause = std::clamp(2 * w->pause, shortest_rest, longest_rest);
  if (w->rests_until) resting_.erase({*w->rests_until, pipeline, chain});
  w->rests_until = now + w->pause;
  resting_.emplace(*w->rests_until, pipeline, chain);
  count_ready(*w);
}

bool dispatch_quarantine::holds(pipeline_index pipeline, chain_index chain) const {
  const auto& wards = pipelines_[pipeline.value()].wards;
  const auto found = wards.find(chain);
  return found != wards.end() && found->second.quarantined;
}

std::optional<time_point> dispatch_quarantine::rests_until(pipeline_index pipeline, chain_index chain) const {
  const auto& wards = pipelines_[pipeline.value()].wards;
  const auto found = wards.find(chain);
  return found == wards.end() ? std::nullopt : found->second.rests_until;
}

void dispatch_quarantine::admit(pipeline_index pipeline, chain_index chain, position at, suspect who, bool guilty) {
  auto& w = *find(pipeline, chain);
  (guilty ? w.guilty : w.waiting).insert_or_assign(at, who);
  (guilty ? w.waiting : w.guilty).erase(at); // one that was withdrawn
  count_ready(w);
}

void dispatch_quarantine::wake(time_point now) {
  while (!resting_.empty() && std::get<time_point>(*resting_.begin()) <= now) {
    const auto [at, pipeline, chain] = *resting_.begin();
    resting_.erase(resting_.begin());
    auto& w = *find(pipeline, chain);
    w.rests_until.reset();
    count_ready(w);
  }
}

std::optional<time_point> dispatch_quarantine::next_wake() const {
  if (resting_.empty()) return std::nullopt;
  return std::get<time_point>(*resting_.begin());
}

dispatch_quarantine::ward* dispatch_quarantine::find(pipeline_index pipeline, chain_index chain) {
  auto& wards = pipelines_[pipeline.value()].wards;
  const auto found = wards.find(chain);
  return found == wards.end() ? nullptr : &found->second;
}

dispatch_quarantine::ward& dispatch_quarantine::next_ready(pipeline_index pipeline) {
  auto& p = pipelines_[pipeline.value()];
  const auto is_ready = [](const auto& entry) { return entry.second.ready; };
  auto next = std::find_if(p.wards.upper_bound(p.last), p.wards.end(), is_ready);
  if (next == p.wards.end()) next = std::find_if(p.wards.begin(), p.wards.end(), is_ready);
  p.last = next->first;
  return next->second;
}

void dispatch_quarantine::count_ready(ward& w) {
  const bool ready = (!w.waiting.empty() || !w.guilty.empty()) && !w.rests_until;
  if (ready == w.ready) return;
  w.ready = ready;
  auto& of_its_pipeline = pipelines_[w.pipeline.value()].ready;
  of_its_pipeline = ready ? of_its_pipeline + 1 : of_its_pipeline - 1;
  ready_ = ready ? ready_ + 1 : ready_ - 1;
}

} // namespace reseq::core
