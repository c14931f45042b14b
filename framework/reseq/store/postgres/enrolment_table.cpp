#include "reseq/store/postgres/enrolment_table.hpp"

#include <algorithm>
#include <string>

#include "reseq/store/codec.hpp"
#include "reseq/store/postgres/readable.hpp"

namespace reseq::store::postgres {

namespace {

/// What the table has from `first` up to, not including, `end`.
std::vector<position> rows_between(database& db, pqxx::transaction_base& tx, const owned_shard& shard,
                                   destination_id destination, sequence first, sequence end) {
  const auto rows =
    db.run(tx,
           "SELECT first_sequence, positions FROM reseq.enrolment WHERE shard = $1 AND destination = $2 "
           "AND first_sequence < $4 AND first_sequence >= coalesce((SELECT max(first_sequence) FROM "
           "reseq.enrolment WHERE shard = $1 AND destination = $2 AND first_sequence <= $3), $3) "
           "ORDER BY first_sequence",
           shard.number, destination.value(), first.value(), end.value());
  std::vector<position> out;
  sequence wanted = first;
  for (const auto& row : rows) {
    const sequence begins{row[0].as<std::uint64_t>()};
    const auto chunk = decode_positions(from_hex(view_of(row[1])));
    if (begins > wanted || begins + chunk.size() <= wanted) break;
    for (std::size_t i = wanted - begins; i < chunk.size() && wanted < end; ++i, ++wanted) out.push_back(chunk[i]);
  }
  return out;
}

error explain_missing(database& db, pqxx::transaction_base& tx, const owned_shard& shard, destination_id destination,
                      sequence wanted) {
  const auto row = db.run(tx, "SELECT name, forgotten_sequence FROM reseq.destination WHERE shard = $1 AND id = $2",
                          shard.number, destination.value());
  const std::string where = "sequence " + std::to_string(wanted.value());
  if (!row.empty() && row[0][1].as<std::uint64_t>() >= wanted.value())
    return {errc::not_found, std::string("destination ") + row[0][0].c_str() + " is past retention there", where};
  return {errc::corrupt, "the enrolment of destination " + std::to_string(destination.value()) + " has a gap", where};
}

} // namespace

result<std::vector<position>> positions(database& db, pqxx::transaction_base& tx, const owned_shard& shard,
                                        destination_id destination, sequence first, std::size_t limit) {
  // The tail before the table: what leaves the one is durable in the other before.
  auto tail = shard.behind.tail(destination, first, limit);
  if (!tail)
    return fail(errc::not_found, "the shard has no destination " + std::to_string(destination.value()), "destination");
  if (first >= tail->first) return std::move(tail->positions);

  const sequence end = std::min(tail->first, first + limit);
  auto found = rows_between(db, tx, shard, destination, first, end);
  if (first + found.size() < end && !found.empty()) return found; // something lost follows
  if (first + found.size() < end)
    return tl::unexpected(explain_missing(db, tx, shard, destination, first + found.size()));
  const std::size_t room = std::min(limit - found.size(), tail->positions.size());
  found.insert(found.end(), tail->positions.begin(), tail->positions.begin() + static_cast<std::ptrdiff_t>(room));
  return found;
}

} // namespace reseq::store::postgres
