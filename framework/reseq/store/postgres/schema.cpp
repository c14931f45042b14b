#include "reseq/store/postgres/schema.hpp"

#include <array>
#include <cstddef>
#include <string>

namespace reseq::store::postgres {

namespace {

/// Step N brings version N - 1 to N. Steps that were released are never changed.
constexpr std::array<const char*, 3> steps = {R"sql(
CREATE TABLE reseq.secret (id_hash_key uuid NOT NULL);
INSERT INTO reseq.secret VALUES (gen_random_uuid());

CREATE TABLE reseq.shard (
  number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pipeline text NOT NULL,
  shard integer NOT NULL,
  epoch bigint NOT NULL,              -- raised by each owner; whoever has an older one is refused
  owner text NOT NULL,                -- the node's name
  owner_pid integer NOT NULL,         -- of the backend that writes for it; a challenger ends it if it blocks
  owner_pid_started timestamptz NOT NULL,
  definition_version bigint NOT NULL,
  indexed_position bigint NOT NULL,   -- up to here enrolment is complete
  forgotten_position bigint NOT NULL, -- up to here messages are past retention
  UNIQUE (pipeline, shard)
) WITH (fillfactor = 50);
CREATE TABLE reseq.definition (
  shard integer NOT NULL,
  version bigint NOT NULL,
  text text NOT NULL,
  recorded timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, version)
);
CREATE TABLE reseq.destination (
  shard integer NOT NULL,
  id bigint NOT NULL,
  name text NOT NULL,
  forgotten_sequence bigint NOT NULL, -- up to here its messages are past retention
  PRIMARY KEY (shard, id)
);
CREATE TABLE reseq.progress (
  shard integer NOT NULL,
  destination bigint NOT NULL,
  watermark bigint NOT NULL,          -- up to here every sequence is settled …
  settled_above bigint[] NOT NULL,    -- … and these above it
  last_delivered bigint NOT NULL,
  dead_letters_in_a_row bigint NOT NULL,
  paused boolean NOT NULL,
  -- Order by key: all up to reached is settled but for unsettled and the parked keys' messages.
  reached bigint NOT NULL,            -- 0 with order in total
  unsettled bigint[] NOT NULL,
  settled bigint NOT NULL,            -- how many, when reached is not 0
  PRIMARY KEY (shard, destination)
) WITH (fillfactor = 30);
CREATE TABLE reseq.parked (
  shard integer NOT NULL,
  destination bigint NOT NULL,
  key text NOT NULL,
  from_sequence bigint NOT NULL,      -- of this key, nothing from here on is settled but for progress.settled_above
  PRIMARY KEY (shard, destination, key)
);
CREATE TABLE reseq.held (
  shard integer NOT NULL,
  destination bigint NOT NULL,
  sequence bigint NOT NULL,
  position bigint NOT NULL,
  reason text NOT NULL,
  attempts bigint NOT NULL,
  last_error text NOT NULL,
  since timestamptz NOT NULL,
  PRIMARY KEY (shard, destination, sequence)
);

-- Text columns hold any bytes: backslashes are doubled, what is no UTF-8 stands as \xHH. Each partition belongs to one
-- shard and has an index of its own by position and by id_key.
CREATE TABLE reseq.message (
  position bigint NOT NULL,
  id_key bigint NOT NULL,             -- of the id, for its index: its time if it has one, else a hash
  accepted timestamptz NOT NULL,
  shard integer NOT NULL,
  id text NOT NULL,
  enrolled text NOT NULL,             -- destination:sequence …
  fingerprint bytea NOT NULL,
  key text NOT NULL,
  content_type text NOT NULL,
  headers text NOT NULL,              -- name: value lines
  payload bytea NOT NULL
) PARTITION BY RANGE (shard, position);
CREATE TABLE reseq.message_partition (
  shard integer NOT NULL,
  first_position bigint NOT NULL,
  end_position bigint NOT NULL,       -- the first one that is not in it
  created timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, first_position)
);

-- Accepted, wanted by no route: only the id is remembered.
CREATE TABLE reseq.unrouted (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  shard integer NOT NULL,
  id text NOT NULL,
  fingerprint bytea NOT NULL,
  accepted timestamptz NOT NULL,
  UNIQUE (shard, id)
);

-- The last transaction that accepted nothing: by this, its owner knows whether it happened when the connection broke.
CREATE TABLE reseq.last_save (
  shard integer PRIMARY KEY,
  epoch bigint NOT NULL,
  number bigint NOT NULL
) WITH (fillfactor = 30);

-- Derived from message, and written behind it.
CREATE TABLE reseq.enrolment (
  shard integer NOT NULL,
  destination bigint NOT NULL,
  first_sequence bigint NOT NULL,
  last_sequence bigint NOT NULL,
  last_position bigint NOT NULL,
  positions bytea NOT NULL,           -- one a sequence: differences as variable-length numbers
  PRIMARY KEY (shard, destination, first_sequence)
);
CREATE INDEX enrolment_age ON reseq.enrolment (shard, last_position);

CREATE TABLE reseq.dead_letter (
  shard integer NOT NULL,
  destination bigint NOT NULL,
  sequence bigint NOT NULL,
  position bigint NOT NULL,
  reason text NOT NULL,
  attempts bigint NOT NULL,
  last_error text NOT NULL,
  since timestamptz NOT NULL,
  message_id text NOT NULL,
  key text NOT NULL,
  content_type text NOT NULL,
  headers text NOT NULL,
  payload bytea NOT NULL,
  PRIMARY KEY (shard, destination, sequence)
);
CREATE TABLE reseq.operation (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  shard integer NOT NULL,
  kind text NOT NULL,
  destination bigint NOT NULL,
  sequence bigint NOT NULL,
  at timestamptz NOT NULL
);
CREATE INDEX operation_age ON reseq.operation (shard, at);
)sql",
                                              R"sql(
-- The journal had gone backwards: what was seen of the history that it lost, and was not given again.
CREATE TABLE reseq.recovery (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  shard integer NOT NULL,
  at timestamptz NOT NULL,
  epoch bigint NOT NULL,
  after_position bigint NOT NULL,     -- the last one that the journal had
  last_position bigint NOT NULL,      -- the last one that is passed over
  why text NOT NULL
);
CREATE TABLE reseq.lost (
  shard integer NOT NULL,
  destination bigint NOT NULL,
  first_sequence bigint NOT NULL,
  last_sequence bigint NOT NULL,
  recovery bigint NOT NULL,
  PRIMARY KEY (shard, destination, first_sequence)
);
)sql",
                                              R"sql(
-- By number alone, one shard's oldest ids were found only by passing over those of all others.
ALTER TABLE reseq.unrouted DROP CONSTRAINT unrouted_pkey, ADD PRIMARY KEY (shard, number);
)sql"};

/// Any number that nobody else uses: "reseq" in ASCII.
constexpr const char* wait_for_others = "SELECT pg_advisory_xact_lock(491328464241)";

result<std::size_t> version_of(pqxx::work& tx) {
  // By the catalogs' rows: `to_regclass` may not have heard yet of what another session has just committed.
  const auto exists = tx.exec("SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                              "WHERE n.nspname = 'reseq' AND c.relname = 'migration')");
  if (!exists[0][0].as<bool>()) return 0;
  const auto row = tx.exec("SELECT coalesce(max(version), 0) FROM reseq.migration");
  const auto version = row[0][0].as<std::size_t>();
  if (version > steps.size())
    return fail(errc::incompatible,
                "the schema reseq was written by a newer reseq (version " + std::to_string(version) +
                  "; this one knows " + std::to_string(steps.size()) + "): nothing was changed",
                "store.postgres");
  return version;
}

void bring_up(pqxx::work& tx, std::size_t from) {
  if (from == 0) {
    // IF NOT EXISTS would ask for the right to create schemas even where it exists.
    if (tx.exec("SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'reseq'").empty()) tx.exec("CREATE SCHEMA reseq");
    tx.exec("CREATE TABLE reseq.migration (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())");
  }
  for (std::size_t step = from; step < steps.size(); ++step) {
    tx.exec(steps[step]);
    tx.exec("INSERT INTO reseq.migration (version) VALUES (" + std::to_string(step + 1) + ")");
  }
}

} // namespace

result<void> prepare_schema(database& db) {
  const auto current = db.transact([](pqxx::work& tx) { return version_of(tx); });
  if (!current) return tl::unexpected(current.error());
  if (*current == steps.size()) return {};
  return db.transact([](pqxx::work& tx) -> result<void> {
    tx.exec("SET LOCAL lock_timeout = 0"); // what they do to a schema that is full may take long
    tx.exec(wait_for_others);
    const auto version = version_of(tx); // whoever was first has done it
    if (!version) return tl::unexpected(version.error());
    bring_up(tx, *version);
    return {};
  });
}

} // namespace reseq::store::postgres
