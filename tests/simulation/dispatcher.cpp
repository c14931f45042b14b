#include <algorithm>
#include <utility>

#include "owner.hpp"
#include "violation.hpp"
#include "world.hpp"

namespace reseq::simulation {
namespace {

constexpr auto promise = "Dispatch";

} // namespace

dispatcher::dispatcher(world& with)
  : world_(with), table_(with.choose.below(1U << 20U)), pipeline_(table_.add_pipeline(with.plan.retry)) {}

void dispatcher::want(std::vector<core::work_key> withdrawn, std::vector<core::work_request> work,
                      std::vector<core::work_key> heads, std::vector<core::work_key> holding) {
  for (const auto& [at, chain] : withdrawn) {
    table_.withdraw({pipeline_, at, chain}, world_.now);
    forget(at, chain);
  }
  for (auto& wanted : work) {
    auto& j = jobs_[wanted.at];
    j.message = std::move(wanted.message);
    if (auto* known = find(wanted.at, wanted.chain))
      known->asked = wanted.asked;
    else
      j.wanted.push_back({wanted.chain, wanted.asked, sent_, std::nullopt, 0, 0, false});
    table_.submit({pipeline_, wanted.at, wanted.chain}, wanted.head, world_.now);
  }
  for (const auto& [at, chain] : heads) table_.make_head({pipeline_, at, chain}, world_.now);
  for (const auto& [at, chain] : holding) {
    table_.hold_back({pipeline_, at, chain}, world_.now);
    if (auto* wanted = find(at, chain)) wanted->holds_back = true;
  }
  perform();
}

dispatcher::wish* dispatcher::find(position at, core::chain_index chain) {
  const auto found = jobs_.find(at);
  if (found == jobs_.end()) return nullptr;
  auto& wanted = found->second.wanted;
  const auto which = std::ranges::find(wanted, chain, &wish::chain);
  return which == wanted.end() ? nullptr : &*which;
}

core::asking dispatcher::forget(position at, core::chain_index chain) {
  const auto* wanted = find(at, chain);
  if (wanted == nullptr) return {};
  const auto asked = wanted->asked;
  auto& wishes = jobs_.at(at).wanted;
  std::erase_if(wishes, [&](const wish& w) { return w.chain == chain; });
  if (wishes.empty()) jobs_.erase(at);
  return asked;
}

void dispatcher::join(std::uint32_t worker, std::uint32_t connection, std::uint32_t slots) {
  down(worker, core::departure::lost);
  const auto id = table_.join(slots, {pipeline_});
  peers_.emplace(worker, peer{id, connection});
  addresses_.emplace(id, worker);
  world_.tell("worker ", worker, " joins");
  perform();
}

void dispatcher::down(std::uint32_t worker, core::departure how) {
  const auto found = peers_.find(worker);
  if (found == peers_.end()) return;
  const auto id = found->second.id;
  const auto crashed = table_.counters().crashed;
  const bool alone = how == core::departure::died && strike(id);
  std::erase_if(flights_, [&](const auto& entry) { return entry.second.worker == id; });
  addresses_.erase(id);
  peers_.erase(found);
  table_.leave(id, how, world_.now);
  require(table_.counters().crashed == crashed || (alone && table_.counters().crashed == crashed + 1), promise, [&] {
    return "something was blamed for the death of worker " + std::to_string(worker) + ", and not alone there";
  });
  perform();
}

bool dispatcher::strike(worker_id dead) {
  std::size_t unanswered = 0;
  bool suspects = true;
  std::vector<wish*> had;
  for (const auto& [copy, flown] : flights_) {
    if (flown.worker != dead) continue;
    suspects = suspects && flown.of_suspects;
    unanswered += flown.unanswered;
    for (const auto& chain : flown.chains) {
      auto* wanted = chain ? find(flown.at, *chain) : nullptr;
      if (wanted != nullptr && wanted->after < flown.number && std::ranges::find(had, wanted) == had.end())
        had.push_back(wanted);
    }
  }
  for (auto* wanted : had) ++wanted->deaths;
  return suspects && unanswered == 1;
}

/// A suspect was on two workers that died, or its chain is quarantined, or was when it began to wait.
void dispatcher::check_suspicion(const core::dispatch& copy, core::chain_index chain, const wish& wanted) const {
  const auto known = quarantined_.find(chain);
  const bool accused = wanted.deaths >= 2;
  const bool has_to_be = accused || (known != quarantined_.end() && known->second);
  const bool may_be = accused || known != quarantined_.end();
  require(copy.hedge || (copy.suspect ? may_be : !has_to_be), promise, [&] {
    return "position " + std::to_string(copy.at.value()) + (copy.suspect ? " is a suspect for no reason" : " is none");
  });
}

/// Suspects run beside nothing else that might still be running, and nothing else beside them.
void dispatcher::check_company(const core::dispatch& copy, bool of_suspects) const {
  for (const auto& [other, flown] : flights_) {
    const bool beside = flown.worker == copy.worker && flown.of_suspects != of_suspects;
    require(!beside || world_.now - flown.sent >= world_.plan.retry.timeout || !is_wanted(flown), promise, [&] {
      return "position " + std::to_string(copy.at.value()) + " runs beside position " +
             std::to_string(flown.at.value()) + ", and one of them is a suspect";
    });
  }
}

void dispatcher::check_first_copy(const core::dispatch& copy, wish& wanted) {
  ++wanted.sent;
  require(!runs_in_time(copy.at, wanted), promise, [&] {
    return "position " + std::to_string(copy.at.value()) +
           " was dispatched again while a copy of it was running in time";
  });
}

void dispatcher::check_hedge(const core::dispatch& copy, const wish& wanted) const {
  require(world_.plan.retry.hedge && wanted.holds_back && wanted.deaths == 0 && wanted.sent > 0, promise,
          [&] { return "position " + std::to_string(copy.at.value()) + " got a second copy without a reason"; });
}

bool dispatcher::runs_in_time(position at, const wish& wanted) const {
  for (const auto& [copy, flown] : flights_) {
    if (flown.number > wanted.after && flown.at == at && world_.now - flown.sent < world_.plan.retry.timeout &&
        std::ranges::find(flown.chains, wanted.chain) != flown.chains.end())
      return true;
  }
  return false;
}

std::uint32_t dispatcher::attempts(position at, core::chain_index chain) const {
  const auto known = table_.inspect({pipeline_, at, chain});
  return known ? known->attempts : 0;
}

void dispatcher::check_attempts(position at, core::chain_index chain, std::uint32_t before) const {
  const auto found = jobs_.find(at);
  if (found == jobs_.end()) return;
  const auto wanted = std::ranges::find(found->second.wanted, chain, &wish::chain);
  if (wanted == found->second.wanted.end()) return;
  const auto now = attempts(at, chain);
  require(now <= wanted->sent, promise, [&] {
    return "position " + std::to_string(at.value()) + " has " + std::to_string(now) + " failed attempts of " +
           std::to_string(wanted->sent);
  });
  require(now == before || !runs_in_time(at, *wanted), promise, [&] {
    return "an attempt of position " + std::to_string(at.value()) + " is over while a copy of it is running in time";
  });
}

bool dispatcher::is_wanted(const flight& flown) const {
  const auto found = jobs_.find(flown.at);
  return found != jobs_.end() && std::ranges::any_of(flown.chains, [&](const auto& chain) {
           return chain && std::ranges::any_of(found->second.wanted, [&](const wish& w) {
                    return w.chain == *chain && w.after < flown.number;
                  });
         });
}

void dispatcher::retire(std::uint32_t worker) {
  if (const auto found = peers_.find(worker); found != peers_.end()) table_.retire(found->second.id);
}

void dispatcher::answered(std::uint32_t worker, answer item) {
  const auto from = peers_.find(worker);
  if (from == peers_.end()) return;
  const auto found = flights_.find(item.dispatch);
  if (found == flights_.end() || found->second.worker != from->second.id || item.chain >= found->second.chains.size() ||
      !found->second.chains[item.chain]) {
    world_.tell("an answer for copy ", item.dispatch, ", which worker ", worker, " does not have, is ignored");
    return;
  }
  auto& copy = found->second;
  const auto at = copy.at;
  const auto chain = *std::exchange(copy.chains[item.chain], std::nullopt);
  news out;
  const auto failed = attempts(at, chain);
  if (table_.answer(from->second.id, item.dispatch, chain, item.end, "it failed", world_.now)) {
    if (item.end == core::attempt_end::done)
      take_result(at, chain, item, out);
    else if (auto* wanted = find(at, chain))
      wanted->deaths = 0; // its worker has survived it
  }
  if (--copy.unanswered == 0) flights_.erase(found);
  check_attempts(at, chain, failed);
  perform(std::move(out));
}

std::vector<position> dispatcher::wanted() const {
  std::vector<position> all;
  for (const auto& one : jobs_) all.push_back(one.first);
  return all;
}

void dispatcher::take_result(position at, core::chain_index chain, answer& item, news& out) {
  require(find(at, chain) != nullptr, promise,
          [&] { return "an answer counted that nobody wants, for position " + std::to_string(at.value()); });
  const auto asked = forget(at, chain);
  const auto& only = item.made.only_to;
  for (const auto& d : world_.plan.destinations) {
    if (chain.value() != (d.own_chain ? d.id.value() : 0)) continue;
    const bool meant = item.made.body && (!only || std::ranges::find(*only, d.id) != only->end());
    const auto seq = world_.disk.place(at, d.id);
    if (!meant && seq != sequence{}) world_.book_of(d.id).left_out(seq);
  }
  out.done.push_back({at, chain, std::move(item.made), asked, item.took});
}

void dispatcher::perform(news out) {
  for (auto& lost : table_.take_given_up()) {
    check_given_up(lost);
    const auto asked = forget(lost.key.at, lost.key.chain);
    out.given_up.push_back(
      {lost.key.at, lost.key.chain, lost.attempts, std::move(lost.last_error), asked, lost.permanent});
  }
  if (!out.done.empty() || !out.given_up.empty())
    world_.mail.post(dispatcher_party, shard_party, [this, all = std::move(out)] {
      auto& lanes = world_.boss->lanes;
      if (!all.done.empty()) lanes.worked(all.done);
      for (const auto& lost : all.given_up) lanes.gave_up(lost);
      lanes.perform();
    });
  assign();
  schedule();
}

void dispatcher::check_given_up(const core::given_up& lost) {
  const auto& policy = world_.plan.retry;
  const auto* wanted = find(lost.key.at, lost.key.chain);
  require(wanted != nullptr, promise, [] { return "work was given up that nobody wants"; });
  const auto name = "position " + std::to_string(lost.key.at.value());
  const bool may_be_permanent = world_.plan.outcomes.never_works > 0;
  const bool enough = lost.attempts >= policy.max_attempts && wanted->first_sent &&
                      world_.now - *wanted->first_sent >= policy.give_up_after;
  require(may_be_permanent || enough, promise,
          [&] { return name + " was given up after " + std::to_string(lost.attempts) + " attempts"; });
  require(!runs_in_time(lost.key.at, *wanted), promise,
          [&] { return name + " was given up while a copy of it was running in time"; });
  world_.tell("position ", lost.key.at, " is given up after ", lost.attempts, " attempts");
  for (const auto& d : world_.plan.destinations)
    if (const auto seq = world_.disk.place(lost.key.at, d.id); seq != sequence{}) world_.book_of(d.id).gave_up(seq);
}

void dispatcher::assign() {
  for (const auto& change : table_.take_quarantine_changes()) quarantined_[change.chain] = change.quarantined;
  for (auto& copy : table_.assign(world_.now)) {
    const auto to = addresses_.at(copy.worker);
    for (const auto chain : copy.chains) {
      auto* wanted = find(copy.at, chain);
      require(wanted != nullptr, promise, [] { return "work was dispatched that nobody wants"; });
      check_suspicion(copy, chain, *wanted);
      copy.hedge ? check_hedge(copy, *wanted) : check_first_copy(copy, *wanted);
      if (!wanted->first_sent) wanted->first_sent = world_.now;
    }
    ++(copy.hedge ? hedges_ : first_copies_);
    require(hedges_ * 20 <= first_copies_, promise,
            [&] { return std::to_string(hedges_) + " hedges of " + std::to_string(first_copies_) + " copies"; });
    if (copy.hedge) world_.tell("position ", copy.at, " holds results back, and gets a second copy");
    check_company(copy, copy.suspect);
    flights_.emplace(copy.id, flight{++sent_,
                                     copy.worker,
                                     copy.at,
                                     world_.now,
                                     {copy.chains.begin(), copy.chains.end()},
                                     copy.chains.size(),
                                     copy.suspect});
    world_.mail.post(
      dispatcher_party, static_cast<party>(first_worker + to),
      [this, to, over = peers_.at(to).connection, order = std::move(copy)] { world_.pool.ordered(to, over, order); });
  }
}

void dispatcher::schedule() {
  const auto due = table_.next_deadline();
  if (!due || (scheduled_ && *scheduled_ <= *due)) return;
  scheduled_ = due;
  world_.mail.ring_at(*due, dispatcher_party, [this, at = *due] {
    if (scheduled_ == at) scheduled_.reset();
    table_.tick(world_.now);
    perform();
  });
}

} // namespace reseq::simulation
