#include "workers.hpp"

#include <algorithm>
#include <memory>

#include "owner.hpp"
#include "violation.hpp"
#include "world.hpp"

namespace reseq::simulation {
namespace {

party party_of(std::uint32_t worker) { return static_cast<party>(first_worker + worker); }

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  auto z = a * 0x9e3779b97f4a7c15U + b * 0xbf58476d1ce4e5b9U + 0x94d049bb133111ebU;
  z = (z ^ (z >> 31U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 29U);
}

/// Another number in 0 to 999 for each `use` of the same luck.
std::uint32_t share(std::uint64_t luck, std::uint64_t use) { return static_cast<std::uint32_t>(mix(luck, use) % 1000); }

} // namespace

workers::workers(world& with) : world_(with), processes_(with.plan.workers) {}

void workers::find_owner() {
  seen_.clear();
  for (std::uint32_t w = 0; w < processes_.size(); ++w)
    if (processes_[w].alive) connect(w);
}

void workers::connect(std::uint32_t worker) {
  processes_[worker].is = state::connected;
  world_.mail.post(party_of(worker), dispatcher_party, [this, worker, at = ++processes_[worker].connection] {
    world_.boss->work.join(worker, at, world_.plan.slots);
  });
}

void workers::lose_owner() {
  for (auto& p : processes_) {
    p.is = state::gone;
    p.jobs.clear();
  }
}

void workers::ordered(std::uint32_t worker, std::uint32_t connection, const core::dispatch& copy) {
  auto& p = processes_[worker];
  if (p.is == state::gone || connection != p.connection) return;
  seen_.push_back(copy.id);
  const bool hangs =
    world_.fault(is_next_door(copy) ? world_.plan.outcomes.next_door_hangs : world_.plan.faults.worker_hangs);
  p.jobs.push_back({copy, 0, hangs});
  world_.tell("worker ", worker, " gets copy ", copy.id, " of ",
              is_next_door(copy) ? "the neighbour's position " : "position ", copy.at,
              hangs ? ", and hangs on it" : "");
  require(p.jobs.size() <= world_.plan.slots, "Bounded memory",
          [&] { return "worker " + std::to_string(worker) + " was given more than its slots"; });
}

std::uint32_t workers::busy() const {
  return static_cast<std::uint32_t>(std::ranges::count_if(
    processes_, [](const process& p) { return std::ranges::any_of(p.jobs, [](const job& j) { return !j.hangs; }); }));
}

bool workers::result_is_kept() const {
  return std::ranges::any_of(made_, [](const auto& result) { return !result.expired(); });
}

std::size_t workers::hanging() const {
  std::size_t count = 0;
  for (const auto& p : processes_) count += static_cast<std::size_t>(std::ranges::count(p.jobs, true, &job::hangs));
  return count;
}

void workers::work() {
  std::vector<std::pair<std::uint32_t, std::size_t>> running;
  for (std::uint32_t w = 0; w < processes_.size(); ++w)
    for (std::size_t j = 0; j < processes_[w].jobs.size(); ++j)
      if (!processes_[w].jobs[j].hangs) running.emplace_back(w, j);
  const auto [worker, index] = running[world_.choose.below(static_cast<std::uint32_t>(running.size()))];
  auto& jobs = processes_[worker].jobs;
  const auto& chosen = jobs[index];
  if (kills(chosen)) {
    world_.tell("worker ", worker, " is killed by position ", chosen.copy.at, ", chain ",
                chosen.copy.chains[chosen.next]);
    return end(worker, freezes(chosen.copy) ? core::departure::lost : core::departure::died);
  }
  const auto item = run(jobs[index]);
  if (++jobs[index].next == jobs[index].copy.chains.size())
    jobs.erase(jobs.begin() + static_cast<std::ptrdiff_t>(index));
  send(worker, item);
  tamper(worker, item);
}

answer workers::run(const job& of) {
  const auto& copy = of.copy;
  answer made{copy.id, of.next, core::attempt_end::done, {}};
  const auto chain = copy.chains[of.next];
  if (world_.fault(world_.plan.faults.transform_fails)) {
    made.end = core::attempt_end::failed;
    return made;
  }
  if (is_next_door(copy)) return made;
  const auto steady = mix(copy.at.value(), chain.value());
  const bool fickle = world_.plan.outcomes.fickle && !world_.calm;
  const auto luck = fickle ? mix(steady, world_.choose.below(64)) : steady;
  if (share(luck, 1) < world_.plan.outcomes.never_works)
    made.end = core::attempt_end::permanent;
  else
    made.made = result_of(copy.at, chain, luck);
  made.took = std::chrono::milliseconds{share(luck, 30) % 20};
  return made;
}

core::work_result workers::result_of(position at, core::chain_index chain, std::uint64_t luck) {
  core::work_result made;
  if (share(luck, 2) < world_.plan.outcomes.drops) return made;
  content body;
  body.payload.assign(luck % (world_.plan.largest_message + 1), 'r');
  body.content_type = std::to_string(at.value()) + "/" + std::to_string(chain.value());
  made.body = std::make_shared<const content>(std::move(body));
  made_.push_back(made.body);
  if (share(luck, 3) >= world_.plan.outcomes.narrows) return made;
  made.only_to.emplace();
  for (const auto& d : world_.plan.destinations)
    if (share(luck, 3 + d.id.value()) < 500) made.only_to->push_back(d.id);
  return made;
}

void workers::send(std::uint32_t worker, const answer& item) {
  world_.tell("worker ", worker, " answers copy ", item.dispatch, ", chain ", item.chain,
              item.end != core::attempt_end::done ? ": it failed" : (item.made.body ? "" : ": dropped"));
  world_.mail.post(party_of(worker), dispatcher_party,
                   [this, worker, item] { world_.boss->work.answered(worker, item); });
}

/// Answers twice, or for a copy that another worker has, or that nobody has any more.
void workers::tamper(std::uint32_t worker, const answer& item) {
  if (world_.fault(world_.plan.faults.answers_twice)) send(worker, item);
  if (!world_.fault(world_.plan.faults.answers_for_others)) return;
  auto foreign = item;
  foreign.dispatch = seen_[world_.choose.below(static_cast<std::uint32_t>(seen_.size()))];
  const auto own =
    std::ranges::any_of(processes_[worker].jobs, [&](const job& j) { return j.copy.id == foreign.dispatch; });
  if (!own) send(worker, foreign);
}

bool workers::kills(const job& of) const {
  const auto& copy = of.copy;
  if (!is_next_door(copy)) return is_poison(copy.at) || is_deadly(copy.at, copy.chains[of.next]);
  return !world_.calm && share(mix(copy.at.value(), 79), 4) < world_.plan.outcomes.next_door_kills;
}

bool workers::is_poison(position at) const { return share(mix(at.value(), 77), 4) < world_.plan.outcomes.poison; }

bool workers::freezes(const core::dispatch& copy) const {
  return share(mix(copy.at.value(), 80), 4) < world_.plan.outcomes.freezes;
}

bool workers::is_deadly(position at, core::chain_index chain) const {
  const auto first = std::ranges::find(world_.plan.destinations, true, &destination_plan::own_chain);
  return !world_.calm && first != world_.plan.destinations.end() && chain.value() == first->id.value() &&
         share(mix(at.value(), 78), 4) < world_.plan.outcomes.deadly;
}

void workers::die() {
  const auto worker = world_.choose.below(static_cast<std::uint32_t>(processes_.size()));
  if (!processes_[worker].alive) return;
  world_.tell("worker ", worker, " dies");
  end(worker, core::departure::died);
}

/// Its heartbeats stay out, and it is given up; what it had goes on running for nobody, as if it were not there.
void workers::fall_silent() {
  const auto worker = world_.choose.below(static_cast<std::uint32_t>(processes_.size()));
  if (!processes_[worker].alive) return;
  world_.tell("worker ", worker, " is cut off");
  end(worker, core::departure::lost);
}

void workers::end(std::uint32_t worker, core::departure how) {
  auto& p = processes_[worker];
  p.alive = false;
  p.jobs.clear();
  restart_later(worker);
  if (p.is == state::gone) return;
  if (p.is == state::leaving) how = core::departure::left; // it had said so
  p.is = state::gone;
  world_.mail.cut(dispatcher_party, party_of(worker));
  if (world_.choose.chance(500)) world_.mail.cut(party_of(worker), dispatcher_party);
  world_.mail.post(party_of(worker), dispatcher_party, [this, worker, how] { world_.boss->work.down(worker, how); });
}

void workers::restart_later(std::uint32_t worker) {
  const auto after = std::chrono::milliseconds{50 + world_.choose.below(2000)};
  world_.mail.ring_at(world_.now + after, party_of(worker), [this, worker] {
    if (processes_[worker].alive) return;
    processes_[worker].alive = true;
    if (world_.boss) connect(worker);
  });
}

void workers::retire() {
  const auto worker = world_.choose.below(static_cast<std::uint32_t>(processes_.size()));
  auto& p = processes_[worker];
  if (!p.alive || p.is != state::connected) return;
  world_.tell("worker ", worker, " is leaving");
  p.is = state::leaving;
  world_.mail.post(party_of(worker), dispatcher_party, [this, worker] { world_.boss->work.retire(worker); });
}

void workers::recover() {
  for (std::uint32_t w = 0; w < processes_.size(); ++w) {
    auto& p = processes_[w];
    const bool for_ever = w > 0 && world_.choose.chance(500); // the first has room for everything
    for (auto& j : p.jobs) j.hangs = j.hangs && for_ever;
    if (p.is == state::leaving) { // it ends, and another one is started
      p.jobs.clear();
      p.is = state::gone;
      world_.mail.cut(dispatcher_party, party_of(w));
      world_.mail.post(party_of(w), dispatcher_party, [this, w] { world_.boss->work.down(w, core::departure::left); });
      connect(w);
    }
  }
}

} // namespace reseq::simulation
