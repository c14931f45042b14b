#include "reseq/core/shard_jobs.hpp"

#include <utility>

namespace reseq::core {

using detail::no_slot;
using detail::slot;

namespace {

bool is_same(const job_waiter& a, const job_waiter& b) { return a.lane == b.lane && a.seq == b.seq; }

} // namespace

slot shard_jobs::find_or_add(work_key key) {
  auto& which = by_key_.at(key.at.value(), key.chain.value());
  if (which == no_slot) {
    which = jobs_.add();
    jobs_[which].at = key.at;
    jobs_[which].chain = key.chain;
  }
  return which;
}

void shard_jobs::forget(slot which) {
  auto& gone = jobs_[which];
  by_key_.erase(gone.at.value(), gone.chain.value());
  drop_rare(which);
  gone.body.reset();
  gone.users = 0;
  gone.one_waits = false;
  gone.finished = false;
  jobs_.remove(which);
}

shard_jobs::rarely& shard_jobs::rare(slot of) {
  jobs_[of].has_rare = true;
  return rare_[of];
}

std::optional<asking> shard_jobs::wait(slot for_it, job_waiter who) {
  auto& wanted = jobs_[for_it];
  if (wanted.one_waits) {
    rare(for_it).others.push_back(who);
    return std::nullopt;
  }
  wanted.set_one(who);
  wanted.one_waits = true;
  return wanted.asked = ++last_asked_;
}

bool shard_jobs::is_awaited(slot which, asking asked) const {
  return which != no_slot && jobs_[which].one_waits && jobs_[which].asked == asked;
}

/// Into `taken_`, in the order in which they came.
void shard_jobs::take_waiting(slot from) {
  taken_.clear();
  auto& answered = jobs_[from];
  if (!answered.one_waits) return;
  answered.one_waits = false;
  taken_.push_back(answered.one());
  if (!answered.has_rare) return;
  auto& others = rare(from).others;
  taken_.insert(taken_.end(), others.begin(), others.end());
  others.clear();
}

shard_jobs::standing shard_jobs::want(work_key key, job_waiter who) {
  const auto which = find_or_add(key);
  auto& wanted = jobs_[which];
  ++wanted.users;
  if (!wanted.finished) return {wait(which, who), std::nullopt};
  work_result known{wanted.body, std::nullopt};
  if (wanted.has_rare) known.only_to = rare(which).only_to;
  return {std::nullopt, std::move(known)};
}

shard_jobs::leaving shard_jobs::release(work_key key, job_waiter who) {
  leaving left;
  const auto which = find(key);
  if (which == no_slot) return left;
  auto& used = jobs_[which];
  if (used.one_waits && is_same(used.one(), who)) {
    const bool others_wait = used.has_rare && !rare(which).others.empty();
    left.withdraw = !others_wait;
    used.one_waits = others_wait;
    if (others_wait) {
      auto& others = rare(which).others;
      used.set_one(others.front());
      others.erase(others.begin());
    }
  } else if (used.has_rare) {
    std::erase_if(rare(which).others, [&](const job_waiter& w) { return is_same(w, who); });
  }
  --used.users;
  left.forgotten = used.users == 0;
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
  take_waiting(which);
  if (done.only_to)
    rare(which).only_to = done.only_to;
  else
    drop_rare(which);
  return taken_;
}

std::vector<job_waiter> shard_jobs::give_up(work_key key, asking asked) {
  const auto which = find(key);
  if (!is_awaited(which, asked)) return {};
  take_waiting(which);
  return taken_;
}

asking shard_jobs::ask_again(work_key key) { return jobs_[find(key)].asked = ++last_asked_; }

std::vector<job_waiter> shard_jobs::waiting(work_key key) const {
  std::vector<job_waiter> all;
  const auto which = find(key);
  if (which == no_slot || !jobs_[which].one_waits) return all;
  all.push_back(jobs_[which].one());
  if (!jobs_[which].has_rare) return all;
  const auto& others = rare_.at(which).others;
  all.insert(all.end(), others.begin(), others.end());
  return all;
}

std::optional<asking> shard_jobs::wait_again(work_key key, job_waiter who) { return wait(find_or_add(key), who); }

} // namespace reseq::core
