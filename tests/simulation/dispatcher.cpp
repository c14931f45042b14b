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
  : world_(with), table_(with.choose.below(1U << 20U)), pipeline_(table_.add_pipeline(with.plan.retry)) {
  if (with.plan.neighbours > 0) next_door_ = table_.add_pipeline(with.plan.retry);
}

std::string dispatcher::name(const place& of) {
  return (of.pipeline.value() == 0 ? "position " : "the neighbour's position ") + std::to_string(of.at.value());
}

void dispatcher::want(std::vector<core::work_key> withdrawn, std::vector<core::work_request> work,
                      std::vector<core::work_key> heads, std::vector<core::work_key> holding) {
  for (const auto& [at, chain] : withdrawn) {
    table_.withdraw({pipeline_, at, chain}, world_.now);
    forget({pipeline_, at}, chain);
  }
  for (auto& wanted : work) {
    const place of{pipeline_, wanted.at};
    auto& j = jobs_[of];
    j.message = std::move(wanted.message);
    if (auto* known = find(of, wanted.chain))
      known->asked = wanted.asked;
    else
      j.wanted.push_back({wanted.chain, wanted.asked, sent_, std::nullopt, 0, 0, false});
    table_.submit({pipeline_, wanted.at, wanted.chain}, wanted.head, world_.now);
  }
  for (const auto& [at, chain] : heads) table_.make_head({pipeline_, at, chain}, world_.now);
  for (const auto& [at, chain] : holding) {
    table_.hold_back({pipeline_, at, chain}, world_.now);
    if (auto* wanted = find({pipeline_, at}, chain)) wanted->holds_back = true;
  }
  perform();
}

dispatcher::wish* dispatcher::find(const place& of, core::chain_index chain) {
  const auto found = jobs_.find(of);
  if (found == jobs_.end()) return nullptr;
  auto& wanted = found->second.wanted;
  const auto which = std::ranges::find(wanted, chain, &wish::chain);
  return which == wanted.end() ? nullptr : &*which;
}

core::asking dispatcher::forget(const place& of, core::chain_index chain) {
  const auto* wanted = find(of, chain);
  if (wanted == nullptr) return {};
  const auto asked = wanted->asked;
  auto& wishes = jobs_.at(of).wanted;
  std::erase_if(wishes, [&](const wish& w) { return w.chain == chain; });
  if (wishes.empty()) jobs_.erase(of);
  return asked;
}

/// The oldest few, as if they were a lane's window; the first is the head.
void dispatcher::want_of_neighbour() {
  if (!next_door_) return;
  const core::chain_index common{0};
  for (const auto at : world_.next_door.window()) {
    const place of{*next_door_, at};
    const bool head = at == world_.next_door.window().front();
    if (find(of, common) == nullptr) {
      jobs_[of].wanted.push_back({common, {}, sent_, std::nullopt, 0, 0, false});
      table_.submit({*next_door_, at, common}, head, world_.now);
    } else if (head) {
      table_.make_head({*next_door_, at, common}, world_.now);
    }
  }
}

void dispatcher::join(std::uint32_t worker, std::uint32_t connection, std::uint32_t slots) {
  down(worker, core::departure::left);
  auto offers = std::vector{pipeline_};
  if (next_door_) offers.push_back(*next_door_);
  const auto id = table_.join(slots, std::move(offers));
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
  const bool alone = how != core::departure::left && strike(id, how);
  std::erase_if(flights_, [&](const auto& entry) { return entry.second.worker == id; });
  addresses_.erase(id);
  peers_.erase(found);
  table_.leave(id, how, world_.now);
  require(table_.counters().crashed == crashed || (alone && table_.counters().crashed == crashed + 1), promise, [&] {
    return "something was blamed for the death of worker " + std::to_string(worker) + ", and not alone there";
  });
  perform();
}

bool dispatcher::strike(worker_id dead, core::departure how) {
  std::size_t unanswered = 0;
  bool suspects = true;
  std::vector<wish*> had;
  for (const auto& [copy, flown] : flights_) {
    if (flown.worker != dead) continue;
    suspects = suspects && flown.of_suspects;
    unanswered += flown.unanswered;
    for (const auto& chain : flown.chains) {
      auto* wanted = chain ? find(flown.of, *chain) : nullptr;
      if (wanted != nullptr && wanted->after < flown.number && std::ranges::find(had, wanted) == had.end())
        had.push_back(wanted);
    }
  }
  bool blamed = true;
  for (auto* wanted : had) {
    const bool may_have_killed = how == core::departure::died || ++wanted->losses > core::losses_borne;
    if (may_have_killed) ++wanted->deaths;
    blamed = blamed && may_have_killed;
  }
  return suspects && unanswered == 1 && blamed;
}

/// A suspect was on two workers that died, or its chain is quarantined, or was when it began to wait.
void dispatcher::check_suspicion(const core::dispatch& copy, core::chain_index chain, const wish& wanted) const {
  const auto known = quarantined_.find({copy.pipeline, chain});
  const bool accused = wanted.deaths >= 2;
  const bool has_to_be = accused || (known != quarantined_.end() && known->second);
  const bool may_be = accused || known != quarantined_.end();
  require(copy.hedge || (copy.suspect ? may_be : !has_to_be), promise, [&] {
    return name({copy.pipeline, copy.at}) + (copy.suspect ? " is a suspect for no reason" : " is none");
  });
}

/// Suspects run beside nothing else that might still be running, and nothing else beside them.
void dispatcher::check_company(const core::dispatch& copy) const {
  for (const auto& [other, flown] : flights_) {
    const bool beside = flown.worker == copy.worker && flown.of_suspects != copy.suspect;
    require(!beside || world_.now - flown.sent >= world_.plan.retry.timeout || !is_wanted(flown), promise, [&] {
      return name({copy.pipeline, copy.at}) + " runs beside " + name(flown.of) + ", and one of them is a suspect";
    });
  }
}

bool dispatcher::something_hangs(core::pipeline_index of) const {
  return std::ranges::any_of(jobs_, [&](const auto& entry) {
    return entry.first.pipeline == of && std::ranges::any_of(entry.second.wanted, [&](const wish& w) {
             const auto known = table_.inspect({of, entry.first.at, w.chain});
             return known &&
                    std::ranges::any_of(known->history, [](const auto& a) { return a.outcome == "timed out"; });
           });
  });
}

bool dispatcher::check_share(const core::dispatch& copy) const {
  if (!next_door_ || !something_hangs(copy.pipeline)) return false;
  const auto there = std::ranges::count_if(flights_, [&](const auto& entry) {
    const auto& flown = entry.second;
    return flown.worker == copy.worker && flown.of.pipeline == copy.pipeline && flown.may_hang;
  });
  require(copy.suspect || there < (world_.plan.slots + 1) / 2, "Isolation", [&] {
    return name({copy.pipeline, copy.at}) + " takes more than half of a worker, and others of its pipeline hang";
  });
  return true;
}

void dispatcher::check_first_copy(const core::dispatch& copy, wish& wanted) {
  ++wanted.sent;
  const place of{copy.pipeline, copy.at};
  require(!runs_in_time(of, wanted), promise,
          [&] { return name(of) + " was dispatched again while a copy of it was running in time"; });
}

void dispatcher::check_hedge(const core::dispatch& copy, const wish& wanted) const {
  require(world_.plan.retry.hedge && wanted.holds_back && wanted.deaths == 0 && wanted.sent > 0, promise, [&] {
    return name({copy.pipeline, copy.at}) + " got a second copy without a reason";
  });
}

bool dispatcher::runs_in_time(const place& of, const wish& wanted) const {
  for (const auto& [copy, flown] : flights_) {
    if (flown.number > wanted.after && flown.of == of && world_.now - flown.sent < world_.plan.retry.timeout &&
        std::ranges::find(flown.chains, wanted.chain) != flown.chains.end())
      return true;
  }
  return false;
}

std::uint32_t dispatcher::attempts(const place& of, core::chain_index chain) const {
  const auto known = table_.inspect({of.pipeline, of.at, chain});
  return known ? known->attempts : 0;
}

void dispatcher::check_attempts(const place& of, core::chain_index chain, std::uint32_t before) {
  const auto* wanted = find(of, chain);
  if (wanted == nullptr) return;
  const auto now = attempts(of, chain);
  require(now <= wanted->sent, promise, [&] {
    return name(of) + " has " + std::to_string(now) + " failed attempts of " + std::to_string(wanted->sent);
  });
  require(now == before || !runs_in_time(of, *wanted), promise,
          [&] { return "an attempt of " + name(of) + " is over while a copy of it is running in time"; });
}

bool dispatcher::is_wanted(const flight& flown) const {
  const auto found = jobs_.find(flown.of);
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
  const auto of = copy.of;
  const auto chain = *std::exchange(copy.chains[item.chain], std::nullopt);
  news out;
  const auto failed = attempts(of, chain);
  if (table_.answer(from->second.id, item.dispatch, chain, item.end, "it failed", world_.now)) {
    if (item.end == core::attempt_end::done)
      take_result(of, chain, item, out);
    else if (auto* wanted = find(of, chain))
      wanted->deaths = wanted->losses = 0; // its worker has survived it
  }
  if (--copy.unanswered == 0) flights_.erase(found);
  check_attempts(of, chain, failed);
  perform(std::move(out));
}

std::uint64_t dispatcher::copies_of(core::work_key what) const {
  const auto found = copies_.find(what);
  return found == copies_.end() ? 0 : found->second;
}

std::string dispatcher::wanted() const { return jobs_.empty() ? "" : name(jobs_.begin()->first); }

void dispatcher::take_result(const place& of, core::chain_index chain, answer& item, news& out) {
  require(find(of, chain) != nullptr, promise, [&] { return "an answer counted that nobody wants, for " + name(of); });
  const auto asked = forget(of, chain);
  if (!is_ours(of)) return world_.next_door.done(of.at);
  const auto at = of.at;
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
  want_of_neighbour();
  for (auto given_up = table_.take_given_up(); !given_up.empty(); given_up = table_.take_given_up()) {
    for (auto& lost : given_up) {
      check_given_up(lost);
      const place of{lost.key.pipeline, lost.key.at};
      const auto asked = forget(of, lost.key.chain);
      if (is_ours(of))
        out.given_up.push_back(
          {lost.key.at, lost.key.chain, lost.attempts, std::move(lost.last_error), asked, lost.permanent});
      else
        world_.next_door.done(of.at);
    }
    want_of_neighbour(); // whose next head may have failed already
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
  const place of{lost.key.pipeline, lost.key.at};
  const auto* wanted = find(of, lost.key.chain);
  require(wanted != nullptr, promise, [] { return "work was given up that nobody wants"; });
  const bool may_be_permanent = is_ours(of) && world_.plan.outcomes.never_works > 0;
  const bool enough = lost.attempts >= policy.max_attempts && wanted->first_sent &&
                      world_.now - *wanted->first_sent >= policy.give_up_after;
  require(may_be_permanent || enough, promise,
          [&] { return name(of) + " was given up after " + std::to_string(lost.attempts) + " attempts"; });
  require(!runs_in_time(of, *wanted), promise,
          [&] { return name(of) + " was given up while a copy of it was running in time"; });
  world_.tell(name(of), " is given up after ", lost.attempts, " attempts");
  if (!is_ours(of)) return;
  for (const auto& d : world_.plan.destinations)
    if (const auto seq = world_.disk.place(lost.key.at, d.id); seq != sequence{}) world_.book_of(d.id).gave_up(seq);
}

void dispatcher::assign() {
  for (const auto& change : table_.take_quarantine_changes())
    quarantined_[{change.pipeline, change.chain}] = change.quarantined;
  for (auto& copy : table_.assign(world_.now)) {
    const auto to = addresses_.at(copy.worker);
    const place of{copy.pipeline, copy.at};
    const bool may_hang = check_share(copy);
    for (const auto chain : copy.chains) {
      auto* wanted = find(of, chain);
      require(wanted != nullptr, promise, [] { return "work was dispatched that nobody wants"; });
      check_suspicion(copy, chain, *wanted);
      copy.hedge ? check_hedge(copy, *wanted) : check_first_copy(copy, *wanted);
      if (is_ours(of)) ++copies_[{copy.at, chain}];
      if (!wanted->first_sent) wanted->first_sent = world_.now;
    }
    if (is_ours(of)) ++(copy.hedge ? hedges_ : first_copies_);
    require(hedges_ * 20 <= first_copies_, promise,
            [&] { return std::to_string(hedges_) + " hedges of " + std::to_string(first_copies_) + " copies"; });
    if (copy.hedge) world_.tell(name(of), " holds results back, and gets a second copy");
    check_company(copy);
    flights_.emplace(copy.id, flight{++sent_,
                                     copy.worker,
                                     of,
                                     world_.now,
                                     {copy.chains.begin(), copy.chains.end()},
                                     copy.chains.size(),
                                     copy.suspect,
                                     may_hang});
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
