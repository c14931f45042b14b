#include "reseq/core/shard_mirror.hpp"

#include <iterator>
#include <utility>

namespace reseq::core {
namespace {

constexpr std::size_t most_loaded = 256;

} // namespace

shard_mirror::shard_mirror(const std::vector<mirrored_lane>& lanes, const resequencing& how)
  : lanes_(lanes, how.timeout), keep_over_(how.keep_over) {}

void shard_mirror::worked(const finished_work& result, const std::string& message_id) {
  if (result.took >= keep_over_) lanes_.keep({{result.at, result.chain}, message_id, result.done});
}

void shard_mirror::opened(mirror_call_id call, const lanes_found& found, const std::function<bool(work_key)>& is_wanted,
                          time_point now) {
  if (!lanes_.opened(call, found, now)) return;
  auto keys = found.results;
  if (std::exchange(looked_, true)) // workers do what was wanted before
    std::erase_if(keys, [&](work_key key) {
      const bool wanted = is_wanted(key);
      if (wanted) lanes_.outdated(key);
      return wanted;
    });
  give_back(lookup_.found(keys));
}

void shard_mirror::answered(mirror_call_id call, const lane_answers& answers, time_point now) {
  lanes_.answered(call, answers, now);
}

void shard_mirror::failed(mirror_call_id call, const error& why, time_point now) {
  lanes_.failed(call, why, now);
  nothing_found();
}

void shard_mirror::tick(time_point now) {
  lanes_.tick(now);
  if (lanes_.overdue()) nothing_found();
}

/// Whatever is found later comes too late for what is wanted now.
void shard_mirror::nothing_found() {
  if (std::exchange(looked_, true)) return;
  give_back(lookup_.found({}));
}

std::vector<finished_work> shard_mirror::loaded(result<std::vector<stored_result>> found) {
  auto outcome = found ? lookup_.loaded(std::move(*found)) : lookup_.failed();
  for (const auto key : outcome.worthless) lanes_.outdated(key);
  give_back(std::move(outcome.work));
  adopted_ += outcome.adopted.size();
  // Whatever time they took: they are there, and stay while a window needs them.
  for (auto& one : outcome.adopted) one.took = keep_over_;
  return std::move(outcome.adopted);
}

void shard_mirror::give_back(std::vector<work_request> work) {
  for_workers_.insert(for_workers_.end(), std::make_move_iterator(work.begin()), std::make_move_iterator(work.end()));
}

std::vector<destination_id> shard_mirror::take(effects& out, time_point now) {
  lookup_.withdraw(out.withdrawn);
  lookup_.want(out.work); // before `heads`, which speak of it
  lookup_.head(out.heads);
  if (filled_)
    for (const auto key : lookup_.filled()) lanes_.unneeded(key);
  give_back(std::move(out.work));
  out.work = std::exchange(for_workers_, {});
  if (auto keys = lookup_.ask(most_loaded); !keys.empty()) out.load = std::move(keys);
  auto todo = lanes_.take(now);
  if (todo.call) out.lanes = std::move(todo.call);
  out.lanes_fenced = out.lanes_fenced || todo.check_epoch;
  return std::move(todo.moved);
}

} // namespace reseq::core
