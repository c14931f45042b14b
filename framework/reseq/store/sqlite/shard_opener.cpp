#include "reseq/store/sqlite/shard_opener.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "reseq/store/recorded_shard.hpp"
#include "reseq/store/sqlite/schema.hpp"

namespace reseq::store::sqlite {

namespace {

class opener {
public:
  opener(connection& db, const id_keys& keys, write_behind_limits limits) : db_(db), keys_(keys), limits_(limits) {}

  result<opened_shard> open(const shard_id& shard, const definition& what, std::span<const destination_spec> specs,
                            const high_water::mark& noted) {
    if (auto distinct = check_names(specs); !distinct) return tl::unexpected(std::move(distinct.error()));
    transaction tx(db_, transaction::kind::write);
    take_over(shard);
    if (db_.ok()) {
      record_definition(what);
      read_lost();
      read_destinations();
      read_progress();
      read_held();
      read_parked();
      add_new(specs);
      rebuild_tails();
      if (auto whole = check_reaches(noted); !whole) return tl::unexpected(std::move(whole.error()));
      if (auto left = recorded_.check_leavers(specs, owned()); !left) return tl::unexpected(std::move(left.error()));
      recorded_.describe(specs, owned(), out_.state);
    }
    if (auto done = tx.commit(); !done) return tl::unexpected(std::move(done.error()));
    return std::move(out_);
  }

  /// Inside a transaction.
  std::vector<std::pair<std::string, std::uint64_t>> backlogs(std::uint64_t number_of_row, position indexed,
                                                              position forgotten) {
    out_.owned = std::make_unique<owned_shard>(number_of_row, limits_);
    indexed_ = indexed;
    owned().forgotten = forgotten;
    read_lost();
    read_destinations();
    read_progress();
    rebuild_tails();
    return recorded_.backlogs(owned());
  }

private:
  [[nodiscard]] owned_shard& owned() { return *out_.owned; }
  [[nodiscard]] std::uint64_t number() const { return out_.owned->number; }

  void take_over(const shard_id& shard) {
    db_
      .use("INSERT INTO shard SELECT coalesce(max(number), 0) + 1, ?1, ?2, 0, 0, 0, 0 FROM shard "
           "WHERE true ON CONFLICT DO NOTHING")
      .text(shard.pipeline)
      .number(shard.shard)
      .run();
    auto row = db_.use("UPDATE shard SET epoch = epoch + 1 WHERE pipeline = ? AND shard = ? "
                       "RETURNING number, epoch, definition_version, indexed_position, forgotten_position");
    row.text(shard.pipeline).number(shard.shard);
    if (!row.next()) return;
    out_.owned = std::make_unique<owned_shard>(row.number_at(0), limits_);
    owned().name = shard;
    out_.state.owner = owned().owner = epoch{row.number_at(1)};
    out_.state.definition_version = row.number_at(2);
    indexed_ = position{row.number_at(3)};
    owned().forgotten = owned().settled = position{row.number_at(4)};
    row.run();
  }

  void record_definition(const definition& what) {
    auto recorded = db_.use("SELECT text FROM definition WHERE shard = ? AND version = ?");
    recorded.number(number()).number(out_.state.definition_version);
    if (recorded.next() && recorded.bytes_at(0) == what.text) return;
    const std::uint64_t version = ++out_.state.definition_version;
    db_.use("INSERT INTO definition VALUES (?, ?, ?)").number(number()).number(version).text(what.text).run();
    db_.use("UPDATE shard SET definition_version = ? WHERE number = ?").number(version).number(number()).run();
  }

  void read_lost() {
    auto rows = db_.use("SELECT destination, first_sequence, last_sequence, at_ms, why FROM lost JOIN recovery ON "
                        "recovery.number = lost.recovery WHERE lost.shard = ? ORDER BY destination, first_sequence");
    rows.number(number());
    while (rows.next())
      recorded_.at(destination_id{static_cast<std::uint32_t>(rows.number_at(0))})
        .lost.push_back({{sequence{rows.number_at(1)}, sequence{rows.number_at(2)}},
                         wall_time{std::chrono::milliseconds{rows.signed_number_at(3)}},
                         std::string(rows.bytes_at(4))});
  }

  void read_destinations() {
    auto rows = db_.use("SELECT id, name, forgotten_sequence, "
                        "(SELECT last_sequence FROM enrolment WHERE shard = destination.shard AND "
                        "destination = destination.id ORDER BY first_sequence DESC LIMIT 1) "
                        "FROM destination WHERE shard = ? ORDER BY id");
    rows.number(number());
    while (rows.next()) {
      const destination_id id{static_cast<std::uint32_t>(rows.number_at(0))};
      auto& recorded = recorded_.at(id);
      recorded.name = rows.bytes_at(1);
      owned().behind.start(id,
                           std::max(sequence{std::max(rows.number_at(2), rows.number_at(3))}, recorded.last_lost()));
    }
  }

  void read_progress() {
    auto rows = db_.use("SELECT destination, watermark, settled_above, last_delivered, dead_letters_in_a_row, paused, "
                        "reached, unsettled, settled FROM progress WHERE shard = ?");
    rows.number(number());
    while (rows.next()) {
      const destination_id id{static_cast<std::uint32_t>(rows.number_at(0))};
      recorded_.at(id).progress = {id,
                                   sequence{rows.number_at(1)},
                                   decode_sequences(rows.bytes_at(2)),
                                   sequence{rows.number_at(3)},
                                   static_cast<std::uint32_t>(rows.number_at(4)),
                                   rows.number_at(5) != 0,
                                   sequence{rows.number_at(6)},
                                   decode_sequences(rows.bytes_at(7)),
                                   rows.number_at(8)};
    }
  }

  void read_held() {
    auto rows = db_.use("SELECT destination, sequence, position, reason, attempts, last_error, since_ms FROM held "
                        "WHERE shard = ? ORDER BY destination, sequence");
    rows.number(number());
    while (rows.next()) {
      const destination_id id{static_cast<std::uint32_t>(rows.number_at(0))};
      recorded_.at(id).held.push_back({id, sequence{rows.number_at(1)}, position{rows.number_at(2)},
                                       reason_of(rows.bytes_at(3)), static_cast<std::uint32_t>(rows.number_at(4)),
                                       std::string(rows.bytes_at(5)),
                                       wall_time{std::chrono::milliseconds{rows.signed_number_at(6)}}});
    }
  }

  void read_parked() {
    auto rows = db_.use("SELECT destination, key, from_sequence FROM parked WHERE shard = ? ORDER BY destination, key");
    rows.number(number());
    while (rows.next()) {
      const destination_id id{static_cast<std::uint32_t>(rows.number_at(0))};
      recorded_.at(id).parked.push_back({id, std::string(rows.bytes_at(1)), sequence{rows.number_at(2)}});
    }
  }

  void add_new(std::span<const destination_spec> specs) {
    auto insert = db_.use("INSERT INTO destination VALUES (?, ?, ?, 0)");
    for (const auto& [id, name] : recorded_.add_new(specs, owned()))
      insert.number(number()).number(id.value()).text(name).run();
  }

  void rebuild_tails() {
    owned().behind.start(indexed_);
    position last = std::max(indexed_, owned().forgotten);
    auto rows = db_.use("SELECT place, id, enrolled FROM message WHERE place > ? AND place < ? ORDER BY place");
    rows.number(place(number(), last.value())).number(place(number() + 1, 0));
    while (rows.next()) {
      last = position{position_of(rows.number_at(0))};
      owned().behind.add(last, keys_(rows.bytes_at(1)), decode_enrolled(rows.bytes_at(2)));
    }
    out_.state.last = owned().heads.last = last;

    auto unrouted = db_.use("SELECT 1 FROM unrouted WHERE shard = ? LIMIT 1");
    unrouted.number(number());
    owned().has_unrouted = unrouted.next();
  }

  result<void> check_reaches(const high_water::mark& noted) {
    if (!db_.ok() || (out_.state.last >= noted.last && out_.state.owner > noted.owner)) return {};
    return fail(errc::diverged,
                "the journal has gone back in time: it ends at position " + std::to_string(out_.state.last.value()) +
                  ", and messages up to " + std::to_string(noted.last.value()) +
                  " were confirmed. journal.sqlite-wal is missing or cut, or one of the files is older than the "
                  "others: put back all files of the directory from one and the same copy. If there is none, start "
                  "once with --set store.accept_loss=true: it goes on without those messages, records that they are "
                  "missing, and gives none of their positions and sequences to others",
                "node.data_dir");
  }

  connection& db_;
  const id_keys& keys_;
  write_behind_limits limits_;
  opened_shard out_;
  position indexed_;
  recorded_shard recorded_;
};

} // namespace

result<opened_shard> open_shard(connection& db, const id_keys& keys, write_behind_limits limits, const shard_id& shard,
                                const definition& what, std::span<const destination_spec> destinations,
                                const high_water::mark& noted) {
  return opener(db, keys, limits).open(shard, what, destinations, noted);
}

result<std::vector<left_behind>> find_left_behind(connection& db, const id_keys& keys, write_behind_limits limits,
                                                  std::span<const shard_id> ours) {
  std::vector<left_behind> all;
  transaction tx(db, transaction::kind::read);
  auto rows = db.use("SELECT number, pipeline, shard, indexed_position, forgotten_position FROM shard "
                     "ORDER BY pipeline, shard");
  while (rows.next()) {
    const shard_id shard{std::string(rows.bytes_at(1)), static_cast<std::uint32_t>(rows.number_at(2))};
    if (std::ranges::find(ours, shard) != ours.end()) continue;
    opener other(db, keys, limits);
    const auto backlogs = other.backlogs(rows.number_at(0), position{rows.number_at(3)}, position{rows.number_at(4)});
    for (const auto& [name, messages] : backlogs) all.push_back({shard, name, messages});
  }
  if (auto done = tx.commit(); !done) return tl::unexpected(std::move(done.error()));
  return all;
}

} // namespace reseq::store::sqlite
