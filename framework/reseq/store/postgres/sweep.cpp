#include "reseq/store/postgres/sweep.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "reseq/store/postgres/fence.hpp"

namespace reseq::store::postgres {

namespace {

/// Producers wait behind each slice.
constexpr std::uint64_t enrolment_at_once = 2000;

/// A destination's rows go from the lowest sequence on, as positions rise with sequences; and where the sequences stand
/// must outlive their rows.
constexpr const char* sweep_enrolment =
  "WITH oldest AS (SELECT destination, first_sequence FROM reseq.enrolment WHERE shard = $1 AND last_position <= $2 "
  "ORDER BY last_position LIMIT $3), "
  "gone AS (DELETE FROM reseq.enrolment e USING oldest o WHERE e.shard = $1 AND e.destination = o.destination AND "
  "e.first_sequence = o.first_sequence RETURNING e.destination, e.last_sequence), "
  "raised AS (UPDATE reseq.destination d SET forgotten_sequence = greatest(d.forgotten_sequence, g.last) FROM (SELECT "
  "destination, max(last_sequence) AS last FROM gone GROUP BY destination) g WHERE d.shard = $1 AND d.id = "
  "g.destination) SELECT count(*) FROM gone";

} // namespace

result<bool> sweep(database& db, partitioned_shard& shard) {
  // What is not indexed yet is needed at start-up.
  const position upto = std::min(shard.forgotten, shard.behind.indexed());
  if (upto == shard.swept) return false;
  const auto more = db.transact([&](pqxx::work& tx) -> result<bool> {
    std::array<owned_shard*, 1> ours{&shard};
    if (auto held = hold(db, tx, fence::write, ours); !held) return tl::unexpected(std::move(held.error()));
    const auto gone = db.run(tx, sweep_enrolment, shard.number, upto.value(), enrolment_at_once);
    return gone[0][0].as<std::uint64_t>() == enrolment_at_once;
  });
  if (more && !*more) shard.swept = upto;
  return more;
}

} // namespace reseq::store::postgres
