#include "reseq/store/postgres/partitions.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "reseq/store/postgres/fence.hpp"

namespace reseq::store::postgres {

namespace {

/// Everybody who reads queues behind whoever waits for a table's strongest lock, so that wait is short.
constexpr const char* wait_shortly = "SET LOCAL lock_timeout = '50ms'";

std::string bound(const partitioned_shard& shard, position at) {
  return "(" + std::to_string(shard.number) + ", " + std::to_string(at.value()) + ")";
}

/// Made apart and then attached: `CREATE TABLE … PARTITION OF` would wait for every reader, and they for it.
void create(database& db, pqxx::work& tx, const partitioned_shard& shard, message_partition& made) {
  const std::string name = table_of(shard, made);
  tx.exec("CREATE TABLE " + name + " (LIKE reseq.message INCLUDING ALL, PRIMARY KEY (position))");
  tx.exec("CREATE INDEX ON " + name + " (id_key)");
  tx.exec("ALTER TABLE reseq.message ATTACH PARTITION " + name + " FOR VALUES FROM " + bound(shard, made.first) +
          " TO " + bound(shard, made.end));
  const auto row = db.run(tx,
                          "INSERT INTO reseq.message_partition VALUES ($1, $2, $3) "
                          "RETURNING (extract(epoch FROM created) * 1000)::bigint",
                          shard.number, made.first.value(), made.end.value());
  made.created = wall_time{std::chrono::milliseconds{row[0][0].as<std::int64_t>()}};
}

/// As many messages as come in the time that one is to last, by how long the last one did; at most twice as many as
/// that has, as it may have been a burst.
std::uint64_t next_size(const message_partition& last, std::chrono::milliseconds lasted,
                        const partition_limits& limits) {
  const std::uint64_t size = last.end - last.first;
  const std::uint64_t most = std::max(2 * size, limits.messages);
  const double times = std::chrono::duration<double>(limits.fills_in) / std::max(lasted, std::chrono::milliseconds{1});
  const double come = static_cast<double>(size) * times;
  if (come >= static_cast<double>(most)) return most;
  return std::max(limits.messages, static_cast<std::uint64_t>(come));
}

} // namespace

std::string table_of(const partitioned_shard& shard, const message_partition& which) {
  return "reseq.message_" + std::to_string(shard.number) + "_" + std::to_string(which.first.value());
}

void read_partitions(database& db, pqxx::work& tx, partitioned_shard& shard) {
  const auto rows = db.run(tx,
                           "SELECT first_position, end_position, (extract(epoch FROM created) * 1000)::bigint "
                           "FROM reseq.message_partition WHERE shard = $1 ORDER BY first_position",
                           shard.number);
  shard.partitions.clear();
  for (const auto& row : rows)
    shard.partitions.push_back({position{row[0].as<std::uint64_t>()}, position{row[1].as<std::uint64_t>()},
                                wall_time{std::chrono::milliseconds{row[2].as<std::int64_t>()}}});
}

void open_partitions(database& db, pqxx::work& tx, partitioned_shard& shard, const partition_limits& limits) {
  read_partitions(db, tx, shard);
  if (!shard.partitions.empty()) return;
  message_partition first{position{1}, position{1} + limits.messages, {}};
  create(db, tx, shard, first);
  shard.partitions.push_back(first);
}

bool partition_is_due(const partitioned_shard& shard, std::uint64_t messages) {
  const auto& newest = shard.partitions.back();
  const std::uint64_t spare = (newest.end - newest.first) / 8;
  return shard.heads.last + messages + spare >= newest.end;
}

result<void> add_partition(database& db, partitioned_shard& shard, std::uint64_t messages,
                           const partition_limits& limits, std::chrono::milliseconds patience) {
  const auto& newest = shard.partitions.back();
  auto added = db.transact([&](pqxx::work& tx) -> result<message_partition> {
    tx.exec("SET LOCAL lock_timeout = '" + std::to_string(patience.count()) + "ms'");
    std::array<owned_shard*, 1> ours{&shard};
    if (auto held = hold(db, tx, fence::write, ours); !held) return tl::unexpected(std::move(held.error()));
    const auto age = tx.exec("SELECT (extract(epoch FROM now()) * 1000)::bigint")[0][0].as<std::int64_t>() -
                     newest.created.time_since_epoch().count();
    const std::uint64_t size = next_size(newest, std::chrono::milliseconds{age}, limits);
    // After a recovery the next position may lie far behind what any partition was made for.
    const position next = std::max(newest.end, shard.heads.last + 1);
    message_partition made{newest.end, next + std::max(size, 8 * messages), {}};
    create(db, tx, shard, made);
    return made;
  });
  if (!added && is_lock_timeout(added.error()))
    return fail(errc::unavailable,
                "the next partition of reseq.message cannot be added: another session keeps that table, or the "
                "pipeline's row in reseq.shard, locked, and pg_stat_activity shows it",
                "PostgreSQL");
  if (!added && added.error().code == errc::in_doubt)
    added.error().code = errc::unavailable; // looked at when it is back
  if (!added) return tl::unexpected(std::move(added.error()));
  shard.partitions.push_back(*added);
  return {};
}

result<bool> drop_oldest(database& db, partitioned_shard& shard) {
  const message_partition oldest = shard.partitions.front();
  if (shard.partitions.size() == 1 || oldest.end > std::min(shard.forgotten, shard.behind.indexed()) + 1) return false;
  auto dropped = db.transact([&](pqxx::work& tx) -> result<bool> {
    std::array<owned_shard*, 1> ours{&shard};
    if (auto held = hold(db, tx, fence::write, ours); !held) return tl::unexpected(std::move(held.error()));
    tx.exec(wait_shortly);
    tx.exec("ALTER TABLE reseq.message DETACH PARTITION " + table_of(shard, oldest));
    tx.exec("DROP TABLE " + table_of(shard, oldest));
    db.run(tx, "DELETE FROM reseq.message_partition WHERE shard = $1 AND first_position = $2", shard.number,
           oldest.first.value());
    return true;
  });
  if (dropped) shard.partitions.erase(shard.partitions.begin());
  return dropped;
}

} // namespace reseq::store::postgres
