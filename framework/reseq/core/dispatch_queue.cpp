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
  const auto owner = find_message(wanted.pipeline, wanted.at);
  if (owner == no_slot) return no_slot;
  const auto& m = messages_[owner];
  if (m.had_more == 0) return tasks_[m.first].chain == wanted.chain ? m.first : no_slot;
  return task_by_key_.find(hash_of(wanted), [&](slot which) { return key(which) == wanted; });
}

slot dispatch_queue::add(const task_key& key, bool head) {
  const auto owner = message_for(key.pipeline, key.at);
  const auto which = tasks_.add();
  auto& t = tasks_[which];
  const auto earlier = t.life;
  t = {};
  t.chain = key.chain;
  t.message = owner;
  t.life = earlier + 1;
  t.head = head;
  auto& m = messages_[owner];
  if (m.tasks == 1 && m.had_more == 0) index_tasks(m);
  if (m.had_more == 1) task_by_key_.insert(hash_of(key), which);
  ++m.tasks;
  make_due(which);
  return which;
}

void dispatch_queue::index_tasks(message& of) {
  task_by_key_.insert(hash_of(key(of.first)), of.first);
  of.had_more = 1;
}

void dispatch_queue::set_work(slot which, task_work work) {
  tasks_[which].asked = work.asked;
  messages_[tasks_[which].message].content = std::move(work.message);
}

task_work dispatch_queue::forget(slot which) {
  auto& t = tasks_[which];
  const auto owner = t.message;
  auto& m = messages_[owner];
  if (m.had_more == 1) task_by_key_.erase(hash_of(key(which)), which);
  if (t.phase == task_phase::due) unlink_due(which);
  --m.tasks;
  requeue(owner);
  task_work work{m.tasks == 0 ? std::move(m.content) : m.content, t.asked};
  if (m.tasks == 0) forget_message(owner);
  ++t.life;
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
  std::sort(tasks.begin(), tasks.end(), [&](slot a, slot b) { return tasks_[a].chain < tasks_[b].chain; });
  m.due = 0;
  m.due_heads = 0;
  requeue(owner);
}

slot dispatch_queue::find_message(pipeline_index pipeline, position at) const {
  return message_by_position_.find(hash_of(pipeline, at), [&](slot which) {
    return messages_[which].at == at && messages_[which].pipeline == pipeline;
  });
}

slot dispatch_queue::message_for(pipeline_index pipeline, position at) {
  const auto found = find_message(pipeline, at);
  if (found != no_slot) return found;
  const auto which = messages_.add();
  messages_[which] = message{};
  messages_[which].at = at;
  messages_[which].pipeline = pipeline;
  message_by_position_.insert(hash_of(pipeline, at), which);
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
  message_by_position_.erase(hash_of(m.pipeline, m.at), which);
  messages_.remove(which);
}

void dispatch_queue::requeue(slot which) {
  auto& m = messages_[which];
  auto wanted = standing::nowhere;
  if (m.due > 0) wanted = m.due_heads > 0 ? standing::heads : standing::others;
  if (m.queued == wanted) return;

  auto& p = pipelines_[m.pipeline.value()];
  const auto place = [this](slot s) -> std::uint32_t& { return messages_[s].queue_place; };
  const auto index_of = [](standing s) {
    return index(s == standing::heads ? dispatch_rank::heads : dispatch_rank::others);
  };
  if (m.queued != standing::nowhere) p.due[index_of(m.queued)].erase(m.queue_place, place);
  m.queued = wanted;
  if (wanted == standing::nowhere) return;
  const auto rank = index_of(wanted);
  p.due[rank].push(m.at, which, place);
  if (p.has_turn[rank]) return;
  p.has_turn[rank] = true;
  turns_[rank].push_back(m.pipeline);
}

} // namespace reseq::core
