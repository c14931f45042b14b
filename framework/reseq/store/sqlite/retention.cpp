#include "reseq/store/sqlite/retention.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "reseq/store/sqlite/committer.hpp"
#include "reseq/store/sqlite/enrolment_table.hpp"
#include "reseq/store/sqlite/schema.hpp"

namespace reseq::store::sqlite {

namespace {

/// How many messages one look past those that the clock was ahead for reads.
constexpr std::uint32_t looked_at_once = 10'000;

/// One slice of messages that go.
struct old_messages {
  std::vector<id_entry> ids;
  std::map<destination_id, sequence> last; ///< of each destination, among them
};

class expiry {
public:
  expiry(connection& db, const id_keys& keys, owned_shard& shard, wall_time before, wall_time now)
    : db_(db), keys_(keys), shard_(shard), before_ms_(before.time_since_epoch().count()),
      now_ms_(now.time_since_epoch().count()) {}

  result<std::uint64_t> run(std::uint32_t max_messages) {
    transaction tx(db_, transaction::kind::write);
    check_epoch(db_, shard_);
    const old_messages old = choose(max_messages);
    write_behind::slice behind;
    if (!old.ids.empty()) {
      forget_messages(old.ids.back().at); // first: a full database needs their room for what follows
      if (old.ids.back().at > shard_.behind.indexed()) write_indexes(db_, shard_, behind = shard_.behind.everything());
      forget_indexed(old);
    }
    const std::uint64_t unrouted = forget_unrouted(max_messages - old.ids.size());
    forget_operations(max_messages);
    if (auto done = tx.commit(); !done) return tl::unexpected(std::move(done.error()));

    if (behind.everything) shard_.behind.written(behind);
    if (!old.ids.empty()) shard_.forgotten = old.ids.back().at;
    return old.ids.size() + unrouted;
  }

private:
  old_messages choose(std::uint32_t max_messages) {
    old_messages old;
    auto rows = db_.use("SELECT place, accepted_ms, id, enrolled FROM message WHERE place > ? AND place < ? "
                        "ORDER BY place LIMIT ?");
    rows.number(place(shard_.number, shard_.forgotten.value())).number(place(shard_.number + 1, 0));
    rows.number(max_messages);
    bool looked = false;
    while (rows.next()) {
      const position at{position_of(rows.number_at(0))};
      if (!is_old(at, rows.signed_number_at(1))) break;
      if (at > shard_.settled && !std::exchange(looked, true)) find_settled();
      if (at > shard_.settled) break;
      old.ids.push_back({keys_(rows.bytes_at(2)), at});
      for (const auto& [destination, seq] : decode_enrolled(rows.bytes_at(3))) old.last[destination] = seq;
    }
    return old;
  }

  /// Where the clock was ahead the next message decides that it was not ahead for; a long way to it is gone in stages.
  bool is_old(position at, std::int64_t accepted_ms) {
    if (accepted_ms <= now_ms_) return accepted_ms < before_ms_;
    shard_.ahead = std::max(shard_.ahead, at);
    auto rows = db_.use("SELECT place, accepted_ms FROM message WHERE place > ? AND place < ? ORDER BY place LIMIT ?");
    rows.number(place(shard_.number, shard_.ahead.value())).number(place(shard_.number + 1, 0));
    rows.number(looked_at_once);
    while (rows.next()) {
      if (rows.signed_number_at(1) <= now_ms_) return rows.signed_number_at(1) < before_ms_;
      shard_.ahead = position{position_of(rows.number_at(0))};
    }
    return false;
  }

  /// The lowest position that some destination has not settled bounds what may go; it only ever grows.
  void find_settled() {
    position settled = shard_.heads.last;
    for (const auto& [destination, head] : shard_.heads.destinations) {
      const sequence next = shard_.after_lost(destination, shard_.backlogs.at(destination).watermark + 1);
      if (next > head.last) continue;
      const auto at = positions(db_, shard_, destination, next, 1);
      if (!at || at->empty()) {
        db_.fail_with(at ? error{errc::corrupt, "an unsettled sequence has no position", head.name} : at.error());
        return;
      }
      settled = std::min(settled, at->front() - 1);
    }
    auto held = db_.use("SELECT min(position) FROM held WHERE shard = ?");
    held.number(shard_.number);
    if (held.next() && !held.null_at(0)) settled = std::min(settled, position{held.number_at(0) - 1});
    shard_.settled = settled;
  }

  void forget_messages(position last) {
    db_.use("DELETE FROM message WHERE place > ? AND place <= ?")
      .number(place(shard_.number, shard_.forgotten.value()))
      .number(place(shard_.number, last.value()))
      .run();
    db_.use("UPDATE shard SET forgotten_position = ? WHERE number = ?")
      .number(last.value())
      .number(shard_.number)
      .run();
  }

  void forget_indexed(const old_messages& old) {
    auto ids = old.ids;
    std::sort(ids.begin(), ids.end()); // neighbours in the index share its pages
    auto forget_id = db_.use("DELETE FROM id_index WHERE shard = ? AND id_key = ? AND position = ?");
    for (const auto& [key, at] : ids) forget_id.number(shard_.number).number(key).number(at.value()).run();
    for (const auto& [destination, seq] : old.last) forget_sequences(destination, seq);
  }

  void forget_sequences(destination_id destination, sequence last) {
    db_
      .use("DELETE FROM enrolment WHERE shard = ?1 AND destination = ?2 AND first_sequence <= ?3 AND "
           "last_sequence <= ?3")
      .number(shard_.number)
      .number(destination.value())
      .number(last.value())
      .run();
    db_.use("UPDATE destination SET forgotten_sequence = ? WHERE shard = ? AND id = ?")
      .number(last.value())
      .number(shard_.number)
      .number(destination.value())
      .run();
  }

  std::uint64_t forget_unrouted(std::uint64_t most) {
    if (!shard_.has_unrouted || most == 0) return 0;
    db_
      .use("DELETE FROM unrouted WHERE place IN (SELECT place FROM unrouted WHERE place > ? AND place < ? "
           "ORDER BY place LIMIT ?) AND accepted_ms < ?")
      .number(place(shard_.number, 0))
      .number(place(shard_.number + 1, 0))
      .number(most)
      .signed_number(before_ms_)
      .run();
    return db_.ok() ? db_.changed_rows() : 0;
  }

  void forget_operations(std::uint32_t most) {
    db_
      .use("DELETE FROM operation WHERE number IN (SELECT number FROM operation WHERE shard = ? AND at_ms < ? "
           "ORDER BY at_ms LIMIT ?)")
      .number(shard_.number)
      .signed_number(before_ms_)
      .number(most)
      .run();
  }

  connection& db_;
  const id_keys& keys_;
  owned_shard& shard_;
  std::int64_t before_ms_;
  std::int64_t now_ms_;
};

} // namespace

result<std::uint64_t> expire(connection& db, const id_keys& keys, owned_shard& shard, wall_time before, wall_time now,
                             std::uint32_t max_messages) {
  return expiry(db, keys, shard, before, now).run(max_messages);
}

} // namespace reseq::store::sqlite
