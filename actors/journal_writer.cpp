#include "actors/journal_writer.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <spdlog/spdlog.h>

#include "actors/step_down.hpp"
#include "actors/wall_clock.hpp"

namespace reseq::actors {
namespace {

using health = store::group_commit::health;

constexpr auto expire_every = std::chrono::seconds{30};
constexpr auto look_every = std::chrono::milliseconds{500};
constexpr std::uint32_t expire_at_once = 2000; // keeps each transaction short: producers wait behind it

} // namespace

journal_actor::behavior_type writer_state::make_behavior(journal_actor::stateful_pointer<writer_state> to_self,
                                                         std::shared_ptr<store::journal> to_journal,
                                                         writer_options with, std::shared_ptr<metrics> counted) {
  self = to_self;
  journal = std::move(to_journal);
  options = with;
  measured = std::move(counted);
  clock.emplace(wall_now(), now());
  group.emplace(store::group_limits{with.max_untaken_bytes, with.max_batch_bytes});
  self->delayed_send(self, expire_every, wake{});
  return {
    [this](store::shard_handle shard, const shard_actor& owner) {
      shards[shard] = owner;
      group->add(shard);
    },
    [this](submit& request) { take(request); },
    [this](save& request) {
      group->save(request.shard, std::move(request.change));
      go_on();
    },
    [this](const accepted_taken& taken) {
      group->taken(taken.bytes);
      go_on();
    },
    [this](const refuse& from_now_on) { group->refuse(from_now_on.shard, from_now_on.why); },
    [this](const recover& wish) { on(wish); },
    [this](flush) {
      group->flushed();
      go_on();
    },
    [this](probe) {
      group->look_again();
      look_later();
      go_on();
    },
    [this](const wake&) { expire(); },
  };
}

void writer_state::take(submit& request) {
  if (request.decided && request.decided->exchange(true))
    return; // it has been refused: the commit before took too long
  if (const auto* no = group->refusal(request.shard)) return request.done(tl::unexpected(*no));
  group->submit(request.shard, std::move(request.submissions), std::move(request.done));
  go_on();
}

void writer_state::go_on() {
  using step = store::group_commit::step;
  auto next = group->next();
  for (; next == step::now; next = group->next()) commit();
  // Behind what is in the mailbox already: all of that joins the batch.
  if (next == step::soon) self->send(self, flush{});
}

void writer_state::commit() {
  const auto commits = group->begin();
  const auto began = now();
  measured->journal.began(began);
  auto done = journal->commit(commits, wall_now());
  measured->commits.Increment();
  const auto why = done ? std::optional<error>{} : done.error();
  const auto back = journal->take_gone_back();
  group->refuse(back);
  auto outcome = group->finish(std::move(done));
  on(outcome.how, why ? &*why : nullptr);
  for (auto& news : outcome.shards) tell(news, began);
  tell(back);
}

/// Logged once for as long as it lasts.
void writer_state::on(health how, const error* why) {
  if (why != nullptr && why->code == errc::fenced) step_down(why->what);
  switch (how) {
  case health::works_again: spdlog::info("journal: works again"); [[fallthrough]];
  case health::works: return measured->journal.worked();
  case health::works_in_part: return measured->journal.worked_in_part();
  case health::fails_now:
    spdlog::error("journal: nothing can be written, and is refused until it can: {}", why->text());
    [[fallthrough]];
  case health::failed: measured->journal.failed(why->text(), now()); break;
  }
  look_later();
}

void writer_state::look_later() {
  if (group->wants_look()) self->delayed_send(self, look_every, probe{});
}

void writer_state::tell(store::group_commit::news& news, time_point began) {
  const auto owner = shards.find(news.shard);
  if (owner != shards.end()) {
    if (news.saved) self->send(owner->second, saved{*news.saved, began});
    if (!news.accepted.empty()) self->send(owner->second, accepted{std::move(news.accepted), news.bytes, began});
  }
  for (auto& [to, what] : news.receipts) to(std::move(what));
}

void writer_state::tell(const std::vector<store::gone_back>& found) {
  for (const auto& [shard, why] : found) {
    if (const auto owner = shards.find(shard); owner != shards.end()) self->send(owner->second, journal_gone_back{why});
    let_go(shard);
  }
}

void writer_state::on(const recover& wish) {
  if (recovered.contains(wish.shard))
    return wish.done(fail(errc::conflict, "it is recovered, and runs again once everything has been opened anew"));
  auto how = plan(wish);
  // After an attempt that was done, and of which nobody has heard, nothing is behind any more.
  if (const auto before = attempts.find(wish.shard); !how && how.error().code == errc::conflict)
    if (before != attempts.end()) how = before->second;
  if (!how || wish.dry_run) return wish.done(std::move(how));
  auto done = journal->recover(wish.shard, *how, wall_now());
  const bool unknown = !done && (done.error().code == errc::unavailable || done.error().code == errc::in_doubt);
  if (unknown) attempts.insert_or_assign(wish.shard, *how);
  if (done || unknown) let_go(wish.shard);
  if (!done) return wish.done(tl::unexpected(std::move(done.error())));
  recovered.insert(wish.shard);
  wish.done(std::move(how));
}

void writer_state::let_go(store::shard_handle shard) {
  auto left = group->let_go(shard);
  tell(left, now());
  shards.erase(shard);
}

result<store::recovery> writer_state::plan(const recover& wish) {
  auto found = journal->findings(wish.shard);
  if (!found) return tl::unexpected(std::move(found.error()));
  found->owner_seen = std::max(found->owner_seen, wish.seen.owner);
  found->seen = std::max(found->seen, wish.seen.last);
  found->back = wish.back;
  found->takes_over = wish.take_over;
  for (const auto& [id, has] : wish.received) {
    found->owner_seen = std::max(found->owner_seen, has.owner);
    found->seen = std::max(found->seen, has.last_position);
  }
  for (auto& of : found->destinations) {
    for (const auto& lane : wish.seen.lanes)
      if (lane.destination == of.id) of.seen = std::max(of.seen, lane.reached);
    for (const auto& [id, has] : wish.received)
      if (id == of.id) {
        of.seen = std::max(of.seen, has.last);
        of.keeps_itself = true;
      }
  }
  return plan_recovery(*found, wish.why);
}

void writer_state::expire() {
  const auto today = clock->look(wall_now(), now());
  const auto before = today - std::chrono::duration_cast<std::chrono::milliseconds>(options.retention);
  bool more = false;
  for (const auto& [shard, owner] : shards)
    if (group->refusal(shard) == nullptr) more = expire(shard, before, today) || more;
  const auto back = journal->take_gone_back();
  group->refuse(back);
  tell(back);
  self->delayed_send(self, more ? caf::timespan{std::chrono::milliseconds{10}} : caf::timespan{expire_every}, wake{});
}

bool writer_state::expire(store::shard_handle shard, wall_time before, wall_time today) {
  measured->journal.began(now()); // producers wait behind this, too
  const auto gone = journal->expire(shard, before, today, expire_at_once);
  measured->journal.worked_in_part();
  if (gone) return *gone == expire_at_once;
  if (gone.error().code == errc::fenced) step_down(gone.error().what); // it has nothing else to write
  if (gone.error().code == errc::diverged) return false;
  spdlog::warn("journal: retention failed and will be tried again: {}", gone.error().text());
  group->failed_elsewhere(gone.error()); // in a quiet hour nobody else notices that the server is away
  look_later();
  return false;
}

} // namespace reseq::actors
