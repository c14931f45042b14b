/// The tables that a shard's messages are in: few, by ranges of position, so that where many come, what is past
/// retention goes a table at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "reseq/model/error.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/partitioned_shard.hpp"

namespace reseq::store::postgres {

struct partition_limits {
  std::uint64_t messages = std::uint64_t{1} << 20U; ///< of the first one, and the least of the others; at least 8
  duration fills_in{};                              ///< the others are made as large as it takes to last so long
};

std::string table_of(const partitioned_shard& shard, const message_partition& which);

/// Reads `shard.partitions` anew.
void read_partitions(database& db, pqxx::work& tx, partitioned_shard& shard);

/// Reads them, and makes the first one if there is none. Inside the transaction of a takeover, whose `lock_timeout`
/// bounds how long it waits for whoever has reseq.message locked.
void open_partitions(database& db, pqxx::work& tx, partitioned_shard& shard, const partition_limits& limits);

/// Whether the last partition has no room for `messages` more, or soon will not have.
bool partition_is_due(const partitioned_shard& shard, std::uint64_t messages);

/// Adds the next partition, with room for at least `messages`, in a transaction of its own; nobody who reads or writes
/// waits for it. It waits itself for whoever has reseq.message or the shard's row locked, for at most `patience` each:
/// then, as for a connection that breaks, `errc::unavailable`.
result<void> add_partition(database& db, partitioned_shard& shard, std::uint64_t messages,
                           const partition_limits& limits, std::chrono::milliseconds patience);

/// Drops the oldest partition if all of it is past retention and indexed; whether it did. Nobody can read or write any
/// message meanwhile, so nothing that takes long is done along with it. `errc::unavailable`, and nobody has waited
/// long, when somebody reads from it just then.
result<bool> drop_oldest(database& db, partitioned_shard& shard);

} // namespace reseq::store::postgres
