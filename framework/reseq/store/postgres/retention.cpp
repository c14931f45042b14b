#include "reseq/store/postgres/retention.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "reseq/store/postgres/enrolment_table.hpp"
#include "reseq/store/postgres/fence.hpp"
#include "reseq/store/postgres/partitions.hpp"
#include "reseq/store/postgres/sweep.hpp"

namespace reseq::store::postgres {

namespace {

/// How many messages one look past those that the clock was ahead for reads.
constexpr std::uint32_t looked_at_once = 10'000;

class expiry {
public:
  expiry(database& db, pqxx::work& tx, partitioned_shard& shard, wall_time before, wall_time now)
    : db_(db), tx_(tx), shard_(shard), before_ms_(before.time_since_epoch().count()),
      now_ms_(now.time_since_epoch().count()) {}

  /// Up to here messages may go.
  result<position> choose(std::uint32_t max_messages) {
    const position most = std::min(shard_.forgotten + max_messages, shard_.heads.last);
    position old = last_old_up_to(most);
    if (old == shard_.forgotten && oldest_is_from_the_future()) old = std::min(most, last_old_from_the_future());
    if (old > shard_.settled)
      if (auto found = find_settled(); !found) return tl::unexpected(std::move(found.error()));
    return std::max(std::min(old, shard_.settled), shard_.forgotten);
  }

  void forget(position upto) {
    db_.run(tx_, "UPDATE reseq.shard SET forgotten_position = $2 WHERE number = $1", shard_.number, upto.value());
  }

  std::uint64_t forget_unrouted(std::uint64_t most) {
    if (!shard_.has_unrouted || most == 0) return 0;
    return db_
      .run(
        tx_,
        "DELETE FROM reseq.unrouted WHERE ctid = ANY (ARRAY(SELECT ctid FROM reseq.unrouted WHERE shard = $1 ORDER BY "
        "number LIMIT $2)) AND accepted < to_timestamp($3::bigint / 1000.0)",
        shard_.number, most, before_ms_)
      .affected_rows();
  }

  void forget_operations(std::uint32_t most) {
    db_.run(tx_,
            "DELETE FROM reseq.operation WHERE number IN (SELECT number FROM reseq.operation WHERE shard = $1 AND at < "
            "to_timestamp($3::bigint / 1000.0) ORDER BY at LIMIT $2)",
            shard_.number, most, before_ms_);
  }

private:
  /// Times rise with positions, but for those of messages that were accepted while the clock was ahead: they count as
  /// young here.
  position last_old_up_to(position most) {
    position old = shard_.forgotten;
    position young = most + 1;
    if (most > old && is_old(most)) return most;
    while (old + 1 < young) {
      const position middle = old + (young - old) / 2;
      (is_old(middle) ? old : young) = middle;
    }
    return old;
  }

  bool is_old(position at) {
    const auto rows = db_.run(tx_,
                              "SELECT accepted < to_timestamp($3::bigint / 1000.0) FROM reseq.message WHERE shard = $1 "
                              "AND position = $2",
                              shard_.number, at.value(), before_ms_);
    return rows.empty() ? is_old_before(at) : rows[0][0].as<bool>();
  }

  /// Positions are dense but for what a recovery passed over: there the message before it counts.
  bool is_old_before(position at) {
    const auto rows = db_.run(tx_,
                              "SELECT accepted < to_timestamp($4::bigint / 1000.0) FROM reseq.message WHERE shard = $1 "
                              "AND position > $2 AND position < $3 ORDER BY position DESC LIMIT 1",
                              shard_.number, shard_.forgotten.value(), at.value(), before_ms_);
    return rows.empty() || rows[0][0].as<bool>();
  }

  bool oldest_is_from_the_future() {
    const auto rows = db_.run(tx_,
                              "SELECT accepted > to_timestamp($3::bigint / 1000.0) FROM reseq.message WHERE shard = $1 "
                              "AND position > $2 ORDER BY position LIMIT 1",
                              shard_.number, shard_.forgotten.value(), now_ms_);
    return !rows.empty() && rows[0][0].as<bool>();
  }

  /// The next message that the clock was not ahead for decides; a long way to it is gone in stages.
  position last_old_from_the_future() {
    const auto rows =
      db_.run(tx_,
              "SELECT position, sure, accepted < to_timestamp($4::bigint / 1000.0) FROM (SELECT position, accepted, "
              "accepted <= to_timestamp($3::bigint / 1000.0) AS sure FROM reseq.message WHERE shard = $1 AND position "
              "> $2 ORDER BY position LIMIT $5) AS next ORDER BY sure DESC, CASE WHEN sure THEN position ELSE "
              "-position END LIMIT 1",
              shard_.number, std::max(shard_.forgotten, shard_.ahead).value(), now_ms_, before_ms_, looked_at_once);
    if (rows.empty()) return shard_.forgotten;
    const position at{rows[0][0].as<std::uint64_t>()};
    const bool sure = rows[0][1].as<bool>();
    shard_.ahead = sure ? at - 1 : at;
    return sure && rows[0][2].as<bool>() ? shard_.ahead : shard_.forgotten;
  }

  /// The lowest position that some destination has not settled bounds what may go; it only ever grows.
  result<void> find_settled() {
    position settled = shard_.heads.last;
    for (const auto& [destination, head] : shard_.heads.destinations) {
      const sequence next = shard_.after_lost(destination, shard_.backlogs.at(destination).watermark + 1);
      if (next > head.last) continue;
      const auto at = positions(db_, tx_, shard_, destination, next, 1);
      if (!at) return tl::unexpected(at.error());
      if (at->empty()) return fail(errc::corrupt, "an unsettled sequence has no position", head.name);
      settled = std::min(settled, at->front() - 1);
    }
    const auto held = db_.run(tx_, "SELECT min(position) FROM reseq.held WHERE shard = $1", shard_.number);
    if (!held[0][0].is_null()) settled = std::min(settled, position{held[0][0].as<std::uint64_t>() - 1});
    shard_.settled = settled;
    return {};
  }

  database& db_;
  pqxx::work& tx_;
  partitioned_shard& shard_;
  std::int64_t before_ms_;
  std::int64_t now_ms_;
};

struct gone {
  position upto;
  std::uint64_t unrouted = 0;
};

} // namespace

result<std::uint64_t> expire(database& db, partitioned_shard& shard, wall_time before, wall_time now,
                             std::uint32_t max_messages, duration patience) {
  const auto done = db.transact([&](pqxx::work& tx) -> result<gone> {
    std::array<owned_shard*, 1> ours{&shard};
    if (auto held = hold(db, tx, fence::write, ours); !held) return tl::unexpected(std::move(held.error()));
    expiry run(db, tx, shard, before, now);
    const auto upto = run.choose(max_messages);
    if (!upto) return tl::unexpected(upto.error());
    if (*upto > shard.forgotten) run.forget(*upto);
    const auto unrouted = run.forget_unrouted(max_messages - (*upto - shard.forgotten));
    run.forget_operations(max_messages);
    return gone{*upto, unrouted};
  });
  if (!done) return tl::unexpected(done.error());
  const std::uint64_t messages = done->upto - shard.forgotten;
  shard.forget_up_to(done->upto);
  const auto more = sweep(db, shard, before, patience);
  if (!more) return tl::unexpected(more.error());
  if (*more) return max_messages;
  // Somebody reading from it just now only means that it goes another time.
  if (const auto dropped = drop_oldest(db, shard); !dropped && !is_lock_timeout(dropped.error()))
    return tl::unexpected(dropped.error());
  return messages + done->unrouted;
}

} // namespace reseq::store::postgres
