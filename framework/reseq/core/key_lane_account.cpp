#include "reseq/core/key_lane_account.hpp"

#include <iterator>
#include <utility>
#include <vector>

namespace reseq::core {

void key_lane_account::finish(sequence seq) {
  const auto found = known_.find(seq);
  if (found != known_.end() && found->second.now == state::pending) become(seq, state::ready);
}

void key_lane_account::settle(sequence seq) {
  const auto found = known_.find(seq);
  if (found != known_.end() && found->second.now != state::gone) become(seq, state::gone);
}

void key_lane_account::let_go() {
  changed_.clear();
  for (auto at = known_.begin(); at != known_.end();) {
    auto& [seq, e] = *at;
    mark(e, state::gone);
    if (e.now != state::gone) changed_.insert(seq);
    at = e.now == state::gone ? known_.erase(at) : std::next(at);
  }
}

void key_lane_account::become(sequence seq, state now) {
  const auto found = known_.try_emplace(seq).first;
  auto& e = found->second;
  e.now = now;
  if (e.now == e.told)
    changed_.erase(seq);
  else
    changed_.insert(seq);
  if (e.now == state::gone && e.told == state::gone) known_.erase(found);
}

void key_lane_account::mark(entry& e, state told) {
  pending_ = pending_ + (told != state::gone) - (e.told != state::gone);
  ready_ = ready_ + (told == state::ready) - (e.told == state::ready);
  e.told = told;
}

lane_answer key_lane_account::tell(lane_update& into, std::size_t most) {
  auto left = changed_.begin();
  while (left != changed_.end() && most > 0) {
    ++left;
    --most;
  }
  const std::vector<sequence> now_told(changed_.begin(), left);
  changed_.erase(changed_.begin(), left);
  for (const auto seq : now_told) {
    const auto found = known_.find(seq);
    auto& e = found->second;
    if (e.now < e.told) {
      into.settled.push_back(seq);
      mark(e, state::gone);
      if (e.now != state::gone) changed_.insert(seq);
    } else {
      if (e.told == state::gone) into.admitted.push_back(seq);
      if (e.now == state::ready) into.ready.push_back(seq);
      mark(e, e.now);
    }
    if (e.now == state::gone) known_.erase(found);
  }
  return {true, {}, pending_, ready_};
}

lane_answer key_lane_account::tell_all(lane_update& into, std::size_t most) {
  let_go();
  return tell(into, most);
}

} // namespace reseq::core
