#include "reseq/core/lane_mirror.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "reseq/core/key_lane_account.hpp"
#include "reseq/core/total_lane_account.hpp"

namespace reseq::core {
namespace {

constexpr sequence no_limit{~std::uint64_t{0}};

constexpr std::uint64_t most_result_bytes = 4U << 20U;

constexpr duration shortest_wait = std::chrono::milliseconds{50};
constexpr duration longest_wait = std::chrono::seconds{5};
constexpr std::uint32_t most_doublings = 7;

std::unique_ptr<lane_account> account_of(const mirrored_lane& lane) {
  if (lane.releases) return std::make_unique<total_lane_account>(lane.first);
  return std::make_unique<key_lane_account>();
}

} // namespace

lane_mirror::mirrored::mirrored(const mirrored_lane& lane)
  : releases(lane.releases), reached(lane.assigned), account(account_of(lane)), confirmed(lane.first) {}

lane_mirror::lane_mirror(const std::vector<mirrored_lane>& lanes, duration timeout, std::size_t most_told)
  : timeout_(timeout), most_told_(most_told) {
  for (const auto& one : lanes) touch(one.destination, lanes_.emplace(one.destination, mirrored(one)).first->second);
}

void lane_mirror::touch(destination_id id, mirrored& lane) {
  if (!std::exchange(lane.touched, true)) touched_.insert(id);
}

void lane_mirror::touch_if_news(destination_id id, mirrored& lane) {
  if (lane.account->has_news()) touch(id, lane);
}

void lane_mirror::admitted(destination_id id, sequence seq) {
  auto& lane = lanes_.at(id);
  lane.account->admit(seq);
  lane.reached = std::max(lane.reached, seq);
  touch_if_news(id, lane);
}

void lane_mirror::finished(destination_id id, sequence seq) {
  auto& lane = lanes_.at(id);
  lane.account->finish(seq);
  touch_if_news(id, lane);
}

void lane_mirror::settled(destination_id id, sequence seq) {
  auto& lane = lanes_.at(id);
  lane.account->settle(seq);
  touch_if_news(id, lane);
}

void lane_mirror::keep(stored_result result) {
  const auto key = result.key;
  auto& kept = kept_[key];
  kept.result = std::move(result);
  if (there_.contains(key) || std::exchange(kept.queued, true)) return;
  to_store_.push_back(key);
}

void lane_mirror::unneeded(work_key key) {
  kept_.erase(key);
  if (there_.erase(key) > 0) to_delete_.push_back(key);
}

void lane_mirror::outdated(work_key key) {
  if (const auto kept = kept_.find(key); kept != kept_.end()) {
    if (!std::exchange(kept->second.queued, true)) to_store_.push_back(key);
  } else {
    unneeded(key);
  }
}

sequence lane_mirror::limit(destination_id id) const {
  const auto& lane = lanes_.at(id);
  return lane.releases && lane.stands == standing::following ? lane.confirmed : no_limit;
}

bool lane_mirror::follows(destination_id id) const { return lanes_.at(id).stands == standing::following; }

bool lane_mirror::is_clear(destination_id id) const { return lanes_.at(id).account->is_clear(); }

void lane_mirror::set_adrift(destination_id id, mirrored& lane, drift why) {
  if (lane.stands == standing::adrift) return;
  if (lane.stands == standing::following || why != drift::silence) ++drifts_[static_cast<std::size_t>(why)];
  lane.stands = standing::adrift;
  lane.account->let_go();
  touch(id, lane);
  moved_.push_back(id);
}

void lane_mirror::all_adrift() {
  for (auto& [id, lane] : lanes_) set_adrift(id, lane, drift::silence);
}

lane_mirror::effects lane_mirror::take(time_point now) {
  effects out;
  out.moved = std::exchange(moved_, {});
  out.check_epoch = std::exchange(check_epoch_, false);
  if (call_ || now < not_before_) return out;
  open_call call;
  call.id = mirror_call_id{++calls_};
  call.opens = !open_;
  call.deadline = now + timeout_;
  if (open_) {
    auto updates = collect(call);
    if (updates.empty()) return out;
    out.call = mirror_call{call.id, std::move(updates)};
  } else {
    out.call = mirror_call{call.id, std::nullopt};
  }
  call_ = std::move(call);
  return out;
}

lane_updates lane_mirror::collect(open_call& call) {
  lane_updates updates;
  collect_results(call, updates);
  std::size_t rebuilt = 0;
  for (auto at = touched_.begin(); at != touched_.end();) {
    auto& lane = lanes_.at(*at);
    if (lane.stands == standing::adrift) {
      const auto size = std::min(lane.account->size(), most_told_);
      if (rebuilt > 0 && rebuilt + size > most_told_) {
        ++at;
        continue;
      }
      rebuilt += size;
    }
    updates.lanes.push_back(step_of(call, *at, lane));
    lane.touched = lane.account->has_news();
    at = lane.touched ? std::next(at) : touched_.erase(at);
  }
  return updates;
}

lane_update lane_mirror::step_of(open_call& call, destination_id id, mirrored& lane) {
  const bool anew = lane.stands == standing::adrift;
  if (anew) {
    ++lane.version;
    lane.step = lane_step{};
    lane.stands = standing::rebuilding;
  }
  lane_update update{id, lane.version, ++lane.step, lane.releases, lane.reached, {}, {}, {}};
  auto answer = anew ? lane.account->tell_all(update, most_told_) : lane.account->tell(update, most_told_);
  call.expected.push_back({id, std::move(answer), lane.account->head()});
  return update;
}

void lane_mirror::collect_results(open_call& call, lane_updates& into) {
  into.forget_results = std::exchange(forget_, false);
  std::uint64_t bytes = 0;
  while (!to_store_.empty() && bytes < most_result_bytes) {
    const auto key = to_store_.front();
    to_store_.pop_front();
    const auto kept = kept_.find(key);
    if (kept == kept_.end() || !std::exchange(kept->second.queued, false)) continue; // needed no more
    if (const auto& body = kept->second.result.done.body) bytes += size_bytes(*body);
    into.results.push_back(kept->second.result);
    there_.insert(key);
  }
  for (const auto key : std::exchange(to_delete_, {}))
    if (!there_.contains(key)) into.unneeded.push_back(key); // else it is stored anew: work was done again
  call.changes_results = into.forget_results || !into.results.empty() || !into.unneeded.empty();
  call.results = there_.size();
}

std::optional<lane_mirror::open_call> lane_mirror::end(mirror_call_id id) {
  if (!call_ || call_->id != id) {
    ++late_answers_;
    return std::nullopt;
  }
  return std::exchange(call_, std::nullopt);
}

bool lane_mirror::opened(mirror_call_id id, const lanes_found& found, time_point /*now*/) {
  if (!end(id)) return false;
  failures_ = 0;
  open_ = true;
  there_.insert(found.results.begin(), found.results.end());
  return true;
}

void lane_mirror::answered(mirror_call_id id, const lane_answers& answers, time_point now) {
  const auto call = end(id);
  if (!call) return;
  if (call->given_up) { // but it is done
    ++late_answers_;
    return wait_longer(now);
  }
  if (answers.lanes.size() != call->expected.size()) return lost(*call, now);
  failures_ = 0;
  for (std::size_t i = 0; i < answers.lanes.size(); ++i) compare(call->expected[i], answers.lanes[i]);
  if (!std::ranges::all_of(answers.lanes, &lane_answer::agrees)) tell_idle_lanes_again();
  if (answers.results != call->results) {
    ++drifts_[static_cast<std::size_t>(drift::results)];
    store_all_again();
  }
}

void lane_mirror::compare(const expected_answer& expected, const lane_answer& answer) {
  auto& lane = lanes_.at(expected.lane);
  if (!answer.agrees) return set_adrift(expected.lane, lane, drift::version);
  if (answer != expected.answer) return set_adrift(expected.lane, lane, drift::contents);
  if (lane.stands == standing::adrift) return;
  lane.stands = standing::following;
  if (expected.head > lane.confirmed) moved_.push_back(expected.lane);
  lane.confirmed = expected.head;
}

void lane_mirror::tell_idle_lanes_again() {
  for (auto& [id, lane] : lanes_) {
    if (lane.stands != standing::following || !lane.account->is_clear()) continue;
    lane.stands = standing::adrift;
    lane.account->let_go();
    touch(id, lane);
    moved_.push_back(id);
  }
}

void lane_mirror::failed(mirror_call_id id, const error& why, time_point now) {
  const auto call = end(id);
  if (!call) return;
  if (why.code == errc::fenced) check_epoch_ = true;
  lost(*call, now);
}

/// What it did is not known.
void lane_mirror::lost(const open_call& call, time_point now) {
  if (call.changes_results) store_all_again();
  all_adrift();
  wait_longer(now);
}

/// Which of them are there is not known, or some are known to be gone.
void lane_mirror::store_all_again() {
  forget_ = true;
  there_.clear();
  to_delete_.clear();
  for (auto& [key, kept] : kept_)
    if (!std::exchange(kept.queued, true)) to_store_.push_back(key);
}

void lane_mirror::wait_longer(time_point now) {
  not_before_ = now + std::min(shortest_wait * (1U << std::min(failures_, most_doublings)), longest_wait);
  ++failures_;
}

void lane_mirror::tick(time_point now) {
  if (!call_ || call_->given_up || now < call_->deadline) return;
  call_->given_up = true;
  all_adrift();
}

std::optional<time_point> lane_mirror::wakeup() const {
  if (call_) return call_->given_up ? std::nullopt : std::optional{call_->deadline};
  return has_news() ? std::optional{not_before_} : std::nullopt;
}

bool lane_mirror::has_news() const {
  return !open_ || !touched_.empty() || !to_store_.empty() || !to_delete_.empty() || forget_;
}

} // namespace reseq::core
