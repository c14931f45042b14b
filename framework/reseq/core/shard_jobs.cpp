#include "reseq/core/shard_jobs.hpp"

#include <algorithm>
#include <utility>

namespace reseq::core {

shard_jobs::standing shard_jobs::want(work_key key, job_waiter who) {
  auto& wanted = jobs_[key];
  ++wanted.users;
  if (wanted.result) return {.ask = false, .known = &*wanted.result};
  wanted.waiting.push_back(who);
  return {.ask = wanted.waiting.size() == 1, .known = nullptr};
}

bool shard_jobs::release(work_key key, job_waiter who) {
  const auto found = jobs_.find(key);
  if (found == jobs_.end()) return false;
  auto& used = found->second;
  const auto gone =
    std::erase_if(used.waiting, [&](const job_waiter& w) { return w.lane == who.lane && w.seq == who.seq; });
  const bool withdrawn = gone > 0 && used.waiting.empty();
  if (--used.users == 0) jobs_.erase(found);
  return withdrawn;
}

std::vector<job_waiter> shard_jobs::finish(work_key key, const work_result& done) {
  const auto found = jobs_.find(key);
  if (found == jobs_.end() || found->second.waiting.empty()) return {};
  found->second.result = done;
  return std::exchange(found->second.waiting, {});
}

std::vector<job_waiter> shard_jobs::give_up(work_key key) {
  const auto found = jobs_.find(key);
  if (found == jobs_.end()) return {};
  return std::exchange(found->second.waiting, {});
}

bool shard_jobs::wait_again(work_key key, job_waiter who) {
  auto& wanted = jobs_[key];
  wanted.waiting.push_back(who);
  return wanted.waiting.size() == 1;
}

} // namespace reseq::core
