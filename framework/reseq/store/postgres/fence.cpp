#include "reseq/store/postgres/fence.hpp"

#include <cstddef>

namespace reseq::store::postgres {

namespace {

// Row locks, and not advisory transaction locks: those would have to be taken beside the row anyway, to read the epoch
// that they guard.
constexpr const char* lock_to_accept =
  "SELECT number, epoch FROM reseq.shard WHERE number = ANY ($1::integer[]) ORDER BY number FOR NO KEY UPDATE";
constexpr const char* lock_to_write =
  "SELECT number, epoch FROM reseq.shard WHERE number = ANY ($1::integer[]) ORDER BY number FOR KEY SHARE";

std::string array_of_numbers(std::span<owned_shard* const> shards) {
  std::string out = "{";
  for (const auto* shard : shards) out += (out.size() > 1 ? "," : "") + std::to_string(shard->number);
  return out + "}";
}

} // namespace

result<void> hold(database& db, pqxx::work& tx, fence kind, std::span<owned_shard* const> shards) {
  const auto rows = db.run(tx, kind == fence::accept ? lock_to_accept : lock_to_write, array_of_numbers(shards));
  std::size_t ours = 0;
  for (const auto& row : rows)
    for (const auto* shard : shards)
      if (row[0].as<std::uint64_t>() == shard->number && row[1].as<std::uint64_t>() == shard->owner.value()) ++ours;
  if (ours == shards.size()) return {};
  return fail(errc::fenced, "a later owner has taken the shard over", "epoch");
}

} // namespace reseq::store::postgres
