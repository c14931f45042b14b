#include "reseq/core/shard.hpp"

#include <algorithm>
#include <utility>

#include "reseq/core/shard_state.hpp"

namespace reseq::core {
namespace {

std::unique_ptr<shard_mirror> make_mirror(const std::vector<shard_target>& targets, const resequencing& how) {
  std::vector<mirrored_lane> lanes;
  for (const auto& t : targets) lanes.push_back({t.id, t.window.next(), !t.keys, t.last});
  return std::make_unique<shard_mirror>(lanes, how);
}

keyed_target make_keyed(const destination_setup& setup, const shard_target& t, std::uint64_t seed, time_point now) {
  const auto& s = setup.settings;
  return {key_lane({{s.window, s.window_bytes, s.max_unsaved}, s.max_blocked_keys}, t.book.record(), setup.parked, now),
          key_delivery(s.connections, s.batch, s.retry_max, seed)};
}

} // namespace

shard_target::shard_target(destination_setup setup, std::uint64_t seed, time_point now)
  : id(setup.id), name(std::move(setup.settings.name)), chain(setup.own_chain ? setup.id.value() : 0),
    on_refused(setup.settings.on_refused), max_dead_letters(setup.settings.max_dead_letters),
    book(std::move(setup.progress)),
    window({setup.settings.window, setup.settings.window_bytes, setup.settings.max_unsaved}, book.watermark() + 1, now),
    delivery(setup.settings.batch, setup.settings.retry_max, seed ^ (setup.id.value() * 0xff51afd7ed558ccdU)),
    last(std::max(setup.last, book.watermark())), lost(std::move(setup.lost)) {
  for (auto& record : setup.held) {
    const auto seq = record.seq;
    if (!book.is_settled(seq)) held.emplace(seq, held_message{std::move(record), true});
  }
  if (setup.settings.order == delivery_order::key)
    keys = std::make_unique<keyed_target>(make_keyed(setup, *this, seed ^ setup.id.value(), now));
  const auto passed = keys ? keys->window.reached() : book.watermark();
  std::erase_if(lost, [&](const sequence_range& range) { return range.last <= passed; });
}

std::uint64_t shard_target::unsettled(std::uint64_t settled) const {
  std::uint64_t missing = 0;
  for (const auto& range : lost) missing += range.size();
  return last - sequence{settled} - missing;
}

const lane_slot* shard_target::find(sequence seq) const {
  return keys ? std::as_const(keys->window).find(seq) : window.find(seq);
}

lane_slot* shard_target::find(sequence seq) { return keys ? keys->window.find(seq) : window.find(seq); }

bool shard_target::is_head(sequence seq) const { return keys ? keys->window.is_head(seq) : window.head() == seq; }

bool shard_target::idle() const { return keys ? keys->delivery.idle() : delivery.idle(); }

shard::state::state(std::vector<destination_setup> setups, give_up exhausted, std::uint64_t seed, time_point now,
                    epoch own, std::optional<resequencing> how)
  : on_exhausted(exhausted), ours(own), unfilled(setups.size()) {
  targets.reserve(setups.size());
  for (auto& setup : setups) {
    const auto slot = setup.id.value();
    if (by_id.size() <= slot) by_id.resize(slot + 1);
    targets.emplace_back(std::move(setup), seed, now);
    by_id[slot] = static_cast<std::uint32_t>(targets.size());
    if (!targets.back().keys) skip_settled(targets.back(), now);
    if (!targets.back().lost.empty()) losing.push_back(index_of(targets.back()));
    touch(targets.back());
  }
  if (how) outside = make_mirror(targets, *how);
  settle_down(now);
}

shard::shard(std::vector<destination_setup> destinations, give_up on_exhausted, std::uint64_t seed, time_point now,
             epoch ours, std::optional<resequencing> outside)
  : state_(std::make_unique<state>(std::move(destinations), on_exhausted, seed, now, ours, outside)) {}
shard::~shard() = default;
shard::shard(shard&&) noexcept = default;
shard& shard::operator=(shard&&) noexcept = default;

void shard::accepted(const std::vector<accepted_message>& messages, time_point now) {
  auto& s = *state_;
  for (const auto& m : messages) {
    const auto bytes = m.message->size_bytes();
    for (const auto& place : m.enrolled) {
      auto* t = s.find(place.destination);
      if (t == nullptr) continue;
      t->last = std::max(t->last, place.seq);
      if (t->keys) {
        if (place.seq == t->keys->window.next()) s.offer(*t, m.at, m.message, now);
      } else if (place.seq == t->window.next()) {
        if (t->window.fits(bytes))
          s.admit(*t, m.at, m.message, bytes, now);
        else
          t->next_bytes = bytes;
      }
      s.touch(*t);
    }
  }
  s.settle_down(now);
}

void shard::backlog(destination_id destination, std::vector<backlog_item> items, time_point now) {
  auto* t = state_->find(destination);
  if (t == nullptr || !t->reading) return;
  t->reading = false;
  t->keys ? state_->take_key_backlog(*t, items, now) : state_->take_backlog(*t, items, now);
  state_->touch(*t);
  state_->settle_down(now);
}

void shard::searched(destination_id destination, key_backlog found, time_point now) {
  auto* t = state_->find(destination);
  if (t == nullptr || !t->reading) return;
  t->reading = false;
  state_->take_searched(*t, found, now);
  state_->touch(*t);
  state_->settle_down(now);
}

void shard::backlog_failed(destination_id destination, time_point now) {
  auto* t = state_->find(destination);
  if (t == nullptr || !t->reading) return;
  t->reading = false;
  t->reads.failed(now);
  if (t->keys) t->keys->window.read_failed();
  state_->touch(*t);
  state_->settle_down(now);
}

void shard::worked(std::vector<finished_work> all, time_point now) {
  auto& s = *state_;
  for (auto& one : all) {
    auto& done = one.done;
    const auto& waiting = s.jobs.finish({one.at, one.chain}, one.asked, done);
    if (waiting.empty()) ++s.counters.late_answers;
    if (s.outside && !waiting.empty())
      s.outside->worked(one, s.targets[waiting.front().lane].find(waiting.front().seq)->message->id());
    if (done.only_to) std::ranges::sort(*done.only_to);
    for (const auto& who : waiting) {
      auto& t = s.targets[who.lane];
      const bool meant = !done.only_to || std::ranges::binary_search(*done.only_to, t.id);
      s.take_result(t, who.seq, meant ? done.body : nullptr, now);
    }
  }
  s.settle_down(now);
}

void shard::gave_up(unfinished_work lost, time_point now, wall_time wall) {
  auto& s = *state_;
  const auto& [at, chain, attempts, last_error, asked, permanent] = lost;
  const auto reason = permanent ? hold_reason::permanent : hold_reason::exhausted;
  const auto waiting = s.jobs.give_up({at, chain}, asked);
  if (waiting.empty()) ++s.counters.late_answers;
  // Only heads are given up. For the lanes that are not there yet, the work starts anew.
  for (const auto& who : waiting) {
    auto& t = s.targets[who.lane];
    if (t.is_head(who.seq)) continue;
    if (const auto again = s.jobs.wait_again({at, chain}, who))
      s.out.work.push_back({at, chain, t.find(who.seq)->message, false, *again});
  }
  for (const auto& who : waiting) {
    auto& t = s.targets[who.lane];
    if (t.is_head(who.seq) && t.find(who.seq)->state == slot_state::pending)
      s.give_up_on(t, s.on_exhausted, {t.id, who.seq, at, reason, attempts, last_error, wall}, now);
  }
  s.settle_down(now);
}

void shard::answered(destination_id destination, request_id request, const receiver_answer& answer, time_point now,
                     wall_time wall) {
  auto& s = *state_;
  auto* t = s.find(destination);
  if (t != nullptr && t->keys) {
    s.answered_by_key(*t, request, answer, now, wall);
    return;
  }
  const auto verdict = t == nullptr ? delivery_verdict::late : t->delivery.answer(request, answer, now);
  if (verdict == delivery_verdict::late) {
    ++s.counters.late_answers;
    return;
  }
  --s.requests_under_way;
  if (const auto* old = std::get_if<stale>(&answer); old != nullptr && old->seen > s.ours) s.out.check_epoch = true;
  if (verdict == delivery_verdict::delivered) {
    for (auto seq = t->window.head(), end = t->window.cursor(); seq < end; ++seq)
      if (t->window.find(seq)->state == slot_state::sent) s.settle(*t, seq, true, now);
  } else {
    t->window.take_back();
  }
  if (verdict == delivery_verdict::refused) s.refused_by(*t, t->window.head(), answer, now, wall);
  if (t->book.paused()) s.answer_pauses(*t);
  s.touch(*t);
  s.settle_down(now);
}

void shard::saved(time_point now) {
  if (!state_->saving) return;
  state_->saved();
  state_->settle_down(now);
}

void shard::save_failed(time_point now) {
  if (!state_->saving) return;
  state_->save_failed(now);
  if (state_->diverged) state_->refuse_waiting();
}

void shard::lanes_opened(mirror_call_id call, const lanes_found& found, time_point now) {
  auto& s = *state_;
  s.outside->opened(
    call, found, [&](work_key key) { return s.jobs.has(key); }, now);
  s.settle_down(now);
}

void shard::diverge(std::string why) {
  auto& s = *state_;
  if (s.diverged) return;
  s.diverged = why;
  s.out.diverged = std::move(why);
  s.out.lanes.reset();
  s.refuse_waiting();
}

void shard::lanes_answered(mirror_call_id call, const lane_answers& answers, time_point now) {
  state_->outside->answered(call, answers, now);
  state_->settle_down(now);
}

void shard::lanes_failed(mirror_call_id call, const error& why, time_point now) {
  state_->outside->failed(call, why, now);
  if (why.code == errc::diverged) diverge(why.what);
  state_->settle_down(now);
}

void shard::loaded(result<std::vector<stored_result>> found, time_point now) {
  worked(state_->outside->loaded(std::move(found)), now);
}

const shard_mirror* shard::outside() const { return state_->outside.get(); }

void shard::drain() { state_->draining = true; }

const std::optional<std::string>& shard::diverged() const { return state_->diverged; }

bool shard::drained() const {
  const auto& s = *state_;
  return s.draining && s.requests_under_way == 0 && !s.saving && (s.changes.empty() || s.diverged);
}

void shard::tick(time_point now) {
  auto& s = *state_;
  if (s.saves.until() && *s.saves.until() <= now) s.saves.elapsed();
  if (s.outside) s.outside->tick(now);
  while (!s.wakeups.empty() && s.wakeups.begin()->first <= now) {
    auto& t = s.targets[s.wakeups.begin()->second];
    s.wakeups.erase(s.wakeups.begin());
    t.wakeup.reset();
    s.touch(t);
  }
  s.settle_down(now);
}

std::optional<time_point> shard::wakeup() const {
  auto due = state_->saves.until();
  if (const auto& waiting = state_->wakeups; !waiting.empty() && (!due || waiting.begin()->first < *due))
    due = waiting.begin()->first;
  if (state_->outside && !state_->diverged)
    if (const auto call = state_->outside->wakeup(); call && (!due || *call < *due)) due = call;
  return due;
}

effects shard::take() {
  auto& s = *state_;
  if (!s.diverged && !s.saving && !s.saves.until() && !s.changes.empty()) s.out.save = s.begin_save();
  return std::exchange(s.out, {});
}

const shard_counters& shard::counters() const { return state_->counters; }
std::uint64_t shard::messages_in_memory() const { return state_->messages; }
std::uint64_t shard::bytes_in_memory() const { return state_->bytes; }

} // namespace reseq::core
