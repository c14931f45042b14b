#include "reseq/store/postgres/reader.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>

#include "reseq/store/postgres/binary_array.hpp"
#include "reseq/store/postgres/enrolment_table.hpp"
#include "reseq/store/postgres/readable.hpp"

namespace reseq::store::postgres {

namespace {

/// Bounds the positions that one read looks up before it knows how large the messages are.
constexpr std::size_t most_positions = 65'536;
/// Bounds how many sequences one search looks at: other readers wait behind it.
constexpr std::size_t most_searched = 4096;
/// Bounds what the server's answers, which are twice as long as the payloads, take beside the messages made of them.
constexpr std::uint64_t most_bytes_at_once = 4U << 20U;

/// Of a batch of positions, those before which there is less than `$3` bytes.
constexpr const char* read_messages =
  "SELECT position, id, key, content_type, headers, payload, (extract(epoch FROM accepted) * 1000)::bigint FROM "
  "(SELECT *, sum(octet_length(payload) + "
  "octet_length(id) + octet_length(key) + octet_length(content_type) + octet_length(headers)) OVER (ORDER BY position "
  "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM reseq.message WHERE shard = $1 AND position = ANY "
  "($2::bigint[])) AS wanted WHERE coalesce(before, 0) < $3 ORDER BY position";

std::string text_at(const pqxx::row& row, int column) { return from_readable(view_of(row[column])); }

/// The columns `content_type, headers, payload` from `first` on.
content body_at(const pqxx::row& row, int first) {
  return {from_hex(view_of(row[first + 2])), text_at(row, first), decode_headers(text_at(row, first + 1))};
}

wall_time time_at(const pqxx::row& row, int column) {
  return wall_time{std::chrono::milliseconds{row[column].as<std::int64_t>()}};
}

/// The columns `id, key, content_type, headers, payload`, and when it was accepted, from `first` on.
message_ptr message_at(const pqxx::row& row, int first) {
  return std::make_shared<const message>(std::string(view_of(row[first])), text_at(row, first + 1),
                                         body_at(row, first + 2), time_at(row, first + 5));
}

/// A message of a backlog before it is loaded.
struct place {
  sequence seq;
  position at;
};

std::vector<place> places_from(sequence first, const std::vector<position>& at) {
  std::vector<place> out;
  out.reserve(at.size());
  for (const auto one : at) out.push_back({first + out.size(), one});
  return out;
}

/// What it means that there is no row at `at`, which was accepted.
error explain_missing(const partitioned_shard& shard, position at) {
  const std::string where = "position " + std::to_string(at.value());
  if (at.value() <= shard.forgotten_position) return {errc::not_found, "the message is past retention", where};
  return {
    errc::unavailable,
    "a message that was accepted is not in the journal: somebody has deleted it, or store.postgres leads to a copy "
    "that is not up to date",
    where};
}

/// Loads the messages at `wanted`, at least one if there are any, until there are `max_bytes` of them.
result<std::vector<core::backlog_item>> load(database& db, pqxx::work& tx, const partitioned_shard& shard,
                                             std::span<const place> wanted, std::uint64_t max_bytes) {
  std::vector<core::backlog_item> items;
  for (std::uint64_t bytes = 0; !wanted.empty() && (items.empty() || bytes < max_bytes);) {
    binary_array positions(binary_array::of::bigint);
    for (const auto& one : wanted) positions.add_number(one.at.value());
    const auto room = std::clamp<std::uint64_t>(max_bytes - bytes, 1, most_bytes_at_once);
    const auto rows = db.run(tx, read_messages, shard.number, binary(positions.bytes()), room);
    std::size_t next = 0;
    for (const auto& row : rows) {
      if (row[0].as<std::uint64_t>() != wanted[next].at.value()) break;
      items.push_back({wanted[next].seq, wanted[next].at, message_at(row, 1)});
      bytes += items.back().message->size_bytes();
      ++next;
    }
    if (next == 0 || wanted.front().at.value() <= shard.forgotten_position)
      return tl::unexpected(explain_missing(shard, wanted.front().at));
    wanted = wanted.subspan(next);
  }
  return items;
}

/// Of `all`, in order, those whose message has a key of `keys` and that are not before its start.
result<std::vector<place>> with_keys(database& db, pqxx::work& tx, const partitioned_shard& shard,
                                     const std::vector<place>& all, std::span<const core::key_cursor> keys) {
  std::unordered_map<std::string, sequence> starts;
  binary_array positions(binary_array::of::bigint), names(binary_array::of::text);
  for (const auto& [key, from] : keys) {
    names.add(to_readable(key));
    starts.emplace(key, from);
  }
  for (const auto& one : all) positions.add_number(one.at.value());
  // A row for each position: one that is missing must not look like another key's.
  const auto rows = db.run(tx,
                           "SELECT position, CASE WHEN key = ANY ($3::text[]) THEN key END FROM reseq.message WHERE "
                           "shard = $1 AND position = ANY ($2::bigint[]) ORDER BY position",
                           shard.number, binary(positions.bytes()), binary(names.bytes()));
  std::vector<place> found;
  auto row = rows.begin();
  for (const auto& one : all) {
    if (row == rows.end() || (*row)[0].as<std::uint64_t>() != one.at.value()) {
      if (one.at.value() <= shard.forgotten_position) continue; // settled
      return tl::unexpected(explain_missing(shard, one.at));
    }
    if (!(*row)[1].is_null() && one.seq >= starts.at(text_at(*row, 1))) found.push_back(one);
    ++row;
  }
  return found;
}

} // namespace

/// One transaction for each question, so that it sees what was committed up to now.
template <class F>
auto reader::with(F&& what) {
  using answer = std::invoke_result_t<F, database&, pqxx::work&>;
  auto db = link_.get();
  if (!db) return answer(tl::unexpected(std::move(db.error())));
  return (*db)->transact([&](pqxx::work& tx) { return what(**db, tx); });
}

result<std::vector<core::backlog_item>> reader::read(const partitioned_shard& shard, destination_id destination,
                                                     sequence from, std::uint32_t max_messages,
                                                     std::uint64_t max_bytes) {
  if (from == sequence{}) return fail(errc::invalid, "sequences begin at 1", "from");
  return with([&](database& db, pqxx::work& tx) -> result<std::vector<core::backlog_item>> {
    const auto at = positions(db, tx, shard, destination, from, std::min<std::size_t>(max_messages, most_positions));
    if (!at) return tl::unexpected(at.error());
    return load(db, tx, shard, places_from(from, *at), max_bytes);
  });
}

result<core::key_backlog> reader::read_keys(const partitioned_shard& shard, destination_id destination,
                                            std::span<const core::key_cursor> keys, sequence until,
                                            std::uint32_t max_messages, std::uint64_t max_bytes) {
  const auto lowest = std::ranges::min_element(keys, {}, &core::key_cursor::from);
  if (lowest == keys.end() || lowest->from == sequence{})
    return fail(errc::invalid, "some key is wanted, and sequences begin at 1", "keys");
  const auto first = shard.after_lost(destination, lowest->from);
  if (first > until) return core::key_backlog{{}, until};
  return with([&](database& db, pqxx::work& tx) -> result<core::key_backlog> {
    const auto at = positions(db, tx, shard, destination, first, std::min(most_searched, until - first + 1));
    if (!at) return tl::unexpected(at.error());
    const auto matching = with_keys(db, tx, shard, places_from(first, *at), keys);
    if (!matching) return tl::unexpected(matching.error());
    const std::span wanted(matching->data(), std::min<std::size_t>(matching->size(), max_messages));
    auto items = load(db, tx, shard, wanted, max_bytes);
    if (!items) return tl::unexpected(items.error());
    const bool all = items->size() == matching->size();
    const sequence searched = all ? first + at->size() - 1 : items->back().seq;
    const sequence next = shard.after_lost(destination, searched + 1);
    return core::key_backlog{std::move(*items), std::min(until, sequence{next - sequence{1}})};
  });
}

result<std::optional<stored_message>> reader::find(const partitioned_shard& shard, position at) {
  using found = std::optional<stored_message>;
  constexpr std::uint64_t beyond = std::uint64_t{1} << 63U; // bigint has a sign
  if (at.value() >= beyond || at.value() <= shard.forgotten_position) return found{};
  return with([&](database& db, pqxx::work& tx) -> result<found> {
    const auto rows = db.run(tx,
                             "SELECT id, key, content_type, headers, payload, (extract(epoch FROM accepted) * "
                             "1000)::bigint, enrolled FROM reseq.message WHERE shard = $1 AND position = $2",
                             shard.number, at.value());
    if (rows.empty()) return found{};
    return found(stored_message{at, message_at(rows[0], 0), time_at(rows[0], 5), decode_enrolled(view_of(rows[0][6]))});
  });
}

result<std::optional<position>> reader::find_id(const partitioned_shard& shard, const std::string& message_id) {
  using found = std::optional<position>;
  return with([&](database& db, pqxx::work& tx) -> result<found> {
    const auto rows = db.run(tx, "SELECT position, id FROM reseq.message WHERE shard = $1 AND id_key = $2",
                             shard.number, static_cast<std::int64_t>(keys_(message_id)));
    for (const auto& row : rows)
      if (const position at{row[0].as<std::uint64_t>()};
          at.value() > shard.forgotten_position && view_of(row[1]) == message_id)
        return found(at);
    const auto unrouted =
      db.run(tx, "SELECT FROM reseq.unrouted WHERE shard = $1 AND id = $2", shard.number, message_id);
    return unrouted.empty() ? found{} : found(position{});
  });
}

result<std::vector<dead_letter>> reader::dead_letters(const partitioned_shard& shard,
                                                      std::optional<core::enrolment> after, std::uint32_t limit) {
  const core::enrolment begin = after.value_or(core::enrolment{});
  return with([&](database& db, pqxx::work& tx) -> result<std::vector<dead_letter>> {
    const auto rows = db.run(tx,
                             "SELECT destination, sequence, position, reason, attempts, last_error, (extract(epoch "
                             "FROM since) * 1000)::bigint, message_id, octet_length(payload) "
                             "FROM reseq.dead_letter WHERE shard = $1 AND (destination, sequence) > ($2, $3) "
                             "ORDER BY destination, sequence LIMIT $4",
                             shard.number, begin.destination.value(), begin.seq.value(), limit);
    std::vector<dead_letter> found;
    for (const auto& row : rows) {
      core::dead_letter_record record{destination_id{row[0].as<std::uint32_t>()},
                                      sequence{row[1].as<std::uint64_t>()},
                                      position{row[2].as<std::uint64_t>()},
                                      reason_of(view_of(row[3])),
                                      row[4].as<std::uint32_t>(),
                                      text_at(row, 5),
                                      time_at(row, 6)};
      found.push_back({std::move(record), std::string(view_of(row[7])), row[8].as<std::uint64_t>()});
    }
    return found;
  });
}

result<recorded_end> reader::end_of(const partitioned_shard& shard, core::enrolment what) {
  return with([&](database& db, pqxx::work& tx) -> result<recorded_end> {
    const auto row =
      db.run(tx,
             "SELECT EXISTS (SELECT FROM reseq.dead_letter WHERE shard = $1 AND destination = $2 AND sequence = $3), "
             "EXISTS (SELECT FROM reseq.operation WHERE shard = $1 AND destination = $2 AND sequence = $3 AND kind = "
             "'skip')",
             shard.number, what.destination.value(), what.seq.value())[0];
    return row[0].as<bool>()   ? recorded_end::dead_letter
           : row[1].as<bool>() ? recorded_end::skipped
                               : recorded_end::none;
  });
}

} // namespace reseq::store::postgres
