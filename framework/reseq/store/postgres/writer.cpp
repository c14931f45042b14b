#include "reseq/store/postgres/writer.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "reseq/store/postgres/partitions.hpp"
#include "reseq/store/postgres/recovery.hpp"
#include "reseq/store/postgres/retention.hpp"

namespace reseq::store::postgres {

namespace {

constexpr int attempts_to_rejoin = 3;

/// Producers wait meanwhile.
constexpr std::chrono::milliseconds patience_with_locks{1000};
constexpr std::chrono::milliseconds patience_with_locks_ahead{50}; ///< while there is room in the last partition
constexpr std::chrono::seconds between_partitions{1};
constexpr const char* wait_a_moment = "SET LOCAL lock_timeout = '100ms'";

using std::chrono::steady_clock;

/// The last position that the database has.
position last_position(database& db, pqxx::work& tx, const partitioned_shard& shard) {
  const auto row = db.run(
    tx,
    "SELECT greatest(indexed_position, forgotten_position, (SELECT max(position) FROM reseq.message WHERE shard = "
    "$1)) FROM reseq.shard WHERE number = $1",
    shard.number);
  return row.empty() ? position{} : position{row[0][0].as<std::uint64_t>()};
}

std::string went_back(position ours, position theirs) {
  return "the database has gone back in time: position " + std::to_string(ours.value()) +
         " was durable, now the last one is " + std::to_string(theirs.value()) + advice_after_going_back;
}

/// For what only looks.
result<void> never_in_doubt(result<void> looked) {
  if (!looked && looked.error().code == errc::in_doubt) looked.error().code = errc::unavailable;
  return looked;
}

result<void> refuse_gone_back(const partitioned_shard& shard) {
  if (shard.gone_back.empty()) return {};
  return fail(errc::diverged, shard.gone_back, "PostgreSQL");
}

result<void> refuse_gone_back(std::span<const commit_part> parts) {
  for (const auto& part : parts)
    if (auto fine = refuse_gone_back(*part.shard); !fine) return fine;
  return {};
}

} // namespace

writer::writer(const server_url& url, std::unique_ptr<database> connected, const id_keys& keys, writer_options options)
  : keys_(keys), options_(std::move(options)), link_(url, std::move(connected), "writing", options_.tell),
    joined_(link_.session()) {}

result<opened_shard> writer::open(const shard_id& shard, const definition& what,
                                  std::span<const destination_spec> destinations) {
  auto db = ready();
  if (!db) return tl::unexpected(std::move(db.error()));
  auto opened = open_shard(**db, options_.opening, shard, what, destinations, shards_);
  if (!opened) return opened;
  if (!opened->taken_from.empty())
    options_.tell("PostgreSQL: pipeline " + shard.pipeline + " is taken over from node " + opened->taken_from);
  std::erase_if(shards_, [&](const auto* earlier) { return earlier->number == opened->owned->number; });
  shards_.push_back(opened->owned.get());
  return opened;
}

result<std::vector<left_behind>> writer::left_behind_elsewhere() {
  auto db = ready();
  if (!db) return tl::unexpected(std::move(db.error()));
  const std::vector<owned_shard*> ours(shards_.begin(), shards_.end());
  return find_left_behind(**db, options_.opening, ours);
}

/// A session that ended while nobody used it, as when the server was restarted in a quiet hour, shows when it is used
/// next. If all is well again since, nobody needs to hear of it: nothing of the commit had been sent.
result<std::vector<shard_committed>> writer::commit(std::span<const commit_part> parts, wall_time now) {
  auto done = try_commit(parts, now, {});
  if (done || done.error().code != errc::unavailable || !link_.has_just_broken()) return done;
  return try_commit(parts, now, options_.reconnect_patience);
}

result<std::vector<shard_committed>> writer::try_commit(std::span<const commit_part> parts, wall_time now,
                                                        std::chrono::milliseconds patience) {
  auto db = ready(patience);
  if (!db) return tl::unexpected(std::move(db.error()));
  if (auto fine = refuse_gone_back(parts); !fine) return tl::unexpected(std::move(fine.error()));
  if (auto room = make_room(**db, parts); !room) return tl::unexpected(std::move(room.error()));
  auto next = std::make_unique<batch>(keys_, now, ++batches_);
  const auto done = (*db)->transact([&](pqxx::work& tx) {
    if (is_locked_out(parts)) tx.exec(wait_a_moment);
    return next->write(**db, tx, parts);
  });
  note_locks(parts, done);
  if (!done && done.error().code == errc::in_doubt) {
    options_.tell(done.error().text());
    return clear_doubt(std::move(next), parts);
  }
  if (!done) return tl::unexpected(note_gone_back(**db, done.error()));
  auto answers = next->publish();
  report_adopted(parts, answers);
  return answers;
}

/// What it has given is known to this process alone, and may have been delivered.
result<recovery_findings> writer::findings(const partitioned_shard& shard) {
  if (shard.gone_back.empty()) return shard.findings();
  auto db = ready();
  if (!db) return tl::unexpected(std::move(db.error()));
  const auto now = read_again(**db, options_.opening, shard);
  if (!now) return tl::unexpected(now.error());
  auto found = now->owned->findings();
  found.owner_seen = shard.owner;
  found.seen = shard.heads.last;
  for (auto& of : found.destinations) {
    const auto given = shard.heads.destinations.find(of.id);
    if (given == shard.heads.destinations.end()) continue;
    of.seen = given->second.last;
    of.keeps_itself = true; // nothing later was given, so nobody has got it
  }
  return found;
}

result<void> writer::recover(partitioned_shard& shard, const recovery& how, wall_time now) {
  auto db = ready();
  if (!db) return tl::unexpected(std::move(db.error()));
  if (std::erase(recovered_unheard_, &shard) > 0) return {};
  if (!shard.gone_back.empty())
    if (const auto row = row_of(**db, shard.name); !row) return tl::unexpected(row.error());
  auto done = recover(**db, shard, how, now);
  if (done) std::erase(shards_, &shard);
  if (done || done.error().code != errc::in_doubt) return done;
  options_.tell(done.error().text());
  return clear_recovery_doubt();
}

result<void> writer::recover(database& db, partitioned_shard& shard, const recovery& how, wall_time now) {
  const auto doubt = [&](std::uint64_t number, result<void> done) {
    if (!done && done.error().code == errc::in_doubt) recovery_in_doubt_ = {&shard, number, how, now};
    return done;
  };
  if (shard.gone_back.empty()) {
    auto done = doubt(shard.number, postgres::recover(db, shard, how, now));
    if (!done && done.error().code == errc::diverged) done.error() = note_gone_back(db, done.error());
    return done;
  }
  const auto again = read_again(db, options_.opening, shard);
  if (!again) return tl::unexpected(again.error());
  return doubt(again->owned->number, postgres::recover(db, *again->owned, how, now, again->unrecorded));
}

result<void> writer::clear_recovery_doubt() {
  auto* const shard = recovery_in_doubt_->shard;
  const auto db = rejoined(options_.doubt_patience);
  if (!db && db.error().code != errc::unavailable) return tl::unexpected(db.error());
  if (recovery_in_doubt_)
    return fail(errc::unavailable,
                "the connection broke while the server was recovering it, and it is away since: ask again when it is "
                "back, which says whether it is done",
                "PostgreSQL");
  if (std::erase(recovered_unheard_, shard) > 0) return {};
  return fail(errc::unavailable, "the server broke off before it had recovered it: ask again", "PostgreSQL");
}

/// Before the fences of all shards are held: one that was recovered has another epoch.
result<void> writer::look_for_recovery(database& db) {
  const auto& [shard, number, how, at] = *recovery_in_doubt_;
  const auto happened = has_recovered(db, number, how, at, options_.opening.patience);
  if (!happened) return tl::unexpected(happened.error());
  options_.tell("PostgreSQL: the recovery of pipeline " + shard->name.pipeline + " that the connection broke in " +
                (*happened ? "happened" : "did not happen"));
  if (*happened) {
    std::erase(shards_, shard);
    recovered_unheard_.push_back(shard);
  }
  recovery_in_doubt_.reset();
  return {};
}

result<std::uint64_t> writer::expire(partitioned_shard& shard, wall_time before, wall_time now,
                                     std::uint32_t max_messages) {
  auto db = ready();
  if (!db) return tl::unexpected(std::move(db.error()));
  if (auto fine = refuse_gone_back(shard); !fine) return tl::unexpected(std::move(fine.error()));
  auto gone = postgres::expire(**db, shard, before, now, max_messages, options_.opening.partitions.fills_in);
  if (!gone) gone.error() = note_gone_back(**db, gone.error());
  return gone;
}

/// The server is up again in a moment if one of its processes died, and then everybody can be told what happened.
result<std::vector<shard_committed>> writer::clear_doubt(std::unique_ptr<batch> what,
                                                         std::span<const commit_part> parts) {
  doubt_ = doubt{std::move(what), {}, {}};
  for (const auto& part : parts) doubt_->shards.push_back(part.shard);
  const auto db = rejoined(options_.doubt_patience);
  if (!db && db.error().code == errc::unavailable)
    return fail(errc::in_doubt, "the connection broke while the server was committing, and it is away since",
                "PostgreSQL");
  if (!db) return tl::unexpected(db.error());
  if (!doubt_)
    if (auto fine = refuse_gone_back(parts); !fine) return tl::unexpected(std::move(fine.error()));
  if (!doubt_) return fail(errc::unavailable, "the server broke off before it had committed", "PostgreSQL");
  auto answers = std::move(*std::exchange(doubt_, std::nullopt)->answers);
  report_adopted(parts, answers);
  return answers;
}

result<database*> writer::ready(std::chrono::milliseconds patience) {
  auto db = rejoined(patience);
  if (db && doubt_) adopt_late();
  return db;
}

/// The connection, when what was under way in an earlier session is known.
result<database*> writer::rejoined(std::chrono::milliseconds longest) {
  auto db = link_.get(longest);
  if (!db || joined_ == link_.session()) return db;
  for (int attempt = 1;; ++attempt) {
    auto joined = rejoin(**db);
    if (joined) break;
    if (attempt == attempts_to_rejoin || !is_lock_timeout(joined.error())) {
      return tl::unexpected(never_in_doubt(std::move(joined)).error());
    }
    for (const auto* shard : shards_)
      if (auto ended = end_recorded_backend(**db, shard->number); !ended)
        return tl::unexpected(std::move(ended.error()));
  }
  joined_ = link_.session();
  return db;
}

result<void> writer::rejoin(database& db) {
  if (recovery_in_doubt_)
    if (auto known = look_for_recovery(db); !known) return known;
  auto found = db.transact([&](pqxx::work& tx) { return look(db, tx); });
  if (!found) return tl::unexpected(found.error());
  for (auto& [shard, why] : found->gone_back) {
    shard->gone_back = std::move(why);
    std::erase(shards_, shard);
    found_gone_back_.push_back(shard);
  }
  if (!doubt_) return {};
  options_.tell(std::string("PostgreSQL: the commit that the connection broke in ") +
                (found->happened ? "happened" : "did not happen"));
  if (found->happened)
    doubt_->answers = doubt_->what->publish();
  else
    doubt_.reset();
  return {};
}

/// What became of the commit in doubt, and what the database lacks.
result<writer::looked> writer::look(database& db, pqxx::work& tx) {
  looked out;
  if (shards_.empty()) return out;
  tx.exec("SET LOCAL lock_timeout = '" + std::to_string(options_.opening.patience.count()) + "ms'");
  const std::vector<owned_shard*> all(shards_.begin(), shards_.end());
  auto held = hold_or_tell(db, tx, fence::accept, all);
  if (!held) return tl::unexpected(std::move(held.error()));
  bool accepted = false;
  bool accepts = false;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    auto& shard = *shards_[i];
    auto& back = (*held)[i];
    const position before = confirmed(shard);
    const bool in_doubt = shard.heads.last > before;
    const position theirs = last_position(db, tx, shard);
    accepts = accepts || in_doubt;
    accepted = accepted || (in_doubt && theirs > before);
    const auto least = accepted ? shard.heads.last : before;
    if (back.empty() && theirs < least) back = went_back(least, theirs);
    if (!back.empty()) {
      out.gone_back.emplace_back(&shard, std::move(back));
      continue;
    }
    record_backend(db, tx, shard);
    read_partitions(db, tx, shard);
  }
  out.happened = accepts ? accepted : doubt_ && doubt_->what->saved(db, tx);
  return out;
}

/// The last position that somebody may have been told of.
position writer::confirmed(const partitioned_shard& shard) const {
  if (doubt_)
    for (const auto& staged : doubt_->what->shards())
      if (&staged.shard() == &shard) return staged.last_before();
  return shard.heads.last;
}

/// After `errc::diverged`, from a fence: finds out which shards that goes for.
error writer::note_gone_back(database& db, error why) {
  if (why.code != errc::diverged) return why;
  if (auto seen = never_in_doubt(rejoin(db)); !seen) return seen.error();
  return why;
}

result<void> writer::make_room(database& db, std::span<const commit_part> parts) {
  for (const auto& [shard, wanted] : parts) {
    const auto count = wanted->submissions.size();
    if (count == 0 || !partition_is_due(*shard, count)) continue;
    const bool needed = shard->heads.last + count >= shard->partitions.back().end;
    if (!needed && steady_clock::now() < shard->next_partition_from) continue;
    auto added = add_partition(db, *shard, count, options_.opening.partitions,
                               needed ? patience_with_locks : patience_with_locks_ahead);
    if (!added && (needed || db.broken())) return added;
    if (!added) shard->next_partition_from = steady_clock::now() + between_partitions;
  }
  return {};
}

bool writer::is_locked_out(std::span<const commit_part> parts) const {
  return std::ranges::any_of(
    parts, [&](const auto& part) { return std::ranges::find(locked_out_, part.shard) != locked_out_.end(); });
}

void writer::note_locks(std::span<const commit_part> parts, const result<void>& done) {
  if (locked_out_.empty() && done) return; // as nearly always
  const bool locked = !done && is_lock_timeout(done.error());
  if (!done && !locked) return;
  for (const auto& part : parts) {
    std::erase(locked_out_, part.shard);
    if (locked) locked_out_.push_back(part.shard);
  }
}

/// Nobody waits for the answers any more, but the messages are there.
void writer::adopt_late() {
  auto late = std::exchange(doubt_, std::nullopt);
  for (std::size_t i = 0; i < late->shards.size(); ++i) {
    auto& messages = (*late->answers)[i].accepted;
    auto& waiting = adopted_[late->shards[i]];
    std::move(messages.begin(), messages.end(), std::back_inserter(waiting));
  }
}

void writer::report_adopted(std::span<const commit_part> parts, std::vector<shard_committed>& answers) {
  for (std::size_t i = 0; i < parts.size() && !adopted_.empty(); ++i) {
    auto waiting = adopted_.extract(parts[i].shard);
    if (!waiting) continue;
    auto& accepted = answers[i].accepted;
    accepted.insert(accepted.begin(), std::make_move_iterator(waiting.mapped().begin()),
                    std::make_move_iterator(waiting.mapped().end()));
  }
}

} // namespace reseq::store::postgres
