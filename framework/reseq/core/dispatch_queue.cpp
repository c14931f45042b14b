#include "reseq/core/dispatch_queue.hpp"

#include <algorithm>
#include <utility>

namespace reseq::core {

using detail::no_slot;
using detail::slot;

namespace {

/// What tells a task apart from those of the same position.
std::uint64_t salt_of(const task_key& key) { return (std::uint64_t{key.chain.value()} << 32U) | key.pipeline.value(); }

} // namespace

pipeline_index dispatch_queue::add_pipeline() {
  pipelines_.emplace_back();
  return pipeline_index{static_cast<std::uint32_t>(pipelines_.size() - 1)};
}

slot dispatch_queue::find(const task_key& key) const {
  const auto owner = message_by_position_.find(key.at.value(), key.pipeline.value());
  return owner == no_slot ? no_slot : find_among(owner, key);
}

slot dispatch_queue::find_among(slot tasks_of, const task_key& key) const {
  const auto& m = messages_[tasks_of];
  if (m.had_more == 0) return tasks_[m.first].chain == key.chain ? m.first : no_slot;
  return task_by_key_.find(key.at.value(), salt_of(key));
}

dispatch_queue::wanted_task dispatch_queue::want(const task_key& key, bool head) {
  auto& owner = message_by_position_.at(key.at.value(), key.pipeline.value());
  if (owner == no_slot)
    owner = add_message(key.pipeline, key.at);
  else if (const auto known = find_among(owner, key); known != no_slot)
    return {known, false};
  return {add_task(owner, key.chain, head), true};
}

slot dispatch_queue::add_task(slot to, chain_index chain, bool head) {
  const auto which = tasks_.add();
  auto& t = tasks_[which];
  const auto earlier = t.life;
  t = {};
  t.chain = chain;
  t.message = to;
  t.life = earlier + 1;
  t.head = head;
  auto& m = messages_[to];
  if (m.tasks == 1 && m.had_more == 0) index_tasks(m);
  if (m.had_more == 1) index_task(which);
  ++m.tasks;
  make_due(which);
  return which;
}

void dispatch_queue::index_tasks(message& of) {
  index_task(of.first);
  of.had_more = 1;
}

void dispatch_queue::index_task(slot which) {
  const auto is = key(which);
  task_by_key_.at(is.at.value(), salt_of(is)) = which;
}

void dispatch_queue::set_work(slot which, task_work work) {
  tasks_[which].asked = work.asked;
  messages_[tasks_[which].message].content = std::move(work.message);
}

task_work dispatch_queue::forget(slot which) {
  auto& t = tasks_[which];
  const auto owner = t.message;
  auto& m = messages_[owner];
  if (m.had_more == 1) task_by_key_.erase(m.at.value(), salt_of(key(which)));
  --m.tasks;
  if (t.phase == task_phase::due) {
    unlink_due(which);
    requeue(owner);
  }
  task_work work{m.tasks == 0 ? std::move(m.content) : m.content, t.asked};
  if (m.tasks == 0) forget_message(owner);
  ++t.life;
  t.trouble.reset();
  tasks_.remove(which);
  return work;
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
  t.previous_due() = no_slot;
  t.next_due() = m.due > 0 ? m.first : no_slot;
  if (m.due > 0) tasks_[m.first].previous_due() = which;
  m.first = which;
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
  for (auto which = m.first; which != no_slot; which = tasks_[which].next_due()) tasks.push_back(which);
  if (tasks.size() > 1)
    std::sort(tasks.begin(), tasks.end(), [&](slot a, slot b) { return tasks_[a].chain < tasks_[b].chain; });
  m.due = 0;
  m.due_heads = 0;
  leave_queue(m);
}

slot dispatch_queue::add_message(pipeline_index pipeline, position at) {
  const auto which = messages_.add();
  auto& m = messages_[which]; // new, or as it was forgotten: without content or tasks
  m.at = at;
  m.pipeline = pipeline;
  m.had_more = 0;
  return which;
}

void dispatch_queue::unlink_due(slot which) {
  auto& t = tasks_[which];
  auto& m = messages_[t.message];
  const auto previous = t.previous_due();
  const auto next = t.next_due();
  if (previous != no_slot)
    tasks_[previous].next_due() = next;
  else if (m.had_more == 1)
    m.first = next;
  if (next != no_slot) tasks_[next].previous_due() = previous;
  --m.due;
  if (t.head) --m.due_heads;
}

void dispatch_queue::forget_message(slot which) {
  const auto& m = messages_[which];
  message_by_position_.erase(m.at.value(), m.pipeline.value());
  messages_.remove(which);
}

void dispatch_queue::requeue(slot which) {
  auto& m = messages_[which];
  auto wanted = standing::nowhere;
  if (m.due > 0) wanted = m.due_heads > 0 ? standing::heads : standing::others;
  if (m.queued == wanted) return;
  if (m.queued != standing::nowhere) leave_queue(m);
  if (wanted != standing::nowhere) enter_queue(which, wanted);
}

void dispatch_queue::enter_queue(slot which, standing where) {
  auto& m = messages_[which];
  auto& p = pipelines_[m.pipeline.value()];
  const auto rank = static_cast<std::size_t>(where);
  m.queued = where;
  p.due[rank].push(m.at, which, queue_place());
  if (p.has_turn[rank]) return;
  p.has_turn[rank] = true;
  turns_[rank].push_back(m.pipeline);
}

void dispatch_queue::leave_queue(message& m) {
  auto& due = pipelines_[m.pipeline.value()].due[static_cast<std::size_t>(m.queued)];
  due.erase(m.queue_place, queue_place());
  m.queued = standing::nowhere;
}

} // namespace reseq::core
