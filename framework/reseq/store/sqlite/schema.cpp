#include "reseq/store/sqlite/schema.hpp"

#include <array>
#include <cstddef>
#include <string>

namespace reseq::store::sqlite {

namespace {

constexpr std::uint32_t application_id = 0x72736571; // "rseq"

/// Step N brings version N - 1 to N. Steps that were released are never changed.
constexpr std::array<const char*, 3> steps = {R"sql(
CREATE TABLE secret (id_hash_key BLOB NOT NULL);
INSERT INTO secret VALUES (randomblob(16));

CREATE TABLE shard (
  number INTEGER PRIMARY KEY,
  pipeline TEXT NOT NULL,
  shard INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  definition_version INTEGER NOT NULL,
  indexed_position INTEGER NOT NULL,   -- up to here id_index and enrolment are complete
  forgotten_position INTEGER NOT NULL, -- up to here messages are past retention
  UNIQUE (pipeline, shard)
);
CREATE TABLE definition (
  shard INTEGER NOT NULL,
  version INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (shard, version)
) WITHOUT ROWID;
CREATE TABLE destination (
  shard INTEGER NOT NULL,
  id INTEGER NOT NULL,
  name TEXT NOT NULL,
  forgotten_sequence INTEGER NOT NULL, -- up to here its messages are past retention
  PRIMARY KEY (shard, id)
) WITHOUT ROWID;
CREATE TABLE progress (
  shard INTEGER NOT NULL,
  destination INTEGER NOT NULL,
  watermark INTEGER NOT NULL,
  settled_above TEXT NOT NULL,
  last_delivered INTEGER NOT NULL,
  dead_letters_in_a_row INTEGER NOT NULL,
  paused INTEGER NOT NULL,
  PRIMARY KEY (shard, destination)
) WITHOUT ROWID;
CREATE TABLE held (
  shard INTEGER NOT NULL,
  destination INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  position INTEGER NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  last_error TEXT NOT NULL,
  since_ms INTEGER NOT NULL,
  PRIMARY KEY (shard, destination, sequence)
) WITHOUT ROWID;

-- The small columns stand before the payload, so that the scan at start-up reads no overflow pages.
CREATE TABLE message (
  place INTEGER PRIMARY KEY, -- shard number << 44 | position
  id TEXT NOT NULL,
  accepted_ms INTEGER NOT NULL,
  enrolled TEXT NOT NULL,    -- destination:sequence …
  fingerprint BLOB NOT NULL,
  key TEXT NOT NULL,
  content_type TEXT NOT NULL,
  headers TEXT NOT NULL,     -- name: value lines
  payload BLOB NOT NULL
);
CREATE VIEW journal AS SELECT shard.pipeline, shard.shard, message.place & 0xfffffffffff AS position, message.*
  FROM message JOIN shard ON shard.number = message.place >> 44;

-- Accepted, wanted by no route: only the id is remembered.
CREATE TABLE unrouted (
  place INTEGER PRIMARY KEY, -- shard number << 44 | a number in the order of acceptance
  shard INTEGER NOT NULL,
  id TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  accepted_ms INTEGER NOT NULL
);
CREATE UNIQUE INDEX unrouted_id ON unrouted (shard, id);

-- Derived from message, and written behind it.
CREATE TABLE id_index (
  shard INTEGER NOT NULL,
  id_key INTEGER NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (shard, id_key, position)
) WITHOUT ROWID;
CREATE TABLE enrolment (
  shard INTEGER NOT NULL,
  destination INTEGER NOT NULL,
  first_sequence INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  positions BLOB NOT NULL,   -- one a sequence: differences as variable-length numbers
  PRIMARY KEY (shard, destination, first_sequence)
) WITHOUT ROWID;

CREATE TABLE dead_letter (
  shard INTEGER NOT NULL,
  destination INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  position INTEGER NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  last_error TEXT NOT NULL,
  since_ms INTEGER NOT NULL,
  message_id TEXT NOT NULL,
  key TEXT NOT NULL,
  content_type TEXT NOT NULL,
  headers TEXT NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (shard, destination, sequence)
);
CREATE TABLE operation (
  number INTEGER PRIMARY KEY,
  shard INTEGER NOT NULL,
  kind TEXT NOT NULL,
  destination INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  at_ms INTEGER NOT NULL
);
CREATE INDEX operation_age ON operation (shard, at_ms);
)sql",
                                              R"sql(
-- Order by key. Everything up to reached is settled but for unsettled and the parked keys' messages.
ALTER TABLE progress ADD COLUMN reached INTEGER NOT NULL DEFAULT 0; -- 0 with order in total
ALTER TABLE progress ADD COLUMN unsettled TEXT NOT NULL DEFAULT ''; -- sequences
ALTER TABLE progress ADD COLUMN settled INTEGER NOT NULL DEFAULT 0; -- how many, when reached is not 0
CREATE TABLE parked (
  shard INTEGER NOT NULL,
  destination INTEGER NOT NULL,
  key TEXT NOT NULL,
  from_sequence INTEGER NOT NULL, -- of this key, nothing from here on is settled but for progress.settled_above
  PRIMARY KEY (shard, destination, key)
) WITHOUT ROWID;
)sql",
                                              R"sql(
-- The journal had gone backwards: what was seen of the history that it lost, and was not given again.
CREATE TABLE recovery (
  number INTEGER PRIMARY KEY,
  shard INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  after_position INTEGER NOT NULL, -- the last one that the journal had
  last_position INTEGER NOT NULL,  -- the last one that is passed over
  why TEXT NOT NULL
);
CREATE TABLE lost (
  shard INTEGER NOT NULL,
  destination INTEGER NOT NULL,
  first_sequence INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  recovery INTEGER NOT NULL,
  PRIMARY KEY (shard, destination, first_sequence)
) WITHOUT ROWID;
)sql"};

} // namespace

result<void> check_numbers(std::uint64_t application, std::uint64_t version, const std::filesystem::path& file) {
  if (application != 0 && application != application_id)
    return fail(errc::incompatible, "this is another program's database", file.string());
  if (application == application_id && version > steps.size())
    return fail(errc::incompatible,
                "written by a newer reseq (version " + std::to_string(version) + " of the journal; this one knows " +
                  std::to_string(steps.size()) + "): nothing was changed",
                file.string());
  return {};
}

result<void> prepare(connection& db, const std::filesystem::path& file) {
  const auto application = db.single("PRAGMA application_id");
  const auto version = db.single("PRAGMA user_version");
  const auto tables = db.single("SELECT count(*) FROM sqlite_master");
  if (auto read = db.outcome(); !read) return read;
  if (application == 0U && tables != 0U)
    return fail(errc::incompatible, "this is another program's database", file.string());
  if (auto fits = check_numbers(application.value_or(0), version.value_or(0), file); !fits) return fits;

  const std::size_t from = version.value_or(0);
  for (std::size_t step = from; step < steps.size(); ++step) {
    transaction upgrade(db, transaction::kind::write);
    db.execute(steps[step]);
    db.execute("PRAGMA application_id = " + std::to_string(application_id));
    db.execute("PRAGMA user_version = " + std::to_string(step + 1));
    if (auto done = upgrade.commit(); !done) return done;
  }
  db.execute("PRAGMA journal_mode = WAL");
  // An upgraded file says so in its own header, where older versions look before they touch anything.
  if (from < steps.size()) db.execute("PRAGMA wal_checkpoint(PASSIVE)");
  return db.outcome();
}

} // namespace reseq::store::sqlite
