#include "actors/journal_writer.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include <spdlog/spdlog.h>

#include "actors/step_down.hpp"
#include "actors/wall_clock.hpp"

namespace reseq::actors {
namespace {

constexpr auto expire_every = std::chrono::seconds{30};
constexpr auto probe_every = std::chrono::milliseconds{500};
constexpr std::uint64_t bytes_beside = 300;    // what a message takes in memory beside its own
constexpr std::uint32_t expire_at_once = 2000; // keeps each transaction short: producers wait behind it

/// Commits of one kind may go on failing while others work.
bool is_away(const error& why) { return why.code == errc::in_doubt || why.code == errc::unavailable; }

} // namespace

journal_actor::behavior_type writer_state::make_behavior(journal_actor::stateful_pointer<writer_state> to_self,
                                                         std::shared_ptr<store::journal> to_journal,
                                                         writer_options with, std::shared_ptr<metrics> counted) {
  self = to_self;
  journal = std::move(to_journal);
  options = with;
  measured = std::move(counted);
  clock.emplace(wall_now(), now());
  self->delayed_send(self, expire_every, wake{});
  return {
    [this](store::shard_handle shard, const shard_actor& owner) { shards[shard] = owner; },
    [this](submit& request) { take(request); },
    [this](save& request) { take(request); },
    [this](const accepted_taken& taken) {
      untaken_bytes -= taken.bytes;
      schedule();
    },
    [this](const refuse& from_now_on) { refused.insert_or_assign(from_now_on.shard, from_now_on.why); },
    [this](const recover& wish) { on(wish); },
    [this](flush) {
      flushing = false;
      if (untaken_bytes < options.max_untaken_bytes) commit(); // else `accepted_taken` asks for another
    },
    [this](probe) { look_again(); },
    [this](const wake&) { expire(); },
  };
}

void writer_state::take(submit& request) {
  if (request.decided && request.decided->exchange(true))
    return; // it has been refused: the commit before took too long
  if (const auto no = refused.find(request.shard); no != refused.end()) return request.done(tl::unexpected(no->second));
  auto& part = batch[request.shard];
  for (auto& s : request.submissions) batch_bytes += s.message->size_bytes() + bytes_beside;
  std::ranges::move(request.submissions, std::back_inserter(part.commit.submissions));
  part.submits.push_back(std::move(request));
  if (batch_bytes >= options.max_batch_bytes && untaken_bytes < options.max_untaken_bytes)
    commit();
  else
    schedule();
}

void writer_state::take(save& request) {
  auto& part = batch[request.shard];
  part.commit.change = std::move(request.change); // a shard has at most one under way
  part.saves = true;
  schedule();
}

/// The `flush` goes behind what is in the mailbox already: all of that joins the batch.
void writer_state::schedule() {
  if (flushing || batch.empty() || untaken_bytes >= options.max_untaken_bytes) return;
  flushing = true;
  self->send(self, flush{});
}

void writer_state::commit() {
  if (!batch.empty()) write();
}

void writer_state::write() {
  auto parts = std::exchange(batch, {});
  batch_bytes = 0;
  std::vector<store::shard_commit> commits;
  commits.reserve(parts.size());
  for (auto& [shard, part] : parts) {
    part.commit.shard = shard;
    commits.push_back(std::move(part.commit));
  }
  const auto began = now();
  measured->journal.began(began);
  auto done = journal->commit(commits, wall_now());
  measured->commits.Increment();
  const auto back = journal->take_gone_back();
  refuse_all(back);
  if (done)
    worked(commits);
  else if (done.error().code == errc::diverged)
    measured->journal.worked_in_part();
  else
    failed(commits, done.error());
  std::size_t index = 0;
  for (auto& [shard, part] : parts) {
    if (done)
      settle(part, std::move((*done)[index++]), began);
    else
      settle(part, tl::unexpected(told(shard, done.error())), began);
  }
  tell(back);
  schedule();
}

/// What a failed commit is to one shard: that another one has gone back is not its trouble.
error writer_state::told(store::shard_handle shard, const error& why) const {
  if (why.code != errc::diverged) return why;
  const auto no = refused.find(shard);
  return no != refused.end()
           ? no->second
           : error{errc::unavailable, "was to be written together with a shard that has diverged", "journal"};
}

/// Before anybody is answered, who is told of it.
void writer_state::refuse_all(const std::vector<store::gone_back>& found) {
  for (const auto& [shard, why] : found)
    refused.insert_or_assign(shard, error{errc::unavailable, "has diverged: " + why, "journal"});
}

void writer_state::tell(const std::vector<store::gone_back>& found) {
  for (const auto& [shard, why] : found) {
    if (const auto owner = shards.find(shard); owner != shards.end()) self->send(owner->second, journal_gone_back{why});
    let_go(shard);
  }
}

void writer_state::worked(const std::vector<store::shard_commit>& commits) {
  bool empty = true;
  for (const auto& one : commits) {
    doubted.erase(one.shard);
    empty = empty && one.submissions.empty() && one.change.empty();
    if (!one.submissions.empty()) troubled.erase({one.shard, kind::submissions});
    if (!one.change.empty()) troubled.erase({one.shard, kind::change});
  }
  if (empty) troubled.clear();
  if (!troubled.empty()) return measured->journal.worked_in_part();
  measured->journal.worked();
  away = false;
  if (std::exchange(failing, false)) spdlog::info("journal: works again");
}

/// Logged once for as long as it lasts.
void writer_state::failed(const std::vector<store::shard_commit>& commits, const error& why) {
  if (why.code == errc::fenced) step_down(why.what);
  if (!std::exchange(failing, true))
    spdlog::error("journal: nothing can be written, and is refused until it can: {}", why.text());
  if (why.code == errc::in_doubt)
    for (const auto& one : commits) doubted.insert(one.shard);
  for (const auto& one : commits) {
    if (!is_away(why)) break;
    if (!one.submissions.empty()) troubled.emplace(one.shard, kind::submissions);
    if (!one.change.empty()) troubled.emplace(one.shard, kind::change);
  }
  measured->journal.failed(why.text(), now());
  look_later(why);
}

void writer_state::look_later(const error& why) {
  away = why.transient();
  if (away && !std::exchange(probing, true)) self->delayed_send(self, probe_every, probe{});
}

/// By an empty commit: nobody else may come and commit something. It tells what became of commits in doubt, and that a
/// server which was away is back, or a disk has room again.
void writer_state::look_again() {
  probing = away || !doubted.empty();
  if (!probing) return;
  for (const auto shard : doubted) batch[shard];
  if (batch.empty() && !shards.empty()) batch[shards.begin()->first];
  if (batch.empty()) write(); // all shards were let go: the server alone is asked
  schedule();
  self->delayed_send(self, probe_every, probe{});
}

void writer_state::settle(collecting& part, result<store::shard_committed> outcome, time_point began) {
  const auto owner = shards.find(part.submits.empty() ? part.commit.shard : part.submits.front().shard);
  if (part.saves && owner != shards.end()) self->send(owner->second, saved{outcome.has_value(), began});
  if (!outcome) {
    for (auto& request : part.submits) request.done(tl::unexpected(outcome.error()));
    return;
  }
  // Before the receipts: who has one finds the message in the shard's state.
  if (!outcome->accepted.empty() && owner != shards.end()) tell(owner->second, std::move(outcome->accepted), began);
  auto next = outcome->receipts.begin();
  for (auto& request : part.submits) {
    const auto end = std::next(next, static_cast<std::ptrdiff_t>(request.submissions.size()));
    request.done(std::vector<result<receipt>>(std::make_move_iterator(next), std::make_move_iterator(end)));
    next = end;
  }
}

void writer_state::tell(const shard_actor& owner, std::vector<core::accepted_message> news, time_point began) {
  accepted told{std::move(news), 0, began};
  for (const auto& m : told.messages) told.bytes += m.message->size_bytes() + bytes_beside;
  untaken_bytes += told.bytes;
  self->send(owner, std::move(told));
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
  if (!done && is_away(done.error())) attempts.insert_or_assign(wish.shard, *how);
  if (done || is_away(done.error())) let_go(wish.shard);
  if (!done) return wish.done(tl::unexpected(std::move(done.error())));
  recovered.insert(wish.shard);
  wish.done(std::move(how));
}

/// It has another epoch, or may have: what was written for it now would look as if a later owner had taken it.
void writer_state::let_go(store::shard_handle shard) {
  if (auto left = batch.extract(shard)) {
    left.mapped().commit.shard = shard;
    for (const auto& s : left.mapped().commit.submissions) batch_bytes -= s.message->size_bytes() + bytes_beside;
    settle(left.mapped(), fail(errc::unavailable, "its pipeline is being recovered"), now());
  }
  shards.erase(shard);
  doubted.erase(shard);
  std::erase_if(troubled, [&](const auto& one) { return one.first == shard; });
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
  for (const auto& [shard, owner] : shards) {
    if (refused.contains(shard)) continue; // it has diverged: what a recovery has found must not go meanwhile
    measured->journal.began(now());        // producers wait behind this, too
    const auto gone = journal->expire(shard, before, today, expire_at_once);
    measured->journal.worked_in_part();
    if (!gone && gone.error().code == errc::fenced) step_down(gone.error().what); // it has nothing else to write
    if (gone) {
      more = more || *gone == expire_at_once;
      continue;
    }
    if (gone.error().code == errc::diverged) continue;
    spdlog::warn("journal: retention failed and will be tried again: {}", gone.error().text());
    look_later(gone.error()); // in a quiet hour nobody else notices that the server is away
  }
  const auto back = journal->take_gone_back();
  refuse_all(back);
  tell(back);
  self->delayed_send(self, more ? caf::timespan{std::chrono::milliseconds{10}} : caf::timespan{expire_every}, wake{});
}

} // namespace reseq::actors
