#include "bare_sqlite.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include <sqlite3.h>

namespace reseq::bench {
namespace {

[[noreturn]] void die(const char* why) {
  std::fprintf(stderr, "bare SQLite: %s\n", why);
  std::exit(1);
}

std::string uuid_bytes(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    if (text[i] == '-') ++i;
    bytes += static_cast<char>(std::strtoul(text.substr(i, 2).c_str(), nullptr, 16));
  }
  return bytes;
}

} // namespace

std::string ids::next() {
  const std::uint64_t high =
    ordered_ ? ((1'700'000'000'000 + count_++ / 80) << 16U) | (random_() & 0xffffU) : random_();
  const std::uint64_t low = random_();
  std::string text(37, '\0');
  std::snprintf(text.data(), text.size(), "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(high >> 32U),
                static_cast<unsigned>((high >> 16U) & 0xffffU), static_cast<unsigned>(high & 0xffffU),
                static_cast<unsigned>(low >> 48U), static_cast<unsigned long long>(low & 0xffffffffffffU));
  text.pop_back();
  return text;
}

const std::string& payload() {
  static const std::string made = [] {
    std::string text = R"({"order":"A-1004711","customer":4711,"currency":"EUR","items":[)";
    for (int i = 0; i < 8; ++i)
      text += R"({"sku":"SKU-)" + std::to_string(10'000 + i) + R"(","quantity":2,"price":"12.50","tax":0.19},)";
    text.back() = ']';
    text += R"(,"note":")";
    return text + std::string(1024 - text.size() - 2, 'n') + "\"}";
  }();
  return made;
}

std::vector<submission> make_batch(ids& from, std::size_t size, std::uint32_t destinations) {
  std::vector<submission> out(size);
  for (auto& one : out) {
    content body{
      payload(), "application/json", {{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}};
    one.message = std::make_shared<const message>(from.next(), "", std::move(body));
    for (std::uint32_t i = 1; i <= destinations; ++i) one.routes.emplace_back(i);
  }
  return out;
}

bare_sqlite::bare_sqlite(const std::filesystem::path& file) {
  if (sqlite3_open(file.c_str(), &db_) != SQLITE_OK) die("cannot open");
  run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;"
      "CREATE TABLE message (position INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, accepted_ms INTEGER, enrolled TEXT,"
      "fingerprint BLOB, key TEXT, content_type TEXT, headers TEXT, payload BLOB)");
  sqlite3_prepare_v2(db_, "INSERT INTO message VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", -1, &insert_, nullptr);
}

bare_sqlite::~bare_sqlite() {
  sqlite3_finalize(insert_);
  sqlite3_close(db_);
}

bare_sqlite::batch bare_sqlite::ready(std::vector<submission> submissions) {
  batch rows;
  for (auto& one : submissions) {
    const auto& header = one.message->headers()[0];
    std::string enrolled(one.routes.size() * 9, '1');
    rows.push_back(
      {uuid_bytes(one.message->id()), std::move(enrolled), header.name + ": " + header.value + "\n", std::move(one)});
  }
  return rows;
}

void bare_sqlite::commit(const batch& rows) {
  run("BEGIN IMMEDIATE");
  for (const auto& one : rows) insert(one);
  run("COMMIT");
}

void bare_sqlite::run(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) die(sqlite3_errmsg(db_));
}

void bare_sqlite::insert(const row& one) {
  const auto& body = one.from.message->body();
  const auto bytes = [&](int column, const std::string& value) {
    sqlite3_bind_blob(insert_, column, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
  };
  bytes(1, one.id);
  sqlite3_bind_int64(insert_, 2, 1'700'000'000'000);
  bytes(3, one.enrolled);
  sqlite3_bind_blob(insert_, 4, one.from.fingerprint.data(), 16, SQLITE_STATIC);
  bytes(5, one.from.message->key());
  bytes(6, body.content_type);
  bytes(7, one.headers);
  bytes(8, body.payload);
  if (sqlite3_step(insert_) != SQLITE_DONE) die(sqlite3_errmsg(db_));
  sqlite3_reset(insert_);
}

} // namespace reseq::bench
