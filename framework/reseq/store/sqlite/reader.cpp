#include "reseq/store/sqlite/reader.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "reseq/store/sqlite/enrolment_table.hpp"
#include "reseq/store/sqlite/schema.hpp"

namespace reseq::store::sqlite {

namespace {

/// Bounds the positions that one read looks up before it knows how large the messages are.
constexpr std::size_t most_positions = 65'536;

/// Bounds how many sequences one search looks at: other readers wait behind it.
constexpr std::size_t most_searched = 4096;

std::string owned(std::string_view bytes) { return std::string(bytes); }

/// The columns `content_type, headers, payload` from `first` on.
content body_at(const query& row, int first) {
  return {owned(row.bytes_at(first + 2)), owned(row.bytes_at(first)), decode_headers(row.bytes_at(first + 1))};
}

wall_time time_at(const query& row, int column) {
  return wall_time{std::chrono::milliseconds{row.signed_number_at(column)}};
}

/// The columns `id, key, content_type, headers, payload, accepted_ms`, which all its readers begin with.
message_ptr message_in(const query& row) {
  return std::make_shared<const message>(owned(row.bytes_at(0)), owned(row.bytes_at(1)), body_at(row, 2),
                                         time_at(row, 5));
}

} // namespace

message_ptr reader::load(const owned_shard& shard, position at) {
  auto row = db_.use("SELECT id, key, content_type, headers, payload, accepted_ms FROM message WHERE place = ?");
  row.number(place(shard.number, at.value()));
  if (!row.next()) return nullptr;
  return message_in(row);
}

result<std::vector<core::backlog_item>> reader::read(const owned_shard& shard, destination_id destination,
                                                     sequence from, std::uint32_t max_messages,
                                                     std::uint64_t max_bytes) {
  if (from == sequence{}) return fail(errc::invalid, "sequences begin at 1", "from");
  const auto at = positions(db_, shard, destination, from, std::min<std::size_t>(max_messages, most_positions));
  if (!at) return tl::unexpected(at.error());
  std::vector<core::backlog_item> items;
  std::uint64_t bytes = 0;
  const transaction together(db_, transaction::kind::read); // locking for each message costs more than reading it
  for (std::size_t i = 0; i < at->size() && (items.empty() || bytes < max_bytes); ++i) {
    auto found = load(shard, (*at)[i]);
    if (auto read = db_.outcome(); !read) return tl::unexpected(std::move(read.error()));
    if (!found)
      return fail(errc::not_found, "the message is past retention", "position " + std::to_string((*at)[i].value()));
    bytes += found->size_bytes();
    items.push_back({from + i, (*at)[i], std::move(found)});
  }
  return items;
}

result<core::key_backlog> reader::read_keys(const owned_shard& shard, destination_id destination,
                                            std::span<const core::key_cursor> keys, sequence until,
                                            std::uint32_t max_messages, std::uint64_t max_bytes) {
  key_starts wanted;
  for (const auto& [key, from] : keys) wanted.emplace(key, from);
  const auto lowest = std::ranges::min_element(keys, {}, &core::key_cursor::from);
  if (lowest == keys.end() || lowest->from == sequence{})
    return fail(errc::invalid, "some key is wanted, and sequences begin at 1", "keys");
  const auto first = shard.after_lost(destination, lowest->from);
  if (first > until) return core::key_backlog{{}, until};

  const auto at = positions(db_, shard, destination, first, std::min(most_searched, until - first + 1));
  if (!at) return tl::unexpected(at.error());
  core::key_backlog found{{}, first - 1};
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < at->size() && found.items.size() < max_messages; ++i) {
    if (!found.items.empty() && bytes >= max_bytes) break;
    if (has_key(shard, (*at)[i], first + i, wanted)) {
      auto message = load(shard, (*at)[i]);
      bytes += message ? message->size_bytes() : 0;
      found.items.push_back({first + i, (*at)[i], std::move(message)});
    }
    if (auto read = db_.outcome(); !read) return tl::unexpected(std::move(read.error()));
    found.searched = first + i;
  }
  found.searched = std::min(until, sequence{shard.after_lost(destination, found.searched + 1) - sequence{1}});
  return found;
}

/// Reads no more of the message than stands before its payload.
bool reader::has_key(const owned_shard& shard, position at, sequence seq, const key_starts& wanted) {
  auto row = db_.use("SELECT key FROM message WHERE place = ?");
  row.number(place(shard.number, at.value()));
  if (!row.next()) {
    if (db_.ok())
      db_.fail_with({errc::not_found, "the message is past retention", "position " + std::to_string(at.value())});
    return false;
  }
  const auto found = wanted.find(row.bytes_at(0));
  return found != wanted.end() && seq >= found->second;
}

result<std::optional<stored_message>> reader::find(const owned_shard& shard, position at) {
  if (at.value() >> position_bits != 0) return std::nullopt; // its place would be another shard's
  auto row = db_.use("SELECT id, key, content_type, headers, payload, accepted_ms, enrolled FROM message "
                     "WHERE place = ?");
  row.number(place(shard.number, at.value()));
  std::optional<stored_message> found;
  if (row.next()) found = stored_message{at, message_in(row), time_at(row, 5), decode_enrolled(row.bytes_at(6))};
  if (auto read = db_.outcome(); !read) return tl::unexpected(std::move(read.error()));
  return found;
}

bool reader::has_id(const owned_shard& shard, position at, const std::string& message_id) {
  auto row = db_.use("SELECT 1 FROM message WHERE place = ? AND id = ?");
  row.number(place(shard.number, at.value())).text(message_id);
  return row.next();
}

result<std::optional<position>> reader::find_id(const owned_shard& shard, const std::string& message_id) {
  const std::uint64_t key = keys_(message_id);
  // What is behind before the table: what leaves the one is durable in the other before.
  std::vector<position> candidates = shard.behind.find(key);
  {
    auto rows = db_.use("SELECT position FROM id_index WHERE shard = ? AND id_key = ?");
    rows.number(shard.number).number(key);
    while (rows.next()) candidates.emplace_back(rows.number_at(0));
  }
  std::optional<position> found;
  for (const auto at : candidates)
    if (!found && has_id(shard, at, message_id)) found = at;
  if (!found) {
    auto row = db_.use("SELECT 1 FROM unrouted WHERE shard = ? AND id = ?");
    row.number(shard.number).text(message_id);
    if (row.next()) found = position{};
  }
  if (auto read = db_.outcome(); !read) return tl::unexpected(std::move(read.error()));
  return found;
}

result<std::vector<dead_letter>> reader::dead_letters(const owned_shard& shard, std::optional<core::enrolment> after,
                                                      std::uint32_t limit) {
  const core::enrolment begin = after.value_or(core::enrolment{});
  auto rows = db_.use("SELECT destination, sequence, position, reason, attempts, last_error, since_ms, message_id, "
                      "length(payload) FROM dead_letter WHERE shard = ? AND "
                      "(destination, sequence) > (?, ?) ORDER BY destination, sequence LIMIT ?");
  rows.number(shard.number).number(begin.destination.value()).number(begin.seq.value()).number(limit);
  std::vector<dead_letter> found;
  while (rows.next()) {
    core::dead_letter_record record{destination_id{static_cast<std::uint32_t>(rows.number_at(0))},
                                    sequence{rows.number_at(1)},
                                    position{rows.number_at(2)},
                                    reason_of(rows.bytes_at(3)),
                                    static_cast<std::uint32_t>(rows.number_at(4)),
                                    owned(rows.bytes_at(5)),
                                    time_at(rows, 6)};
    found.push_back({std::move(record), owned(rows.bytes_at(7)), rows.number_at(8)});
  }
  if (auto read = db_.outcome(); !read) return tl::unexpected(std::move(read.error()));
  return found;
}

result<recorded_end> reader::end_of(const owned_shard& shard, core::enrolment what) {
  const auto is_recorded = [&](const char* where) {
    auto row = db_.use(where);
    row.number(shard.number).number(what.destination.value()).number(what.seq.value());
    return row.next();
  };
  auto end = recorded_end::none;
  if (is_recorded("SELECT 1 FROM dead_letter WHERE shard = ? AND destination = ? AND sequence = ?"))
    end = recorded_end::dead_letter;
  else if (is_recorded(
             "SELECT 1 FROM operation WHERE shard = ? AND destination = ? AND sequence = ? AND kind = 'skip'"))
    end = recorded_end::skipped;
  if (auto read = db_.outcome(); !read) return tl::unexpected(std::move(read.error()));
  return end;
}

result<epoch> reader::current_epoch(const owned_shard& shard) {
  auto row = db_.use("SELECT epoch FROM shard WHERE number = ?");
  row.number(shard.number);
  const epoch found = row.next() ? epoch{row.number_at(0)} : epoch{};
  if (auto read = db_.outcome(); !read) return tl::unexpected(std::move(read.error()));
  return found;
}

} // namespace reseq::store::sqlite
