#include "reseq/store/postgres/fence.hpp"

#include <string>

namespace reseq::store::postgres {

namespace {

// Row locks, and not advisory transaction locks: those would have to be taken beside the row anyway, to read the epoch
// that they guard.
constexpr const char* lock_to_accept =
  "SELECT number, epoch, pg_backend_pid() FROM reseq.shard WHERE number = ANY ($1::integer[]) ORDER BY number FOR NO "
  "KEY UPDATE";
constexpr const char* lock_to_write =
  "SELECT number, epoch, pg_backend_pid() FROM reseq.shard WHERE number = ANY ($1::integer[]) ORDER BY number FOR KEY "
  "SHARE";

std::string array_of_numbers(std::span<owned_shard* const> shards) {
  std::string out = "{";
  for (const auto* shard : shards) out += (out.size() > 1 ? "," : "") + std::to_string(shard->number);
  return out + "}";
}

error taken_over(database& db, pqxx::work& tx, const owned_shard& shard, epoch theirs) {
  const auto by = db.run(tx, "SELECT owner FROM reseq.shard WHERE number = $1", shard.number);
  const auto node = by.empty() ? std::string() : std::string(view_of(by[0][0]));
  return {errc::fenced,
          "a later owner has taken the shard over: node " + node + ", under epoch " + std::to_string(theirs.value()),
          "epoch"};
}

/// Epochs only grow.
std::string went_back(epoch ours, epoch theirs) {
  const auto found = theirs == epoch{} ? std::string("the shard's row is gone")
                                       : "the shard's epoch is " + std::to_string(theirs.value());
  return "the database has gone back in time: we own the shard under epoch " + std::to_string(ours.value()) +
         ", and now " + found + advice_after_going_back;
}

} // namespace

result<void> hold(database& db, pqxx::work& tx, fence kind, std::span<owned_shard* const> shards) {
  auto held = hold_or_tell(db, tx, kind, shards);
  if (!held) return tl::unexpected(std::move(held.error()));
  for (auto& back : *held)
    if (!back.empty()) return fail(errc::diverged, std::move(back), "PostgreSQL");
  return {};
}

result<std::vector<std::string>> hold_or_tell(database& db, pqxx::work& tx, fence kind,
                                              std::span<owned_shard* const> shards) {
  const auto rows = db.run(tx, kind == fence::accept ? lock_to_accept : lock_to_write, array_of_numbers(shards));
  // A pooler may give this transaction another session, and bring our statements along.
  if (!rows.empty())
    if (auto same = db.require_session(rows[0][2].as<int>()); !same) return tl::unexpected(std::move(same.error()));
  std::vector<std::string> back;
  for (const auto* shard : shards) {
    epoch owner;
    for (const auto& row : rows)
      if (row[0].as<std::uint64_t>() == shard->number) owner = epoch{row[1].as<std::uint64_t>()};
    if (owner > shard->owner) return tl::unexpected(taken_over(db, tx, *shard, owner));
    back.push_back(owner < shard->owner ? went_back(shard->owner, owner) : std::string());
  }
  return back;
}

} // namespace reseq::store::postgres
