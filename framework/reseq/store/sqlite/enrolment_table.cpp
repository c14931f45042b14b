#include "reseq/store/sqlite/enrolment_table.hpp"

#include <algorithm>
#include <string>

#include "reseq/store/codec.hpp"

namespace reseq::store::sqlite {

namespace {

/// Appends what the table has from `first` up to, not including, `end`.
void append_rows(connection& db, const owned_shard& shard, destination_id destination, sequence first, sequence end,
                 std::vector<position>& out) {
  auto rows = db.use("SELECT first_sequence, positions FROM enrolment WHERE shard = ?1 AND destination = ?2 AND "
                     "first_sequence < ?4 AND first_sequence >= coalesce((SELECT max(first_sequence) FROM enrolment "
                     "WHERE shard = ?1 AND destination = ?2 AND first_sequence <= ?3), ?3) ORDER BY first_sequence");
  rows.number(shard.number).number(destination.value()).number(first.value()).number(end.value());
  sequence wanted = first;
  while (wanted < end && rows.next()) {
    const sequence begins{rows.number_at(0)};
    const auto chunk = decode_positions(rows.bytes_at(1));
    if (begins > wanted || begins + chunk.size() <= wanted) return;
    for (std::size_t i = wanted - begins; i < chunk.size() && wanted < end; ++i, ++wanted) out.push_back(chunk[i]);
  }
}

result<void> explain_missing(connection& db, const owned_shard& shard, destination_id destination, sequence wanted) {
  auto row = db.use("SELECT name, forgotten_sequence FROM destination WHERE shard = ? AND id = ?");
  row.number(shard.number).number(destination.value());
  const bool found = row.next();
  if (auto read = db.outcome(); !read) return read;
  const std::string where = "sequence " + std::to_string(wanted.value());
  if (found && row.number_at(1) >= wanted.value())
    return fail(errc::not_found, "destination " + std::string(row.bytes_at(0)) + " is past retention there", where);
  return fail(errc::corrupt, "the enrolment of destination " + std::to_string(destination.value()) + " has a gap",
              where);
}

} // namespace

result<std::vector<position>> positions(connection& db, const owned_shard& shard, destination_id destination,
                                        sequence first, std::size_t limit) {
  // The tail before the table: what leaves the one is durable in the other before.
  auto tail = shard.behind.tail(destination, first, limit);
  if (!tail)
    return fail(errc::not_found, "the shard has no destination " + std::to_string(destination.value()), "destination");
  if (first >= tail->first) return std::move(tail->positions);

  std::vector<position> found;
  const sequence end = std::min(tail->first, first + limit);
  append_rows(db, shard, destination, first, end, found);
  if (auto read = db.outcome(); !read) return tl::unexpected(std::move(read.error()));
  if (first + found.size() < end) {
    if (!found.empty()) return found; // something lost follows
    if (auto why = explain_missing(db, shard, destination, first + found.size()); !why)
      return tl::unexpected(std::move(why.error()));
  }
  const std::size_t room = std::min(limit - found.size(), tail->positions.size());
  found.insert(found.end(), tail->positions.begin(), tail->positions.begin() + static_cast<std::ptrdiff_t>(room));
  return found;
}

} // namespace reseq::store::sqlite
