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
  return position{row[0][0].as<std::uint64_t>()};
}

error went_back(position ours, position theirs) {
  return {errc::corrupt,
          "the database has gone back in time: position " + std::to_string(ours.value()) +
            " was durable, now the last one is " + std::to_string(theirs.value()) + advice_after_going_back,
          "PostgreSQL"};
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
  if (!done) return tl::unexpected(done.error());
  auto answers = next->publish();
  report_adopted(parts, answers);
  return answers;
}

result<void> writer::recover(partitioned_shard& shard, const recovery& how, wall_time now) {
  auto db = ready();
  if (!db) return tl::unexpected(std::move(db.error()));
  if (std::erase(recovered_unheard_, &shard) > 0) return {};
  auto done = postgres::recover(**db, shard, how, now);
  if (done) std::erase(shards_, &shard);
  if (done || done.error().code != errc::in_doubt) return done;
  options_.tell(done.error().text());
  recovery_in_doubt_ = {&shard, how, now};
  return clear_recovery_doubt();
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
  const auto& [shard, how, at] = *recovery_in_doubt_;
  const auto happened = has_recovered(db, *shard, how, at, options_.opening.patience);
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
  return postgres::expire(**db, shard, before, now, max_messages);
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
      if (joined.error().code == errc::in_doubt) joined.error().code = errc::unavailable; // it only looked
      return tl::unexpected(std::move(joined.error()));
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
  const auto found = db.transact([&](pqxx::work& tx) { return look(db, tx); });
  if (!found) return tl::unexpected(found.error());
  if (!doubt_) return {};
  const bool happened = *found;
  options_.tell(std::string("PostgreSQL: the commit that the connection broke in ") +
                (happened ? "happened" : "did not happen"));
  if (happened)
    doubt_->answers = doubt_->what->publish();
  else
    doubt_.reset();
  return {};
}

/// Whether the commit in doubt happened; an error when the database is not what it was.
result<bool> writer::look(database& db, pqxx::work& tx) {
  if (shards_.empty()) return false;
  tx.exec("SET LOCAL lock_timeout = '" + std::to_string(options_.opening.patience.count()) + "ms'");
  const std::vector<owned_shard*> all(shards_.begin(), shards_.end());
  if (auto held = hold(db, tx, fence::accept, all); !held) return tl::unexpected(std::move(held.error()));
  bool accepted = false;
  bool accepts = false;
  for (auto* shard : shards_) {
    position before = shard->heads.last;
    if (doubt_)
      for (const auto& staged : doubt_->what->shards())
        if (&staged.shard() == shard) before = staged.last_before();
    const position theirs = last_position(db, tx, *shard);
    if (theirs < before) return tl::unexpected(went_back(before, theirs));
    accepts = accepts || shard->heads.last > before;
    accepted = accepted || (shard->heads.last > before && theirs > before);
    if (accepted && theirs < shard->heads.last) return tl::unexpected(went_back(shard->heads.last, theirs));
    record_backend(db, tx, *shard);
    read_partitions(db, tx, *shard);
  }
  return accepts ? accepted : doubt_ && doubt_->what->saved(db, tx);
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
