#include "reseq/store/postgres/shard_opener.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "reseq/store/codec.hpp"
#include "reseq/store/postgres/fence.hpp"
#include "reseq/store/postgres/readable.hpp"
#include "reseq/store/recorded_shard.hpp"

namespace reseq::store::postgres {

namespace {

/// Bounds what one answer of the server holds.
constexpr std::uint64_t rows_at_once = 5000;
/// The server ends a backend between two of its steps, which may take a moment.
constexpr int attempts = 5;

class opener {
public:
  opener(database& db, pqxx::work& tx, const open_options& options) : db_(db), tx_(tx), options_(options) {}

  result<opened_shard> open(const shard_id& shard, std::uint64_t row, const definition& what,
                            std::span<const destination_spec> specs, std::span<partitioned_shard* const> before) {
    if (auto ours = keep(row, before); !ours) return tl::unexpected(std::move(ours.error()));
    take_over(row);
    owned().name = shard;
    open_partitions(db_, tx_, owned(), options_.partitions);
    wait_at_most({}); // as long as it takes
    record_definition(what);
    read_lost();
    read_destinations();
    read_progress();
    read_held();
    read_parked();
    for (const auto& [id, name] : recorded_.add_new(specs, owned()))
      db_.run(tx_, "INSERT INTO reseq.destination VALUES ($1, $2, $3, 0)", number(), id.value(), name);
    rebuild_tails();
    if (auto left = recorded_.check_leavers(specs, owned()); !left) return tl::unexpected(std::move(left.error()));
    recorded_.describe(specs, owned(), out_.state);
    return std::move(out_);
  }

  std::vector<std::pair<std::string, std::uint64_t>> backlogs(std::uint64_t row, position indexed, position forgotten) {
    read(row, indexed, forgotten);
    rebuild_tails();
    return recorded_.backlogs(owned());
  }

  result<shard_gone_back> again(const owned_shard& known) {
    const auto rows = db_.run(tx_,
                              "SELECT number, epoch, indexed_position, forgotten_position FROM reseq.shard WHERE "
                              "pipeline = $1 AND shard = $2",
                              known.name.pipeline, known.name.shard);
    const auto column = [&](int at) { return rows.empty() ? std::uint64_t{0} : rows[0][at].as<std::uint64_t>(); };
    read(column(0), position{column(2)}, position{column(3)});
    owned().name = known.name;
    owned().owner = epoch{column(1)};
    std::vector<destination_spec> specs;
    for (const auto& [id, of] : known.heads.destinations) specs.push_back({of.name, 0});
    auto unrecorded = recorded_.add_new(specs, owned());
    rebuild_tails();
    recorded_.describe(specs, owned(), out_.state);
    for (const auto& [id, of] : known.heads.destinations)
      if (const auto has = owned().heads.destinations.find(id);
          has == owned().heads.destinations.end() || has->second.name != of.name)
        return fail(errc::conflict,
                    "its destination " + of.name + " has another number than before in the database that has gone back",
                    "PostgreSQL");
    return shard_gone_back{std::move(out_.owned), std::move(unrecorded)};
  }

private:
  void read(std::uint64_t row, position indexed, position forgotten) {
    out_.owned = std::make_unique<partitioned_shard>(row, options_.indexes);
    indexed_ = indexed;
    owned().forget_up_to(forgotten);
    read_lost();
    read_destinations();
    read_progress();
  }

  [[nodiscard]] partitioned_shard& owned() { return *out_.owned; }
  [[nodiscard]] std::uint64_t number() const { return out_.owned->number; }

  /// Until the transaction ends, nobody takes over one of `before`, but for the one in `row` itself.
  result<void> keep(std::uint64_t row, std::span<partitioned_shard* const> before) {
    std::vector<owned_shard*> others;
    std::ranges::copy_if(before, std::back_inserter(others), [&](const auto* one) { return one->number != row; });
    if (others.empty()) return {};
    wait_at_most(options_.patience);
    return hold(db_, tx_, fence::write, others);
  }

  void wait_at_most(std::chrono::milliseconds patience) {
    tx_.exec("SET LOCAL lock_timeout = '" + std::to_string(patience.count()) + "ms'");
  }

  /// First the lock, which waits for whoever writes under an older epoch; then the epoch; only then is anything read.
  void take_over(std::uint64_t number_of_row) {
    wait_at_most(options_.patience);
    const auto before = db_.run(tx_,
                                "SELECT owner, EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = s.owner_pid AND "
                                "a.backend_start = s.owner_pid_started) FROM reseq.shard s WHERE number = $1 "
                                "FOR UPDATE OF s",
                                number_of_row);
    if (!before.empty() && view_of(before[0][0]) != options_.node && before[0][1].as<bool>())
      out_.taken_from = view_of(before[0][0]);
    const auto row = db_.run(tx_,
                             "UPDATE reseq.shard SET epoch = epoch + 1, owner = $2 WHERE number = $1 "
                             "RETURNING epoch, definition_version, indexed_position, forgotten_position",
                             number_of_row, options_.node)[0];
    out_.owned = std::make_unique<partitioned_shard>(number_of_row, options_.indexes);
    out_.state.owner = owned().owner = epoch{row[0].as<std::uint64_t>()};
    out_.state.definition_version = row[1].as<std::uint64_t>();
    indexed_ = position{row[2].as<std::uint64_t>()};
    owned().forget_up_to(position{row[3].as<std::uint64_t>()});
    owned().settled = owned().forgotten;
    record_backend(db_, tx_, owned());
  }

  void record_definition(const definition& what) {
    const auto recorded = db_.run(tx_, "SELECT text FROM reseq.definition WHERE shard = $1 AND version = $2", number(),
                                  out_.state.definition_version);
    if (!recorded.empty() && view_of(recorded[0][0]) == what.text) return;
    const std::uint64_t version = ++out_.state.definition_version;
    db_.run(tx_, "INSERT INTO reseq.definition VALUES ($1, $2, $3)", number(), version, what.text);
    db_.run(tx_, "UPDATE reseq.shard SET definition_version = $2 WHERE number = $1", number(), version);
  }

  void read_lost() {
    const auto rows = db_.run(tx_,
                              "SELECT destination, first_sequence, last_sequence, (extract(epoch FROM at) * "
                              "1000)::bigint, why FROM reseq.lost l JOIN reseq.recovery r ON r.number = l.recovery "
                              "WHERE l.shard = $1 ORDER BY destination, first_sequence",
                              number());
    for (const auto& row : rows)
      recorded_.at(destination_id{row[0].as<std::uint32_t>()})
        .lost.push_back({{sequence{row[1].as<std::uint64_t>()}, sequence{row[2].as<std::uint64_t>()}},
                         wall_time{std::chrono::milliseconds{row[3].as<std::int64_t>()}},
                         from_readable(view_of(row[4]))});
  }

  void read_destinations() {
    const auto rows =
      db_.run(tx_,
              "SELECT id, name, forgotten_sequence, coalesce((SELECT last_sequence FROM reseq.enrolment e WHERE "
              "e.shard = d.shard AND e.destination = d.id ORDER BY first_sequence DESC LIMIT 1), 0) "
              "FROM reseq.destination d WHERE shard = $1 ORDER BY id",
              number());
    for (const auto& row : rows) {
      const destination_id id{row[0].as<std::uint32_t>()};
      auto& recorded = recorded_.at(id);
      recorded.name = row[1].c_str();
      const sequence enrolled{std::max(row[2].as<std::uint64_t>(), row[3].as<std::uint64_t>())};
      owned().behind.start(id, std::max(enrolled, recorded.last_lost()));
    }
  }

  void read_progress() {
    const auto rows =
      db_.run(tx_,
              "SELECT destination, watermark, array_to_string(settled_above, ' '), last_delivered, "
              "dead_letters_in_a_row, paused, reached, array_to_string(unsettled, ' '), settled FROM reseq.progress "
              "WHERE shard = $1",
              number());
    for (const auto& row : rows) {
      const destination_id id{row[0].as<std::uint32_t>()};
      recorded_.at(id).progress = {id,
                                   sequence{row[1].as<std::uint64_t>()},
                                   decode_sequences(view_of(row[2])),
                                   sequence{row[3].as<std::uint64_t>()},
                                   row[4].as<std::uint32_t>(),
                                   row[5].as<bool>(),
                                   sequence{row[6].as<std::uint64_t>()},
                                   decode_sequences(view_of(row[7])),
                                   row[8].as<std::uint64_t>()};
    }
  }

  void read_held() {
    const auto rows = db_.run(tx_,
                              "SELECT destination, sequence, position, reason, attempts, last_error, "
                              "(extract(epoch FROM since) * 1000)::bigint FROM reseq.held WHERE shard = $1 "
                              "ORDER BY destination, sequence",
                              number());
    for (const auto& row : rows) {
      const destination_id id{row[0].as<std::uint32_t>()};
      recorded_.at(id).held.push_back({id, sequence{row[1].as<std::uint64_t>()}, position{row[2].as<std::uint64_t>()},
                                       reason_of(view_of(row[3])), row[4].as<std::uint32_t>(),
                                       from_readable(view_of(row[5])),
                                       wall_time{std::chrono::milliseconds{row[6].as<std::int64_t>()}}});
    }
  }

  void read_parked() {
    const auto rows =
      db_.run(tx_, "SELECT destination, key, from_sequence FROM reseq.parked WHERE shard = $1", number());
    std::set<destination_id> found;
    for (const auto& row : rows) {
      const destination_id id{row[0].as<std::uint32_t>()};
      recorded_.at(id).parked.push_back({id, from_readable(view_of(row[1])), sequence{row[2].as<std::uint64_t>()}});
      found.insert(id);
    }
    for (const auto id : found) std::ranges::sort(recorded_.at(id).parked, {}, &core::parked_record::key);
  }

  void rebuild_tails() {
    owned().behind.start(indexed_);
    position last = indexed_;
    for (std::uint64_t got = rows_at_once; got == rows_at_once;) {
      const auto rows = db_.run(tx_,
                                "SELECT position, enrolled FROM reseq.message WHERE shard = $1 AND position > $2 "
                                "ORDER BY position LIMIT $3",
                                number(), last.value(), rows_at_once);
      for (const auto& row : rows) {
        last = position{row[0].as<std::uint64_t>()};
        owned().behind.add(last, std::nullopt, decode_enrolled(view_of(row[1])));
      }
      got = rows.size();
    }
    out_.state.last = owned().heads.last = std::max(last, owned().forgotten);
    owned().has_unrouted = !db_.run(tx_, "SELECT FROM reseq.unrouted WHERE shard = $1 LIMIT 1", number()).empty();
  }

  database& db_;
  pqxx::work& tx_;
  const open_options& options_;
  opened_shard out_;
  position indexed_;
  recorded_shard recorded_;
};

} // namespace

result<std::uint64_t> row_of(database& db, const shard_id& shard) {
  return db.transact([&](pqxx::work& tx) -> result<std::uint64_t> {
    db.run(tx,
           "INSERT INTO reseq.shard (pipeline, shard, epoch, owner, owner_pid, owner_pid_started, definition_version, "
           "indexed_position, forgotten_position) SELECT $1, $2::integer, 0, '', 0, now(), 0, 0, 0 WHERE NOT EXISTS "
           "(SELECT FROM reseq.shard WHERE pipeline = $1 AND shard = $2) ON CONFLICT (pipeline, shard) DO NOTHING",
           shard.pipeline, shard.shard);
    return db
      .run(tx, "SELECT number FROM reseq.shard WHERE pipeline = $1 AND shard = $2", shard.pipeline, shard.shard)[0][0]
      .as<std::uint64_t>();
  });
}

result<shard_gone_back> read_again(database& db, const open_options& options, const owned_shard& known) {
  return db.transact([&](pqxx::work& tx) { return opener(db, tx, options).again(known); });
}

void record_backend(database& db, pqxx::work& tx, const partitioned_shard& shard) {
  db.run(tx,
         "UPDATE reseq.shard SET owner_pid = pg_backend_pid(), owner_pid_started = coalesce((SELECT backend_start FROM "
         "pg_stat_activity WHERE pid = pg_backend_pid()), now()) WHERE number = $1",
         shard.number);
}

result<void> end_recorded_backend(database& db, std::uint64_t number) {
  return db.transact([&](pqxx::work& tx) -> result<void> {
    db.run(tx,
           "SELECT pg_terminate_backend(a.pid) FROM reseq.shard s JOIN pg_stat_activity a ON a.pid = s.owner_pid AND "
           "a.backend_start = s.owner_pid_started WHERE s.number = $1 AND a.pid <> pg_backend_pid()",
           number);
    return {};
  });
}

result<opened_shard> open_shard(database& db, const open_options& options, const shard_id& shard,
                                const definition& what, std::span<const destination_spec> destinations,
                                std::span<partitioned_shard* const> before) {
  if (auto distinct = check_names(destinations); !distinct) return tl::unexpected(std::move(distinct.error()));
  const auto number = row_of(db, shard);
  if (!number) return tl::unexpected(number.error());
  for (int attempt = 1;; ++attempt) {
    auto opened = db.transact(
      [&](pqxx::work& tx) { return opener(db, tx, options).open(shard, *number, what, destinations, before); });
    if (opened || !is_lock_timeout(opened.error())) return opened;
    if (attempt == attempts)
      return fail(errc::unavailable,
                  "cannot be taken over: another session keeps its row in reseq.shard, or the table reseq.message, "
                  "locked, and it is not its owner's; pg_stat_activity shows it",
                  "pipeline " + shard.pipeline);
    if (auto ended = end_recorded_backend(db, *number); !ended) return tl::unexpected(std::move(ended.error()));
  }
}

result<std::vector<left_behind>> find_left_behind(database& db, const open_options& options,
                                                  std::span<owned_shard* const> ours) {
  return db.transact([&](pqxx::work& tx) -> result<std::vector<left_behind>> {
    std::vector<left_behind> all;
    const auto rows =
      db.run(tx, "SELECT number, pipeline, shard, indexed_position, forgotten_position FROM reseq.shard "
                 "ORDER BY pipeline, shard");
    for (const auto& row : rows) {
      const auto number = row[0].as<std::uint64_t>();
      if (std::ranges::any_of(ours, [number](const auto* one) { return one->number == number; })) continue;
      opener other(db, tx, options);
      const auto backlogs =
        other.backlogs(number, position{row[3].as<std::uint64_t>()}, position{row[4].as<std::uint64_t>()});
      for (const auto& [name, messages] : backlogs)
        all.push_back({{row[1].c_str(), row[2].as<std::uint32_t>()}, name, messages});
    }
    return all;
  });
}

} // namespace reseq::store::postgres
