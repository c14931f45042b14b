#include "reseq/store/postgres/batch.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "reseq/store/postgres/binary_array.hpp"
#include "reseq/store/postgres/changes.hpp"
#include "reseq/store/postgres/fence.hpp"
#include "reseq/store/postgres/readable.hpp"

namespace reseq::store::postgres {

namespace {

using of = binary_array::of;

constexpr const char* insert_messages =
  "INSERT INTO reseq.message (position, id_key, accepted, shard, id, enrolled, fingerprint, key, content_type, "
  "headers, "
  "payload) SELECT $2::bigint + m.nth - 1, m.id_key, to_timestamp($3::bigint / 1000.0), $1::integer, m.id, m.enrolled, "
  "m.fingerprint, m.key, m.content_type, m.headers, m.payload FROM unnest($4::bigint[], $5::text[], $6::text[], "
  "$7::bytea[], $8::text[], $9::text[], $10::text[], $11::bytea[]) WITH ORDINALITY AS m (id_key, id, enrolled, "
  "fingerprint, key, content_type, headers, payload, nth)";

constexpr const char* insert_unrouted =
  "INSERT INTO reseq.unrouted (shard, id, fingerprint, accepted) SELECT $1::integer, u.id, u.fingerprint, "
  "to_timestamp($2::bigint / 1000.0) FROM unnest($3::text[], $4::bytea[]) AS u (id, fingerprint)";

// By the key alone: with the shard or the position as well, the planner might take the other index, and read it all.
constexpr const char* find_ids =
  "SELECT id, position, fingerprint FROM reseq.message WHERE shard = $1 AND id_key = ANY ($2::bigint[])";
constexpr const char* find_unrouted_ids =
  "SELECT id, 0, fingerprint FROM reseq.unrouted WHERE shard = $1 AND id = ANY ($2::text[])";

// A row may be there: from a transaction that was in doubt, and is not known to have happened.
constexpr const char* insert_enrolment =
  "INSERT INTO reseq.enrolment SELECT $1::integer, e.destination, e.first, e.last, e.last_position, e.positions "
  "FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[]) AS e (destination, first, last, "
  "last_position, positions) ON CONFLICT (shard, destination, first_sequence) DO UPDATE SET last_sequence = "
  "excluded.last_sequence, last_position = excluded.last_position, positions = excluded.positions";

constexpr const char* write_last_save =
  "INSERT INTO reseq.last_save VALUES ($1, $2, $3) "
  "ON CONFLICT (shard) DO UPDATE SET epoch = excluded.epoch, number = excluded.number";
constexpr const char* find_last_save = "SELECT FROM reseq.last_save WHERE shard = $1 AND epoch = $2 AND number = $3";

std::string_view bytes(const digest& fingerprint) {
  return {reinterpret_cast<const char*>(fingerprint.data()), fingerprint.size()};
}

digest digest_of(const std::string& stored) {
  digest fingerprint{};
  std::memcpy(fingerprint.data(), stored.data(), std::min(stored.size(), fingerprint.size()));
  return fingerprint;
}

/// Adds the rows `id, position, fingerprint` that are not past retention.
void take_known(const pqxx::result& rows, const owned_shard& shard, known_ids& known) {
  for (const auto& row : rows) {
    const position at{row[1].as<std::uint64_t>()};
    if (at != position{} && at <= shard.forgotten) continue;
    known.emplace(std::string(view_of(row[0])), core::known_id{at, digest_of(from_hex(view_of(row[2])))});
  }
}

known_ids look_up(database& db, pqxx::work& tx, const id_keys& keys, const owned_shard& shard,
                  const std::vector<submission>& wanted) {
  binary_array id_keys(of::bigint), ids(of::text);
  for (const auto& one : wanted) {
    id_keys.add_number(keys(one.message->id()));
    if (shard.has_unrouted) ids.add(one.message->id());
  }
  known_ids known;
  take_known(db.run(tx, find_ids, shard.number, binary(id_keys.bytes())), shard, known);
  if (shard.has_unrouted) take_known(db.run(tx, find_unrouted_ids, shard.number, binary(ids.bytes())), shard, known);
  return known;
}

/// The columns of new messages.
class message_rows {
public:
  /// Payloads, which are most of it, then need not move again and again while they become more.
  void reserve(const std::vector<core::accepted_message>& messages) {
    std::size_t bytes = 0;
    for (const auto& one : messages) bytes += one.message->payload().size();
    payloads_.reserve(messages.size(), bytes);
  }

  void add(const submission& wanted, const core::accepted_message& accepted, std::uint64_t id_key) {
    const message& what = *accepted.message;
    id_keys_.add_number(id_key);
    ids_.add(what.id());
    enrolled_.add(encode_enrolled(accepted.enrolled));
    fingerprints_.add(bytes(wanted.fingerprint));
    keys_.add_readable(what.key());
    content_types_.add_readable(what.content_type());
    headers_.add_readable(encode_headers(what.headers()));
    payloads_.add(what.payload());
  }

  void insert(database& db, pqxx::work& tx, const owned_shard& shard, position first, std::int64_t now_ms) {
    db.run(tx, insert_messages, shard.number, first.value(), now_ms, binary(id_keys_.bytes()), binary(ids_.bytes()),
           binary(enrolled_.bytes()), binary(fingerprints_.bytes()), binary(keys_.bytes()),
           binary(content_types_.bytes()), binary(headers_.bytes()), binary(payloads_.bytes()));
  }

private:
  binary_array id_keys_{of::bigint}, ids_{of::text}, enrolled_{of::text}, fingerprints_{of::bytea}, keys_{of::text},
    content_types_{of::text}, headers_{of::text}, payloads_{of::bytea};
};

void write_chunks(database& db, pqxx::work& tx, const owned_shard& shard,
                  const std::vector<write_behind::chunk>& chunks) {
  binary_array destination(of::bigint), first(of::bigint), last(of::bigint), last_position(of::bigint),
    positions(of::bytea);
  for (const auto& chunk : chunks) {
    destination.add_number(chunk.destination.value());
    first.add_number(chunk.first.value());
    last.add_number(chunk.last.value());
    last_position.add_number(chunk.last_position.value());
    positions.add(chunk.positions);
  }
  db.run(tx, insert_enrolment, shard.number, binary(destination.bytes()), binary(first.bytes()), binary(last.bytes()),
         binary(last_position.bytes()), binary(positions.bytes()));
}

void store_unrouted(database& db, pqxx::work& tx, staged_shard& staged, const std::vector<submission>& wanted,
                    const std::vector<std::size_t>& which, std::int64_t now_ms) {
  binary_array ids(of::text), fingerprints(of::bytea);
  for (const auto index : which) {
    ids.add(wanted[index].message->id());
    fingerprints.add(bytes(wanted[index].fingerprint));
  }
  db.run(tx, insert_unrouted, staged.shard().number, now_ms, binary(ids.bytes()), binary(fingerprints.bytes()));
  staged.stored_unrouted();
}

} // namespace

result<void> batch::hold_fences(database& db, pqxx::work& tx, std::span<const commit_part> parts) {
  std::vector<owned_shard*> accepting;
  std::vector<owned_shard*> writing;
  for (const auto& [shard, wanted] : parts) {
    auto& of_kind = wanted->submissions.empty() ? writing : accepting;
    if (std::ranges::find(of_kind, shard) == of_kind.end()) of_kind.push_back(shard);
  }
  std::erase_if(writing, [&](auto* shard) { return std::ranges::find(accepting, shard) != accepting.end(); });
  for (const auto& [kind, shards] : {std::pair{fence::accept, &accepting}, std::pair{fence::write, &writing}}) {
    if (shards->empty()) continue;
    if (auto held = hold(db, tx, kind, *shards); !held) return held;
  }
  return {};
}

result<void> batch::write(database& db, pqxx::work& tx, std::span<const commit_part> parts) {
  if (auto ours = hold_fences(db, tx, parts); !ours) return ours;
  for (const auto& part : parts)
    if (auto applied = apply(db, tx, part); !applied) return applied;
  const bool empty = std::ranges::all_of(
    parts, [](const commit_part& part) { return part.wanted->submissions.empty() && part.wanted->change.empty(); });
  if (empty && !shards().empty()) try_out(db, tx, staged_.shards().front());
  for (auto& staged : staged_.shards()) write_indexes(db, tx, staged.shard(), staged.indexes());
  if (!shards().empty() && !accepts()) {
    const auto& shard = shards().front().shard();
    db.run(tx, write_last_save, shard.number, shard.owner.value(), number_);
  }
  return {};
}

void batch::try_out(database& db, pqxx::work& tx, staged_shard& staged) {
  look_up(db, tx, keys_, staged.shard(), {});
  message_rows().insert(db, tx, staged.shard(), position{1}, now_ms_);
  binary_array none(of::text), no_bytes(of::bytea);
  db.run(tx, insert_unrouted, staged.shard().number, now_ms_, binary(none.bytes()), binary(no_bytes.bytes()));
  try_change(db, tx, staged.shard());
  write_chunks(db, tx, staged.shard(), {});
}

bool batch::accepts() const {
  return std::ranges::any_of(shards(), [](const auto& one) { return one.shard().heads.last > one.last_before(); });
}

bool batch::saved(database& db, pqxx::work& tx) const {
  if (shards().empty()) return false;
  const auto& shard = shards().front().shard();
  return !db.run(tx, find_last_save, shard.number, shard.owner.value(), number_).empty();
}

result<void> batch::apply(database& db, pqxx::work& tx, const commit_part& part) {
  const shard_commit& wanted = *part.wanted;
  staged_shard& staged = staged_.stage(*part.shard);
  if (!wanted.change.empty()) {
    if (auto written = write_change(db, tx, staged.shard(), wanted.change); !written) return written;
    staged.settle(wanted.change);
  }
  auto& answer = staged_.answer();
  if (wanted.submissions.empty()) return {};

  auto decided = staged.sequence(wanted.submissions, look_up(db, tx, keys_, staged.shard(), wanted.submissions));
  answer = {std::move(decided.receipts), std::move(decided.accepted)};
  message_rows rows;
  rows.reserve(answer.accepted);
  for (std::size_t i = 0; i < answer.accepted.size(); ++i) {
    const auto& accepted = answer.accepted[i];
    rows.add(wanted.submissions[decided.accepted_from[i]], accepted, keys_(accepted.message->id()));
    staged.stored(accepted);
  }
  if (!answer.accepted.empty()) rows.insert(db, tx, staged.shard(), answer.accepted.front().at, now_ms_);
  if (!decided.unrouted.empty()) store_unrouted(db, tx, staged, wanted.submissions, decided.unrouted, now_ms_);
  return {};
}

void write_indexes(database& db, pqxx::work& tx, const owned_shard& shard, const write_behind::slice& slice) {
  if (!slice.chunks.empty()) write_chunks(db, tx, shard, slice.chunks);
  if (slice.indexed)
    db.run(tx, "UPDATE reseq.shard SET indexed_position = $2 WHERE number = $1", shard.number, slice.indexed->value());
}

} // namespace reseq::store::postgres
