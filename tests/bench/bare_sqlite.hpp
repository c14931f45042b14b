/// The baseline: the same messages inserted into a plain SQLite table, and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "reseq/model/submission.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace reseq::bench {

/// Message ids as UUID text: version 7 when ordered, like those that reseq makes, else version 4. The same ones again
/// in every program.
class ids {
public:
  explicit ids(bool ordered) : ordered_(ordered) {}

  std::string next();

private:
  bool ordered_;
  std::uint64_t count_ = 0;
  std::mt19937_64 random_{1};
};

/// JSON of exactly 1 KiB.
const std::string& payload();

/// Messages for the destinations 1 to `destinations`.
std::vector<submission> make_batch(ids& from, std::size_t size, std::uint32_t destinations);

/// A table with the journal's columns, a 16-byte unique id, and SQLite's own checkpoints. As durable as the journal.
/// What goes wrong ends the program.
class bare_sqlite {
public:
  explicit bare_sqlite(const std::filesystem::path& file);
  ~bare_sqlite();
  bare_sqlite(const bare_sqlite&) = delete;
  bare_sqlite& operator=(const bare_sqlite&) = delete;

  struct row {
    std::string id; ///< the UUID's 16 bytes
    std::string enrolled;
    std::string headers;
    submission from;
  };
  using batch = std::vector<row>;

  /// Everything but SQLite's own work, so that it is not counted.
  static batch ready(std::vector<submission> submissions);

  /// In one transaction.
  void commit(const batch& rows);

private:
  void run(const char* sql);
  void insert(const row& one);

  sqlite3* db_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
};

} // namespace reseq::bench
