#include "reseq/core/dispatch_queue.hpp"

#include <algorithm>
#include <utility>

namespace reseq::core {

using detail::no_slot;
using detail::slot;

namespace {

std::uint64_t hash_of(pipeline_index pipeline, position at) { return detail::hash_dense(at.value(), pipeline.value()); }

std::uint64_t hash_of(const task_key& key) {
  return detail::hash_dense(key.at.value(), (std::uint64_t{key.chain.value()} << 32U) | key.pipeline.value());
}

} // namespace

pipeline_index dispatch_queue::add_pipeline() {
  pipelines_.emplace_back();
  return pipeline_index{static_cast<std::uint32_t>(pipelines_.size() - 1)};
}

slot dispatch_queue::find(const task_key& wanted) const {
  return task_by_key_.find(hash_of(wanted), [&](slot which) { return key(which) == wanted; });
}

slot dispatch_queue::add(const task_key& key, bool head) {
  const auto owner = message_for(key.pipeline, key.at);
  ++messages_[owner].tasks;
  const auto which = tasks_.add();
  tasks_[which] = {};
  tasks_[which].chain = key.chain;
  tasks_[which].message = owner;
  tasks_[which].incarnation = ++last_incarnation_;
  tasks_[which].head = head;
  task_by_key_.insert(hash_of(key), which);
  make_due(which);
  return which;
}

void dispatch_queue::set_work(slot which, task_work work) {
  tasks_[which].asked = work.asked;
  messages_[tasks_[which].message].content = std::move(work.message);
}

task_work dispatch_queue::forget(slot which) {
  auto& t = tasks_[which];
  task_by_key_.erase(hash_of(key(which)), which);
  if (t.phase == task_phase::due) unlink_due(which);
  const auto owner = t.message;
  const bool last = --messages_[owner].tasks == 0;
  requeue(owner);
  task_work work{last ? std::move(messages_[owner].content) : messages_[owner].content, t.asked};
  if (last) forget_message(owner);
  t.incarnation = 0;
  t.trouble.reset();
  tasks_.remove(which);
  return work;
}

task_key dispatch_queue::key(slot which) const {
  const auto& t = tasks_[which];
  const auto& m = messages_[t.message];
  return {m.pipeline, m.at, t.chain};
}

void dispatch_queue::raise_to_head(slot which) {
  auto& t = tasks_[which];
  if (t.head) return;
  t.head = true;
  if (t.phase != task_phase::due) return;
  ++messages_[t.message].due_heads;
  requeue(t.message);
}

void dispatch_queue::make_due(slot which) {
  auto& t = tasks_[which];
  auto& m = messages_[t.message];
  t.phase = task_phase::due;
  t.previous_due = no_slot;
  t.next_due = m.first_due;
  if (m.first_due != no_slot) tasks_[m.first_due].previous_due = which;
  m.first_due = which;
  ++m.due;
  if (t.head) ++m.due_heads;
  requeue(t.message);
}

void dispatch_queue::isolate(slot which) {
  unlink_due(which);
  tasks_[which].phase = task_phase::isolated;
  requeue(tasks_[which].message);
}

bool dispatch_queue::has_due(pipeline_index pipeline, dispatch_rank rank) const {
  return !pipelines_[pipeline.value()].due[index(rank)].empty();
}

void dispatch_queue::retire_turn(dispatch_rank rank) {
  auto& turns = turns_[index(rank)];
  pipelines_[turns.front().value()].has_turn[index(rank)] = false;
  turns.pop_front();
}

void dispatch_queue::take_next(pipeline_index pipeline, dispatch_rank rank, std::vector<slot>& tasks) {
  const auto owner = pipelines_[pipeline.value()].due[index(rank)].top();
  auto& m = messages_[owner];
  tasks.clear();
  for (auto which = m.first_due; which != no_slot; which = tasks_[which].next_due) tasks.push_back(which);
  std::sort(tasks.begin(), tasks.end(), [&](slot a, slot b) { return tasks_[a].chain < tasks_[b].chain; });
  m.first_due = no_slot;
  m.due = 0;
  m.due_heads = 0;
  requeue(owner);
}

slot dispatch_queue::message_for(pipeline_index pipeline, position at) {
  const auto hash = hash_of(pipeline, at);
  const auto found = message_by_position_.find(
    hash, [&](slot which) { return messages_[which].at == at && messages_[which].pipeline == pipeline; });
  if (found != no_slot) return found;
  const auto which = messages_.add();
  messages_[which] = {};
  messages_[which].at = at;
  messages_[which].pipeline = pipeline;
  message_by_position_.insert(hash, which);
  return which;
}

void dispatch_queue::unlink_due(slot which) {
  const auto& t = tasks_[which];
  auto& m = messages_[t.message];
  if (t.previous_due != no_slot)
    tasks_[t.previous_due].next_due = t.next_due;
  else
    m.first_due = t.next_due;
  if (t.next_due != no_slot) tasks_[t.next_due].previous_due = t.previous_due;
  --m.due;
  if (t.head) --m.due_heads;
}

void dispatch_queue::forget_message(slot which) {
  const auto& m = messages_[which];
  message_by_position_.erase(hash_of(m.pipeline, m.at), which);
  messages_.remove(which);
}

void dispatch_queue::requeue(slot which) {
  auto& m = messages_[which];
  std::optional<dispatch_rank> rank;
  if (m.due > 0) rank = m.due_heads > 0 ? dispatch_rank::heads : dispatch_rank::others;
  if (m.queued == rank) return;

  auto& p = pipelines_[m.pipeline.value()];
  const auto place = [this](slot s) -> std::uint32_t& { return messages_[s].queue_place; };
  if (m.queued) p.due[index(*m.queued)].erase(m.queue_place, place);
  m.queued = rank;
  if (!rank) return;
  p.due[index(*rank)].push(m.at, which, place);
  if (p.has_turn[index(*rank)]) return;
  p.has_turn[index(*rank)] = true;
  turns_[index(*rank)].push_back(m.pipeline);
}

} // namespace reseq::core
