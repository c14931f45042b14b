#include "reseq/store/sqlite/committer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "reseq/core/sequencer.hpp"
#include "reseq/store/sqlite/changes.hpp"
#include "reseq/store/sqlite/schema.hpp"
#include "reseq/store/staged_batch.hpp"

namespace reseq::store::sqlite {

namespace {

std::string_view bytes(const digest& fingerprint) {
  return {reinterpret_cast<const char*>(fingerprint.data()), fingerprint.size()};
}

digest digest_of(std::string_view stored) {
  digest fingerprint{};
  std::memcpy(fingerprint.data(), stored.data(), std::min(stored.size(), fingerprint.size()));
  return fingerprint;
}

class committer {
public:
  committer(connection& db, const id_keys& keys, std::span<const commit_part> parts, wall_time now)
    : db_(db), keys_(keys), parts_(parts), now_ms_(now.time_since_epoch().count()) {}

  result<std::vector<shard_committed>> commit() {
    transaction tx(db_, transaction::kind::write);
    for (std::size_t i = 0; i < parts_.size() && db_.ok(); ++i) apply(i);
    if (is_empty() && db_.ok()) try_out();
    for (auto& staged : batch_.shards()) write_indexes(db_, staged.shard(), staged.indexes());
    return batch_.finish(tx.commit());
  }

private:
  [[nodiscard]] bool is_empty() const {
    return !batch_.shards().empty() && std::ranges::all_of(parts_, [](const commit_part& part) {
      return part.wanted->submissions.empty() && part.wanted->change.empty();
    });
  }

  /// Pages that were touched are written, whatever is in them in the end.
  void try_out() {
    const auto& shard = batch_.shards().front().shard();
    db_.use("INSERT INTO unrouted VALUES (?, ?, '', x'', ?)")
      .number(place(shard.number, 0))
      .number(shard.number)
      .signed_number(now_ms_)
      .run();
    db_.use("DELETE FROM unrouted WHERE place = ?").number(place(shard.number, 0)).run();
  }

  staged_shard& stage(owned_shard& shard) {
    if (batch_.find(shard) == nullptr) check_epoch(db_, shard);
    return batch_.stage(shard);
  }

  void apply(std::size_t part) {
    const shard_commit& wanted = *parts_[part].wanted;
    staged_shard& staged = stage(*parts_[part].shard);
    if (!wanted.change.empty()) apply_change(staged, wanted.change);
    auto& answer = batch_.answer();
    if (wanted.submissions.empty()) return;

    auto decided = staged.sequence(wanted.submissions, look_up(staged, wanted.submissions));
    answer = {std::move(decided.receipts), std::move(decided.accepted)};
    for (std::size_t i = 0; i < answer.accepted.size(); ++i)
      store(staged, wanted.submissions[decided.accepted_from[i]], answer.accepted[i]);
    for (const auto index : decided.unrouted) store_unrouted(staged, wanted.submissions[index]);
  }

  void apply_change(staged_shard& staged, const core::journal_change& change) {
    write_change(db_, staged.shard(), change);
    if (db_.ok()) staged.settle(change);
  }

  known_ids look_up(const staged_shard& staged, const std::vector<submission>& submissions) {
    known_ids known;
    for (const auto& wanted : submissions) {
      const std::string& id = wanted.message->id();
      if (auto found = find(staged, id)) known.emplace(id, *found);
    }
    return known;
  }

  std::optional<core::known_id> find(const staged_shard& staged, const std::string& id) {
    const std::uint64_t key = keys_(id);
    auto candidates = staged.find(key);
    append_indexed(staged.shard(), key, candidates);
    for (const auto at : candidates)
      if (auto found = same_id(staged.shard(), at, id)) return found;
    return staged.shard().has_unrouted ? find_unrouted(staged.shard(), id) : std::nullopt;
  }

  void append_indexed(const owned_shard& shard, std::uint64_t key, std::vector<position>& candidates) {
    auto rows = db_.use("SELECT position FROM id_index WHERE shard = ? AND id_key = ?");
    rows.number(shard.number).number(key);
    while (rows.next()) candidates.emplace_back(rows.number_at(0));
  }

  std::optional<core::known_id> same_id(const owned_shard& shard, position at, const std::string& id) {
    auto row = db_.use("SELECT id, fingerprint FROM message WHERE place = ?");
    row.number(place(shard.number, at.value()));
    if (!row.next() || row.bytes_at(0) != id) return std::nullopt;
    return core::known_id{at, digest_of(row.bytes_at(1))};
  }

  std::optional<core::known_id> find_unrouted(const owned_shard& shard, const std::string& id) {
    auto row = db_.use("SELECT fingerprint FROM unrouted WHERE shard = ? AND id = ?");
    row.number(shard.number).text(id);
    if (!row.next()) return std::nullopt;
    return core::known_id{position{}, digest_of(row.bytes_at(0))};
  }

  void store(staged_shard& staged, const submission& wanted, const core::accepted_message& accepted) {
    const message& what = *accepted.message;
    const std::string headers = encode_headers(what.headers());
    const std::string enrolled = encode_enrolled(accepted.enrolled);
    db_.use("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .number(place(staged.shard().number, accepted.at.value()))
      .text(what.id())
      .signed_number(now_ms_)
      .text(enrolled)
      .blob(bytes(wanted.fingerprint))
      .text(what.key())
      .text(what.content_type())
      .text(headers)
      .blob(what.payload())
      .run();
    staged.stored(accepted, keys_(what.id()));
  }

  void store_unrouted(staged_shard& staged, const submission& wanted) {
    staged.stored_unrouted();
    const std::uint64_t first = place(staged.shard().number, 0);
    db_
      .use("INSERT INTO unrouted SELECT coalesce(max(place), ?1) + 1, ?2, ?3, ?4, ?5 FROM unrouted "
           "WHERE place BETWEEN ?1 AND ?6")
      .number(first)
      .number(staged.shard().number)
      .text(wanted.message->id())
      .blob(bytes(wanted.fingerprint))
      .signed_number(now_ms_)
      .number(place(staged.shard().number + 1, 0) - 1)
      .run();
  }

  connection& db_;
  const id_keys& keys_;
  std::span<const commit_part> parts_;
  std::int64_t now_ms_;
  staged_batch batch_;
};

} // namespace

void check_epoch(connection& db, const owned_shard& shard) {
  auto row = db.use("SELECT epoch FROM shard WHERE number = ?");
  row.number(shard.number);
  if (row.next() && row.number_at(0) != shard.owner.value())
    db.fail_with({errc::fenced, "a later owner has taken the shard over", "epoch"});
}

void write_indexes(connection& db, const owned_shard& shard, const write_behind::slice& slice) {
  if (!slice.chunks.empty()) {
    auto insert = db.use("INSERT INTO enrolment VALUES (?, ?, ?, ?, ?)");
    for (const auto& chunk : slice.chunks)
      insert.number(shard.number)
        .number(chunk.destination.value())
        .number(chunk.first.value())
        .number(chunk.last.value())
        .blob(chunk.positions)
        .run();
  }
  if (!slice.ids.empty()) {
    // A generation that a crash cut short is written again from its beginning.
    auto insert = db.use("INSERT INTO id_index VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
    for (const auto& [key, at] : slice.ids) insert.number(shard.number).number(key).number(at.value()).run();
  }
  if (slice.indexed)
    db.use("UPDATE shard SET indexed_position = ? WHERE number = ?")
      .number(slice.indexed->value())
      .number(shard.number)
      .run();
}

result<std::vector<shard_committed>> commit_parts(connection& db, const id_keys& keys,
                                                  std::span<const commit_part> parts, wall_time now) {
  return committer(db, keys, parts, now).commit();
}

} // namespace reseq::store::sqlite
