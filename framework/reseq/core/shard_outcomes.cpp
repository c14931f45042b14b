// What becomes of messages, and how that is made durable.
#include <algorithm>
#include <iterator>
#include <utility>

#include "reseq/core/shard_state.hpp"

namespace reseq::core {
namespace {

constexpr duration shortest_wait = std::chrono::milliseconds{100};
constexpr duration longest_wait = std::chrono::seconds{5};
constexpr std::uint32_t doublings = 6;

} // namespace

void journal_backoff::failed(time_point now) {
  until_ = now + std::min(shortest_wait * (1U << std::min(failures_, doublings)), longest_wait);
  ++failures_;
}

bool change_buffer::empty() const {
  return targets.empty() && held.empty() && dead_letters.empty() && operations.empty() && answers.empty() &&
         pauses.empty();
}

void change_buffer::put_back(change_buffer earlier) {
  const auto prepend = [](auto& later, auto& first) {
    later.insert(later.begin(), std::make_move_iterator(first.begin()), std::make_move_iterator(first.end()));
  };
  held.merge(earlier.held);
  prepend(dead_letters, earlier.dead_letters);
  prepend(operations, earlier.operations);
  prepend(answers, earlier.answers);
  prepend(pauses, earlier.pauses);
}

void shard::state::progress_changed(shard_target& t) {
  if (std::exchange(t.progress_changed, true)) return;
  changes.targets.push_back(index_of(t));
}

void shard::state::take_result(shard_target& t, sequence seq, content_ptr body, time_point now) {
  const bool early = t.keys ? t.keys->window.is_behind_unfinished(seq) : t.window.oldest_unfinished() < seq;
  if (early) ++counters.out_of_order;
  if (body) {
    const auto bytes_more = size_bytes(*body);
    t.keys ? t.keys->window.finish(seq, std::move(body), bytes_more, now)
           : t.window.finish(seq, std::move(body), bytes_more, now);
    if (outside) outside->finished(t.id, seq);
    touch(t);
  } else {
    ++counters.dropped;
    settle(t, seq, false, now);
  }
}

void shard::state::settle(shard_target& t, sequence seq, bool delivered, time_point now) {
  auto* here = t.find(seq);
  if (here != nullptr) release_job(t, seq, *here);
  if (here != nullptr && outside) outside->settled(t.id, seq);
  if (t.keys) {
    t.keys->window.settle(seq, delivered, now);
    if (delivered) t.book.count_delivery(seq);
  } else {
    if (here != nullptr) t.window.settle(seq, now);
    t.book.settle(seq, delivered);
  }
  if (delivered) {
    ++counters.delivered;
    ++t.delivered;
  }
  progress_changed(t);
  touch(t);
}

void shard::state::release_job(const shard_target& t, sequence seq, lane_slot& slot) {
  if (!slot.uses_job) return;
  slot.uses_job = false;
  if (release_job({slot.at, t.chain}, {index_of(t), seq})) out.withdrawn.push_back({slot.at, t.chain});
}

/// Whether it is to be withdrawn.
bool shard::state::release_job(work_key key, job_waiter who) {
  const auto job = jobs.release(key, who);
  if (job.forgotten && outside) outside->unneeded(key);
  return job.withdraw;
}

void shard::state::give_up_on(shard_target& t, give_up policy, held_record why, time_point now) {
  touch(t);
  const bool lets_pass = policy == give_up::dead_letter && t.book.dead_letters_in_a_row() < t.max_dead_letters;
  if (policy == give_up::dead_letter && !lets_pass) why.reason = hold_reason::dead_letters;
  auto& slot = *t.find(why.seq);
  out.abandoned.push_back({why, slot.message->id(), !lets_pass});
  if (lets_pass) {
    t.book.count_dead_letter();
    settle(t, why.seq, false, now);
    changes.dead_letters.push_back(std::move(why));
    return;
  }
  if (!slot.body) release_job(t, why.seq, slot);
  t.keys ? t.keys->window.hold(why.seq) : t.window.hold(why.seq);
  changes.held.insert_or_assign({t.id, why.seq}, why);
  const auto seq = why.seq;
  t.held.insert_or_assign(seq, held_message{std::move(why), false});
}

void shard::state::refused_by(shard_target& t, sequence seq, const receiver_answer& answer, time_point now,
                              wall_time wall) {
  const auto* slot = t.find(seq);
  give_up_on(t, t.on_refused,
             {t.id, seq, slot->at, hold_reason::refused, slot->deliveries, std::get<refused>(answer).why, wall}, now);
}

journal_change shard::state::begin_save() {
  saving = std::exchange(changes, {});
  journal_change change;
  change.progress.reserve(saving->targets.size());
  for (const auto index : saving->targets) {
    auto& t = targets[index];
    t.progress_changed = false;
    change.progress.push_back(t.book.begin_save());
    if (t.keys) t.keys->window.begin_save(change.progress.back(), change.parked, change.unparked);
  }
  for (const auto& [where, record] : saving->held) {
    if (record)
      change.held.push_back(*record);
    else
      change.unheld.push_back({where.first, where.second});
  }
  change.dead_letters = saving->dead_letters;
  change.operations = saving->operations;
  return change;
}

void shard::state::saved() {
  const auto done = *std::exchange(saving, std::nullopt);
  saves.worked();
  for (const auto index : done.targets) {
    auto& t = targets[index];
    t.book.saved();
    t.keys ? t.keys->window.saved() : t.window.trim(t.book);
    touch(t);
  }
  for (const auto& [where, record] : done.held) {
    auto& t = *find(where.first);
    if (const auto found = t.held.find(where.second); record && found != t.held.end()) found->second.durable = true;
  }
  std::ranges::copy(done.answers, std::back_inserter(out.answers));
  for (const auto& [index, token] : done.pauses) {
    targets[index].pausing.push_back(token);
    answer_pauses(targets[index]);
  }
}

void shard::state::save_failed(time_point now) {
  auto failed = *std::exchange(saving, std::nullopt);
  saves.failed(now);
  for (const auto index : failed.targets) {
    progress_changed(targets[index]);
    if (auto* keyed = targets[index].keys.get()) keyed->window.save_failed();
  }
  changes.put_back(std::move(failed));
}

} // namespace reseq::core
