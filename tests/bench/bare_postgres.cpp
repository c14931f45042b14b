#include "bare_postgres.hpp"

#include <utility>

#include "reseq/store/codec.hpp"
#include "reseq/store/postgres/binary_array.hpp"

namespace reseq::bench {

using store::postgres::binary;
using store::postgres::binary_array;
using store::postgres::run_prepared;

namespace {

constexpr const char* columns = "(position, id_key, accepted, shard, id, enrolled, fingerprint, key, content_type, "
                                "headers, payload)";

std::string hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out = "\\x";
  for (const unsigned char c : bytes) out += {digits[c >> 4U], digits[c & 0xfU]};
  return out;
}

std::string in_json(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + "\"";
}

std::string_view fingerprint_of(const submission& one) {
  return {reinterpret_cast<const char*>(one.fingerprint.data()), one.fingerprint.size()};
}

} // namespace

bare_postgres::bare_postgres(const std::string& url, way how, lock what)
  : db_(url), how_(how), what_(what),
    table_("bare_" + std::to_string(static_cast<int>(how)) + std::to_string(static_cast<int>(what)) + "_" +
           std::to_string(db_.backendpid())) {
  make_table();
  prepare();
}

bare_postgres::bare_postgres(const std::string& url, const bare_postgres& first)
  : db_(url), how_(first.how_), what_(first.what_), table_(first.table_) {
  prepare();
}

void bare_postgres::make_table() {
  pqxx::nontransaction tx(db_);
  tx.exec("CREATE TABLE " + table_ +
          " (position bigint PRIMARY KEY, id_key bigint NOT NULL, accepted timestamptz NOT NULL, shard integer NOT "
          "NULL, id text NOT NULL, enrolled text NOT NULL, fingerprint bytea NOT NULL, key text NOT NULL, content_type "
          "text NOT NULL, headers text NOT NULL, payload bytea NOT NULL); CREATE INDEX ON " +
          table_ + " (id_key); CREATE TABLE " + table_ +
          "_owner (number integer PRIMARY KEY, epoch bigint NOT NULL); "
          "INSERT INTO " +
          table_ + "_owner VALUES (1, 1)");
}

void bare_postgres::prepare() {
  pqxx::nontransaction(db_).exec("SET synchronous_commit = on; SET work_mem = '32MB'");
  const std::string into = "INSERT INTO " + table_ + " " + columns;
  if (how_ == way::unnest)
    db_.prepare("insert", into +
                            " SELECT m.position, m.id_key, now(), 1, m.id, m.enrolled, m.fingerprint, m.key, m.type, "
                            "m.headers, m.payload FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], "
                            "$5::bytea[], $6::text[], $7::text[], $8::text[], $9::bytea[]) AS m (position, id_key, id, "
                            "enrolled, fingerprint, key, type, headers, payload)");
  if (how_ == way::json)
    db_.prepare("insert",
                into + " SELECT m.position, m.id_key, now(), 1, m.id, m.enrolled, m.fingerprint, m.key, m.type, "
                       "m.headers, convert_to(m.payload, 'UTF8') FROM jsonb_to_recordset($1::jsonb) AS m "
                       "(position bigint, id_key bigint, id text, enrolled text, fingerprint bytea, key text, type "
                       "text, headers text, payload text)");
  db_.prepare("row", "SELECT epoch FROM " + table_ + "_owner WHERE number = 1 FOR NO KEY UPDATE");
  db_.prepare("advisory", "SELECT pg_advisory_xact_lock(1)");
  db_.prepare("epoch", "SELECT epoch FROM " + table_ + "_owner WHERE number = 1");
}

bare_postgres::batch bare_postgres::ready(const std::vector<submission>& submissions) {
  using of = binary_array::of;
  const store::id_keys keys({1, 2});
  binary_array positions(of::bigint), id_keys(of::bigint), ids(of::text), enrolled(of::text), fingerprints(of::bytea),
    key(of::text), types(of::text), headers(of::text), payloads(of::bytea);
  std::string json = "[";
  batch out;
  for (const auto& one : submissions) {
    const message& what = *one.message;
    const auto id_key = keys(what.id());
    const std::string places(one.routes.size() * 9, '1');
    const std::string lines = store::encode_headers(what.headers());
    const std::string position = std::to_string(next_);
    if (how_ == way::unnest) {
      positions.add_number(next_);
      id_keys.add_number(id_key);
      ids.add(what.id());
      enrolled.add(places);
      fingerprints.add(fingerprint_of(one));
      key.add(what.key());
      types.add(what.content_type());
      headers.add(lines);
      payloads.add(what.payload());
    } else if (how_ == way::json) {
      json += (json.size() > 1 ? "," : "") + std::string("{\"position\":") + position +
              ",\"id_key\":" + std::to_string(static_cast<std::int64_t>(id_key)) + ",\"id\":" + in_json(what.id()) +
              ",\"enrolled\":\"" + places + "\",\"fingerprint\":" + in_json(hex(fingerprint_of(one))) +
              ",\"key\":" + in_json(what.key()) + ",\"type\":" + in_json(what.content_type()) +
              ",\"headers\":" + in_json(lines) + ",\"payload\":" + in_json(what.payload()) + "}";
    } else {
      out.rows.push_back({position, std::to_string(static_cast<std::int64_t>(id_key)), "2026-01-01", "1", what.id(),
                          places, hex(fingerprint_of(one)), what.key(), what.content_type(), lines,
                          hex(what.payload())});
    }
    ++next_;
  }
  if (how_ == way::json) out.columns = {json + "]"};
  if (how_ == way::unnest)
    for (auto* column : {&positions, &id_keys, &ids, &enrolled, &fingerprints, &key, &types, &headers, &payloads})
      out.columns.push_back(column->bytes());
  return out;
}

void bare_postgres::take_lock(pqxx::work& tx) {
  if (what_ == lock::row) run_prepared(tx, "row");
  if (what_ == lock::advisory) {
    run_prepared(tx, "advisory");
    run_prepared(tx, "epoch");
  }
}

void bare_postgres::commit(const batch& rows) {
  pqxx::work tx(db_);
  take_lock(tx);
  const auto& c = rows.columns;
  if (how_ == way::unnest) {
    run_prepared(tx, "insert", binary(c[0]), binary(c[1]), binary(c[2]), binary(c[3]), binary(c[4]), binary(c[5]),
                 binary(c[6]), binary(c[7]), binary(c[8]));
  } else if (how_ == way::json) {
    run_prepared(tx, "insert", c[0]);
  } else {
    store::postgres::copy_rows(tx, table_, rows.rows);
  }
  tx.commit();
}

} // namespace reseq::bench
