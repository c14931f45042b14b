#include "reseq/core/shard_jobs.hpp"

#include <utility>

namespace reseq::core {

using detail::no_slot;
using detail::slot;

namespace {

std::uint64_t hash_of(work_key key) { return detail::hash_dense(key.at.value(), key.chain.value()); }

bool is_same(const job_waiter& a, const job_waiter& b) { return a.lane == b.lane && a.seq == b.seq; }

} // namespace

slot shard_jobs::find(work_key key) const {
  return by_key_.find(hash_of(key),
                      [&](slot which) { return jobs_[which].at == key.at && jobs_[which].chain == key.chain; });
}

slot shard_jobs::add(work_key key) {
  const auto which = jobs_.add();
  jobs_[which].at = key.at;
  jobs_[which].chain = key.chain;
  by_key_.insert(hash_of(key), which);
  return which;
}

void shard_jobs::forget(slot which) {
  by_key_.erase(hash_of(jobs_[which].key()), which);
  jobs_[which] = {};
  jobs_.remove(which);
}

std::optional<asking> shard_jobs::wait(job& for_it, job_waiter who) {
  if (!for_it.one_waits) {
    for_it.set_one(who);
    for_it.one_waits = true;
    return for_it.asked = ++last_asked_;
  }
  if (!for_it.rare) for_it.rare = std::make_unique<rarely>();
  for_it.rare->others.push_back(who);
  return std::nullopt;
}

bool shard_jobs::is_awaited(slot which, asking asked) const {
  return which != no_slot && jobs_[which].one_waits && jobs_[which].asked == asked;
}

/// Into `taken_`, in the order in which they came.
void shard_jobs::take_waiting(job& from) {
  taken_.clear();
  if (!std::exchange(from.one_waits, false)) return;
  taken_.push_back(from.one());
  if (!from.rare) return;
  auto& others = from.rare->others;
  taken_.insert(taken_.end(), others.begin(), others.end());
  others.clear();
}

shard_jobs::standing shard_jobs::want(work_key key, job_waiter who) {
  auto which = find(key);
  if (which == no_slot) which = add(key);
  auto& wanted = jobs_[which];
  ++wanted.users;
  if (!wanted.finished) return {wait(wanted, who), std::nullopt};
  work_result known{wanted.body, std::nullopt};
  if (wanted.rare) known.only_to = wanted.rare->only_to;
  return {std::nullopt, std::move(known)};
}

shard_jobs::leaving shard_jobs::release(work_key key, job_waiter who) {
  leaving left;
  const auto which = find(key);
  if (which == no_slot) return left;
  auto& used = jobs_[which];
  if (used.one_waits && is_same(used.one(), who)) {
    const bool others_wait = used.rare && !used.rare->others.empty();
    left.withdraw = !others_wait;
    used.one_waits = others_wait;
    if (others_wait) {
      used.set_one(used.rare->others.front());
      used.rare->others.erase(used.rare->others.begin());
    }
  } else if (used.rare) {
    std::erase_if(used.rare->others, [&](const job_waiter& w) { return is_same(w, who); });
  }
  left.forgotten = --used.users == 0;
  if (left.forgotten) forget(which);
  return left;
}

const std::vector<job_waiter>& shard_jobs::finish(work_key key, asking asked, const work_result& done) {
  taken_.clear();
  const auto which = find(key);
  if (!is_awaited(which, asked)) return taken_;
  auto& finished = jobs_[which];
  finished.finished = true;
  finished.body = done.body;
  take_waiting(finished);
  if (!done.only_to) {
    finished.rare.reset();
    return taken_;
  }
  if (!finished.rare) finished.rare = std::make_unique<rarely>();
  finished.rare->only_to = done.only_to;
  return taken_;
}

std::vector<job_waiter> shard_jobs::give_up(work_key key, asking asked) {
  const auto which = find(key);
  if (!is_awaited(which, asked)) return {};
  take_waiting(jobs_[which]);
  return taken_;
}

std::optional<asking> shard_jobs::wait_again(work_key key, job_waiter who) {
  auto which = find(key);
  if (which == no_slot) which = add(key);
  return wait(jobs_[which], who);
}

} // namespace reseq::core
