#include "reseq/store/sqlite/recovery.hpp"

#include "reseq/store/recorded_shard.hpp"
#include "reseq/store/sqlite/changes.hpp"
#include "reseq/store/sqlite/committer.hpp"
#include "reseq/store/sqlite/schema.hpp"

namespace reseq::store::sqlite {

namespace {

void record(connection& db, const owned_shard& shard, const recovery& how, wall_time now) {
  db.use("INSERT INTO recovery (shard, at_ms, epoch, after_position, last_position, why) VALUES (?, ?, ?, ?, ?, ?)")
    .number(shard.number)
    .signed_number(now.time_since_epoch().count())
    .number(how.owner.value())
    .number(shard.heads.last.value())
    .number(how.last.value())
    .text(how.why)
    .run();
  auto lost = db.use("INSERT INTO lost SELECT ?, ?, ?, ?, max(number) FROM recovery");
  for (const auto& [destination, range] : how.missing)
    lost.number(shard.number).number(destination.value()).number(range.first.value()).number(range.last.value()).run();
}

} // namespace

result<void> recover(connection& db, owned_shard& shard, const recovery& how, wall_time now) {
  if (auto fine = check_recovery(shard, how); !fine) return fine;
  if (how.last.value() >> position_bits != 0)
    return fail(errc::invalid, "there is no position " + std::to_string(how.last.value()), "recovery");
  transaction tx(db, transaction::kind::write);
  check_epoch(db, shard);
  // So that the tables say where each destination's sequences end, and the shard where its positions do.
  write_indexes(db, shard, shard.behind.everything());
  db.use("UPDATE shard SET epoch = ?, indexed_position = ? WHERE number = ?")
    .number(how.owner.value())
    .number(how.last.value())
    .number(shard.number)
    .run();
  core::journal_change rewound;
  rewound.progress = how.rewound;
  write_change(db, shard, rewound);
  record(db, shard, how, now);
  return tx.commit();
}

} // namespace reseq::store::sqlite
