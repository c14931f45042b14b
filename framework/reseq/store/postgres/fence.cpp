#include "reseq/store/postgres/fence.hpp"

#include <cstddef>

namespace reseq::store::postgres {

namespace {

// Row locks, and not advisory transaction locks: those would have to be taken beside the row anyway, to read the epoch
// that they guard.
constexpr const char* lock_to_accept = "SELECT number, epoch, pg_current_xact_id()::text FROM reseq.shard WHERE number "
                                       "= ANY ($1::integer[]) ORDER BY number FOR NO KEY UPDATE";
constexpr const char* lock_to_write = "SELECT number, epoch, pg_current_xact_id()::text FROM reseq.shard WHERE number "
                                      "= ANY ($1::integer[]) ORDER BY number FOR KEY SHARE";

std::string array_of_numbers(std::span<owned_shard* const> shards) {
  std::string out = "{";
  for (const auto* shard : shards) out += (out.size() > 1 ? "," : "") + std::to_string(shard->number);
  return out + "}";
}

} // namespace

result<std::string> hold(database& db, pqxx::work& tx, fence kind, std::span<owned_shard* const> shards) {
  const auto rows = db.run(tx, kind == fence::accept ? lock_to_accept : lock_to_write, array_of_numbers(shards));
  std::size_t ours = 0;
  for (const auto& row : rows)
    for (const auto* shard : shards)
      if (row[0].as<std::uint64_t>() == shard->number && row[1].as<std::uint64_t>() == shard->owner.value()) ++ours;
  if (ours == shards.size()) return std::string(view_of(rows[0][2]));
  return fail(errc::fenced, "a later owner has taken the shard over", "epoch");
}

outcome outcome_of(database& db, pqxx::work& tx, const std::string& transaction) {
  const auto status = db.run(tx, "SELECT pg_xact_status($1::text::xid8)", transaction);
  const std::string_view said = status[0][0].is_null() ? "" : view_of(status[0][0]);
  return said == "committed" ? outcome::committed : said == "aborted" ? outcome::aborted : outcome::unknown;
}

} // namespace reseq::store::postgres
