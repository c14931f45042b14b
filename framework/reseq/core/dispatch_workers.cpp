#include "reseq/core/dispatch_workers.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace reseq::core {

using detail::no_slot;
using detail::slot;

worker_id dispatch_workers::join(std::uint32_t slots, const std::vector<pipeline_index>& offers) {
  std::vector<pipeline_index> known;
  for (auto p : offers)
    if (p.value() < pools_of_.size()) known.push_back(p);
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());

  const auto who = workers_.add();
  auto& w = workers_[who];
  w.id = ++last_id_;
  w.slots = slots;
  w.share = known.size() > 1 ? (slots + 1) / 2 : UINT32_MAX;
  w.hung_shares = 0;
  w.offers = known;
  w.uses.assign(known.size(), {});
  w.pool = enter_pool(std::move(known));
  w.copies.clear();
  w.awaited = 0;
  w.retired = false;
  w.closed = false;
  w.watched = {};
  worker_by_id_.emplace(w.id, who);
  free_slots_ += slots;
  if (has_free_slot(w)) add_free(who);
  return w.id;
}

void dispatch_workers::leave(slot who) {
  close(who);
  auto& w = workers_[who];
  worker_by_id_.erase(w.id);
  leave_pool(w.pool);
  w = {};
  workers_.remove(who);
}

void dispatch_workers::retire(slot who) {
  close(who);
  auto& w = workers_[who];
  w.slots = static_cast<std::uint32_t>(w.copies.size());
  w.retired = true;
}

void dispatch_workers::close(slot who) {
  auto& w = workers_[who];
  if (w.closed) return;
  if (has_free_slot(w)) remove_free(who);
  free_slots_ -= w.slots - w.copies.size();
  w.closed = true;
}

void dispatch_workers::reopen(slot who) {
  auto& w = workers_[who];
  if (w.retired) return;
  w.closed = false;
  free_slots_ += w.slots - w.copies.size();
  if (has_free_slot(w)) add_free(who);
}

slot dispatch_workers::quietest(pipeline_index pipeline) const {
  const auto rank = [this](slot who) {
    const auto& w = workers_[who];
    return std::tuple{w.copies.size() > w.awaited, w.awaited, w.id};
  };
  slot best = no_slot;
  for (const auto& [id, who] : worker_by_id_) {
    const auto& w = workers_[who];
    const auto hanging = w.copies.size() - w.awaited;
    if (w.closed || !offers(w, pipeline) || hanging >= w.slots) continue;
    if (best == no_slot || rank(who) < rank(best)) best = who;
  }
  return best;
}

dispatch_workers::doors dispatch_workers::offering(pipeline_index pipeline) const {
  doors found;
  for (const auto& [id, who] : worker_by_id_) {
    const auto& w = workers_[who];
    if (!w.retired && offers(w, pipeline)) ++(w.closed ? found.closed : found.open);
  }
  return found;
}

worker_strength dispatch_workers::strength(pipeline_index pipeline) const {
  worker_strength found;
  for (const auto& [id, who] : worker_by_id_) {
    const auto& w = workers_[who];
    if (w.retired || !offers(w, pipeline)) continue;
    ++found.workers;
    if (w.closed) ++found.apart;
    found.slots += w.slots;
    found.hanging += w.copies.size() - w.awaited;
  }
  return found;
}

bool dispatch_workers::offers(const worker& w, pipeline_index pipeline) {
  return std::binary_search(w.offers.begin(), w.offers.end(), pipeline);
}

dispatch_workers::use& dispatch_workers::use_of(worker& w, pipeline_index pipeline) {
  const auto found = std::lower_bound(w.offers.begin(), w.offers.end(), pipeline);
  return w.uses[static_cast<std::size_t>(found - w.offers.begin())];
}

void dispatch_workers::count_risky(slot who, pipeline_index of, std::int32_t change) {
  auto& w = workers_[who];
  auto& risky = use_of(w, of).risky;
  const bool had_share = risky >= w.share;
  risky += static_cast<std::uint32_t>(change);
  if (had_share != (risky >= w.share)) change_pool(who);
}

void dispatch_workers::count_lost(slot who, pipeline_index of, std::int32_t change) {
  auto& w = workers_[who];
  auto& lost = use_of(w, of).lost;
  if (lost >= w.share) --w.hung_shares;
  lost += static_cast<std::uint32_t>(change);
  if (lost >= w.share) ++w.hung_shares;
}

void dispatch_workers::change_pool(slot who) {
  auto& w = workers_[who];
  std::vector<pipeline_index> gets;
  for (std::size_t i = 0; i < w.offers.size(); ++i)
    if (w.uses[i].risky < w.share) gets.push_back(w.offers[i]);
  if (may_be_picked(w)) remove_free(who);
  leave_pool(w.pool);
  w.pool = enter_pool(std::move(gets));
  if (may_be_picked(w)) add_free(who);
}

slot dispatch_workers::find(worker_id id) const {
  const auto found = worker_by_id_.find(id);
  return found == worker_by_id_.end() ? no_slot : found->second;
}

bool dispatch_workers::has_free(pipeline_index pipeline) const {
  const auto& pools = pools_of_[pipeline.value()];
  return std::any_of(pools.begin(), pools.end(), [&](slot p) { return !pools_[p].free.empty(); });
}

slot dispatch_workers::pick(pipeline_index pipeline, slot avoid, detail::random_numbers& random) const {
  const auto all = free_workers(pipeline);
  const auto avoided = avoid == no_slot || all == 1 ? all : rank_among_free(pipeline, avoid);
  const auto choice = avoided < all ? all - 1 : all;
  const auto nth = [&](std::size_t n) { return free_worker(pipeline, n < avoided ? n : n + 1); };
  if (choice == 1) return nth(0);

  const auto first = random.below(choice);
  auto second = random.below(choice - 1);
  if (second >= first) ++second;
  const auto a = nth(first);
  const auto b = nth(second);
  return less_loaded(workers_[b], workers_[a]) ? b : a;
}

std::uint32_t dispatch_workers::occupy(slot who, slot copy) {
  auto& w = workers_[who];
  w.copies.push_back(copy);
  if (!w.closed) {
    --free_slots_;
    if (!has_free_slot(w)) remove_free(who);
  }
  return static_cast<std::uint32_t>(w.copies.size() - 1);
}

slot dispatch_workers::release(slot who, std::uint32_t place) {
  auto& w = workers_[who];
  const auto was_full = !has_free_slot(w);
  const auto moved = w.copies.back();
  w.copies[place] = moved;
  w.copies.pop_back();
  if (w.retired) {
    --w.slots; // the slot goes with its copy
  } else if (!w.closed) {
    ++free_slots_;
    if (was_full) add_free(who);
  }
  return place < w.copies.size() ? moved : no_slot;
}

slot dispatch_workers::enter_pool(std::vector<pipeline_index> offers) {
  const auto found = pool_by_offers_.find(offers);
  const auto which = found != pool_by_offers_.end() ? found->second : pools_.add();
  auto& p = pools_[which];
  if (found == pool_by_offers_.end()) {
    p = {};
    for (auto pipeline : offers) pools_of_[pipeline.value()].push_back(which);
    pool_by_offers_.emplace(offers, which);
    p.offers = std::move(offers);
  }
  ++p.members;
  return which;
}

void dispatch_workers::leave_pool(slot which) {
  auto& p = pools_[which];
  if (--p.members > 0) return;
  for (auto pipeline : p.offers) {
    auto& pools = pools_of_[pipeline.value()];
    pools.erase(std::find(pools.begin(), pools.end(), which));
  }
  pool_by_offers_.erase(p.offers);
  pools_.remove(which);
}

void dispatch_workers::add_free(slot who) {
  auto& free = pools_[workers_[who].pool].free;
  workers_[who].free_place = static_cast<std::uint32_t>(free.size());
  free.push_back(who);
}

void dispatch_workers::remove_free(slot who) {
  auto& free = pools_[workers_[who].pool].free;
  const auto place = workers_[who].free_place;
  free[place] = free.back();
  workers_[free[place]].free_place = place;
  free.pop_back();
}

std::size_t dispatch_workers::free_workers(pipeline_index pipeline) const {
  std::size_t sum = 0;
  for (auto p : pools_of_[pipeline.value()]) sum += pools_[p].free.size();
  return sum;
}

slot dispatch_workers::free_worker(pipeline_index pipeline, std::size_t n) const {
  for (auto p : pools_of_[pipeline.value()]) {
    const auto& free = pools_[p].free;
    if (n < free.size()) return free[n];
    n -= free.size();
  }
  return no_slot;
}

std::size_t dispatch_workers::rank_among_free(pipeline_index pipeline, slot who) const {
  const auto& w = workers_[who];
  std::size_t before = 0;
  for (auto p : pools_of_[pipeline.value()]) {
    if (p == w.pool && may_be_picked(w)) return before + w.free_place;
    before += pools_[p].free.size();
  }
  return before;
}

bool dispatch_workers::less_loaded(const worker& a, const worker& b) const {
  return std::uint64_t{a.copies.size()} * b.slots < std::uint64_t{b.copies.size()} * a.slots;
}

} // namespace reseq::core
