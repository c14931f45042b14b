// What operators ask for.
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "reseq/core/shard_state.hpp"

namespace reseq::core {
namespace {

operation_answer unknown_destination(std::uint64_t token, destination_id id) {
  return {token,
          fail(errc::not_found, "no destination " + std::to_string(id.value()) + " in this shard", "destination")};
}

operation_answer not_held(std::uint64_t token, const shard_target& t, sequence seq) {
  const bool settled = !t.keys && t.book.is_settled(seq);
  return {token, fail(errc::conflict,
                      "is not held at " + t.name +
                        (settled ? ", but settled: delivered, given up, lost or a dead letter" : ""),
                      "sequence " + std::to_string(seq.value()))};
}

operation_answer diverged_answer(std::uint64_t token, const std::string& why) {
  return {token,
          fail(errc::conflict, "its pipeline has diverged, and nothing of it is changed: " + why, "destination")};
}

bool is_held(const shard_target& t, sequence seq) {
  const auto found = t.held.find(seq);
  return found != t.held.end() && found->second.durable;
}

} // namespace

void shard::pause(std::uint64_t token, destination_id destination, time_point now, wall_time wall) {
  auto* t = state_->find(destination);
  if (t == nullptr) {
    state_->out.answers.push_back(unknown_destination(token, destination));
    return;
  }
  if (state_->refuse(token)) return;
  state_->pause(*t, token, wall);
  state_->settle_down(now);
}

void shard::resume(std::uint64_t token, destination_id destination, time_point now, wall_time wall) {
  auto* t = state_->find(destination);
  if (t == nullptr) {
    state_->out.answers.push_back(unknown_destination(token, destination));
    return;
  }
  if (state_->refuse(token)) return;
  state_->resume(*t, token, now, wall);
  state_->settle_down(now);
}

void shard::retry(std::uint64_t token, destination_id destination, std::optional<sequence> seq, time_point now,
                  wall_time wall) {
  auto& s = *state_;
  auto* t = s.find(destination);
  if (t == nullptr) {
    s.out.answers.push_back(unknown_destination(token, destination));
    return;
  }
  if (s.refuse(token)) return;
  std::vector<sequence> wanted;
  for (const auto& [at, held] : t->held)
    if (held.durable && (!seq || *seq == at)) wanted.push_back(at);
  if (wanted.empty()) {
    s.out.answers.push_back(seq ? not_held(token, *t, *seq) : operation_answer{token, std::uint64_t{0}});
    return;
  }
  for (const auto at : wanted) s.retry_held(*t, at, now, wall);
  s.answer_later(token, wanted.size());
  s.settle_down(now);
}

void shard::skip(std::uint64_t token, destination_id destination, sequence seq, time_point now, wall_time wall) {
  auto& s = *state_;
  auto* t = s.find(destination);
  if (t == nullptr) {
    s.out.answers.push_back(unknown_destination(token, destination));
    return;
  }
  if (s.refuse(token)) return;
  if (!is_held(*t, seq)) {
    s.out.answers.push_back(not_held(token, *t, seq));
    return;
  }
  t->held.erase(seq);
  s.changes.held.insert_or_assign({t->id, seq}, std::nullopt);
  s.changes.operations.push_back({"skip", t->id, seq, wall});
  s.settle(*t, seq, false, now);
  if (!t->keys) s.skip_settled(*t, now);
  s.answer_later(token, 1);
  s.settle_down(now);
}

void shard::state::pause(shard_target& t, std::uint64_t token, wall_time wall) {
  t.book.set_paused(true);
  progress_changed(t);
  changes.operations.push_back({"pause", t.id, sequence{}, wall});
  changes.pauses.emplace_back(index_of(t), token);
  touch(t);
}

void shard::state::resume(shard_target& t, std::uint64_t token, time_point now, wall_time wall) {
  t.book.set_paused(false);
  if (t.keys)
    t.keys->delivery.end_backoff(now, t.keys->window);
  else
    t.delivery.end_backoff(now);
  progress_changed(t);
  changes.operations.push_back({"resume", t.id, sequence{}, wall});
  answer_later(token, 0);
  answer_pauses(t);
  touch(t);
}

void shard::state::retry_held(shard_target& t, sequence seq, time_point now, wall_time wall) {
  t.held.erase(seq);
  changes.held.insert_or_assign({t.id, seq}, std::nullopt);
  changes.operations.push_back({"retry", t.id, seq, wall});
  touch(t);
  t.retried.insert(seq);
  if (t.keys) t.keys->window.unhold(seq, now);
  if (t.find(seq) == nullptr) return; // admitted later, as one that was never held
  if (!t.keys) t.window.unhold(seq);
  t.holding = {}; // whoever works on it from now on was not told
  if (auto& slot = *t.find(seq); slot.state == slot_state::pending) want(t, seq, slot, now);
  t.retried.erase(seq);
}

void shard::state::answer_later(std::uint64_t token, std::uint64_t changed) {
  changes.answers.push_back({token, changed});
}

bool shard::state::refuse(std::uint64_t token) {
  if (diverged) out.answers.push_back(diverged_answer(token, *diverged));
  return diverged.has_value();
}

void shard::state::refuse_waiting() {
  for (const auto& one : std::exchange(changes.answers, {})) refuse(one.token);
  for (const auto& [target, token] : std::exchange(changes.pauses, {})) refuse(token);
}

void shard::state::answer_pauses(shard_target& t) {
  if (t.book.paused() && !t.idle()) return;
  for (const auto token : std::exchange(t.pausing, {})) {
    if (t.book.paused())
      out.answers.push_back({token, std::uint64_t{0}});
    else
      out.answers.push_back({token, fail(errc::conflict, t.name + " was resumed before it had come to rest")});
  }
}

} // namespace reseq::core
