#include "lane_mirror_world.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace reseq::core::test {
namespace {

constexpr duration timeout = std::chrono::milliseconds{200};
constexpr std::uint64_t window = 12;
const epoch ours{3};

std::vector<mirrored_lane> three_lanes() {
  return {{destination_id{1}, sequence{1}, true, {}},
          {destination_id{2}, sequence{1}, true, {}},
          {destination_id{3}, sequence{1}, false, {}}};
}

std::vector<lane_name> names() {
  return {{destination_id{1}, "a"}, {destination_id{2}, "b"}, {destination_id{3}, "c"}};
}

} // namespace

lane_mirror_world::lane_mirror_world(std::uint64_t seed) : random_(seed), mirror_(three_lanes(), timeout, 5) {
  for (const auto& one : three_lanes()) lanes_[one.destination].releases = one.releases;
  perform();
}

void lane_mirror_world::expect(bool holds, const std::string& promise) {
  if (!holds && violation_.empty()) violation_ = promise;
}

void lane_mirror_world::step() {
  if (auto at = std::next(lanes_.begin(), static_cast<std::ptrdiff_t>(below(lanes_.size()))); chance(70))
    at->second.releases ? live(at->first, at->second) : live_by_key(at->first, at->second);
  if (chance(20)) keep_results();
  if (chance(60)) carry();
  if (!healthy_ && chance(6)) misbehave();
  if (chance(40)) pass_time(std::chrono::milliseconds{below(60)});
  perform();
}

/// One thing that happens in a lane.
void lane_mirror_world::live(destination_id id, lane& of) {
  if (of.window.size() < window && chance(50)) {
    const auto seq = of.next;
    ++of.next;
    if (chance(10)) return; // settled before it got here
    of.window.emplace(seq, state::pending);
    mirror_.admitted(id, seq);
    return;
  }
  if (of.window.empty()) return;
  auto at = std::next(of.window.begin(), static_cast<std::ptrdiff_t>(below(of.window.size())));
  if (of.sent.contains(at->first)) {
    of.sent.erase(at->first);
    mirror_.settled(id, at->first);
    of.window.erase(at);
  } else if (at->second == state::pending && chance(80)) {
    at->second = state::ready;
    mirror_.finished(id, at->first);
  } else if (chance(20)) { // dropped, skipped or dead-lettered
    mirror_.settled(id, at->first);
    of.window.erase(at);
  }
}

/// The same with order by key: they come, leave with their key and come back in any order.
void lane_mirror_world::live_by_key(destination_id id, lane& of) {
  const sequence seq{1 + below(2 * window)};
  const auto at = of.window.find(seq);
  if (at == of.window.end()) {
    if (of.window.size() == window) return;
    of.window.emplace(seq, state::pending);
    mirror_.admitted(id, seq);
  } else if (of.sent.contains(seq) || chance(30)) {
    of.sent.erase(seq);
    of.window.erase(at);
    mirror_.settled(id, seq);
  } else if (at->second == state::pending) {
    at->second = state::ready;
    mirror_.finished(id, seq);
  }
}

/// What a lane of the owner's does: the ready run after what is sent, as far as it may.
void lane_mirror_world::send(destination_id id, lane& of) {
  const auto limit = mirror_.limit(id);
  if (!of.releases) expect(limit > of.next, "a lane with order by key never waits");
  of.ready_since = std::nullopt;
  for (const auto& [seq, what] : of.window) {
    if (of.sent.contains(seq)) continue;
    if (what != state::ready) break;
    if (seq >= limit) {
      of.ready_since = now_;
      break;
    }
    of.sent.insert(seq);
  }
}

void lane_mirror_world::keep_results() {
  if (kept_.size() < 20 && chance(60)) {
    const work_key key{position{++last_position_}, chain_index{0}};
    mirror_.keep({key, "m", {std::make_shared<const content>(), {}}});
    kept_.insert(key);
  } else if (!kept_.empty()) {
    const auto key = *std::next(kept_.begin(), static_cast<std::ptrdiff_t>(below(kept_.size())));
    kept_.erase(key);
    mirror_.unneeded(key);
  }
}

void lane_mirror_world::perform() {
  auto todo = mirror_.take(now_);
  if (todo.call) {
    expect(!call_, "there is one call at a time");
    call_ = std::move(todo.call);
  }
  std::map<destination_id, std::optional<time_point>> waited;
  for (auto& [id, of] : lanes_) {
    const auto since = of.ready_since;
    send(id, of);
    if (of.ready_since && since) of.ready_since = since;
    if (of.ready_since) expect(now_ - *of.ready_since <= 2 * timeout, "no delivery waits longer than two timeouts");
  }
  check();
}

/// The call gets there and is answered, or fails; or nothing of the kind yet.
void lane_mirror_world::carry() {
  if (!call_) return;
  if (!healthy_ && chance(10)) {
    ++faults_;
    if (chance(50)) late_.push_back(*call_); // done, or to be done at some time: nobody knows
    mirror_.failed(std::exchange(call_, std::nullopt)->id, error{errc::unavailable, "away", {}}, now_);
    return;
  }
  if (away_) {
    mirror_.failed(std::exchange(call_, std::nullopt)->id, error{errc::unavailable, "away", {}}, now_);
    return;
  }
  answer(*std::exchange(call_, std::nullopt));
}

void lane_mirror_world::answer(const mirror_call& call) {
  if (!call.updates) {
    const auto found = store_.open(ours, names());
    mirror_.opened(call.id, *found, now_);
    return;
  }
  const auto answers = store_.apply(ours, *call.updates);
  if (!answers) {
    expect(false, "what it says is no nonsense: " + answers.error().text());
    return;
  }
  for (std::size_t i = 0; i < answers->lanes.size(); ++i)
    lanes_.at(call.updates->lanes[i].destination).last_answer = answers->lanes[i];
  mirror_.answered(call.id, *answers, now_);
}

void lane_mirror_world::misbehave() {
  ++faults_;
  switch (below(7)) {
  case 0: store_ = {}; break;
  case 1: older_.push_back(store_); break;
  case 2:
    if (!older_.empty()) store_ = older_[below(older_.size())];
    break;
  case 3: away_ = !away_; break;
  case 4: {
    constexpr std::array parts{lane_store::part::marks, lane_store::part::pending, lane_store::part::ready,
                               lane_store::part::results};
    store_.lose(parts[below(parts.size())], destination_id{1 + static_cast<std::uint32_t>(below(3))});
    break;
  }
  case 5: // too late
    pass_time(timeout + std::chrono::milliseconds{1});
    break;
  default:
    for (const auto& call : std::exchange(late_, {})) // at last
      if (call.updates) static_cast<void>(store_.apply(ours, *call.updates));
  }
}

void lane_mirror_world::pass_time(duration by) {
  const auto until = now_ + by;
  for (auto due = mirror_.wakeup(); due && *due <= until; due = mirror_.wakeup()) {
    const auto before = now_;
    now_ = std::max(now_, *due);
    mirror_.tick(now_);
    perform();
    if (now_ == before && mirror_.wakeup() == due) break;
  }
  now_ = until;
}

void lane_mirror_world::check() {
  for (const auto& [id, of] : lanes_) {
    const auto unsent_head =
      std::ranges::find_if(of.window, [&](const auto& one) { return !of.sent.contains(one.first); });
    if (mirror_.follows(id) && of.releases && unsent_head != of.window.end() && unsent_head->second == state::pending)
      expect(mirror_.limit(id) <= unsent_head->first, "nothing without a result is ever released");
    if (!of.releases && mirror_.follows(id) && mirror_.idle()) {
      const auto ready = std::ranges::count(of.window, state::ready, &decltype(of.window)::value_type::second);
      expect(of.last_answer.pending == of.window.size() && of.last_answer.ready == static_cast<std::uint64_t>(ready),
             "what the resequencer has of a lane with order by key is what is in the window");
      ++followed_by_key_;
    }
  }
}

void lane_mirror_world::recover_and_finish() {
  healthy_ = true;
  away_ = false;
  for (int rounds = 0; rounds < 200; ++rounds) {
    for (auto& [id, of] : lanes_)
      for (auto& [seq, what] : of.window)
        if (what == state::pending) {
          what = state::ready;
          mirror_.finished(id, seq);
        }
    perform();
    for (auto& [id, of] : lanes_)
      for (const auto seq : std::exchange(of.sent, {})) {
        mirror_.settled(id, seq);
        of.window.erase(seq);
      }
    carry();
    pass_time(std::chrono::milliseconds{100});
    perform();
  }
  expect(followed_by_key_ > 0, "the lane with order by key was looked at");
  for (const auto& [id, of] : lanes_) {
    expect(of.window.empty(), "in the end everything is sent");
    expect(mirror_.follows(id), "in the end every lane follows");
  }
  std::vector<work_key> all;
  for (std::uint64_t at = 1; at <= last_position_; ++at) all.push_back({position{at}, chain_index{0}});
  expect(store_.load(all).size() == kept_.size(), "in the end exactly the results that are needed are kept");
}

} // namespace reseq::core::test
