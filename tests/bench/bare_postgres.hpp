/// The baseline: the same messages inserted into a plain PostgreSQL table with the journal's indexes, and nothing else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "reseq/model/submission.hpp"
#include "reseq/store/postgres/pqxx_versions.hpp"

namespace reseq::bench {

/// How a batch's rows get into the table.
enum class way {
  unnest, ///< an array a column, in binary: what the journal does
  json,   ///< one document, by jsonb_to_recordset
  copy,   ///< COPY … FROM STDIN
};

/// What is locked before the rows are inserted.
enum class lock {
  none,
  row,      ///< SELECT … FOR NO KEY UPDATE, which reads the epoch too
  advisory, ///< pg_advisory_xact_lock, and the epoch read after it
};

/// One connection, commits as durable as the journal's. What goes wrong is libpqxx's exception.
class bare_postgres {
public:
  bare_postgres(const std::string& url, way how, lock what);
  /// Another connection, to the table of `first`, of which it commits batches.
  bare_postgres(const std::string& url, const bare_postgres& first);

  struct batch {
    std::vector<std::string> columns;              ///< as `how` wants them
    std::vector<std::array<std::string, 11>> rows; ///< for COPY
  };

  /// Everything but PostgreSQL's and libpqxx's own work, so that it is not counted.
  [[nodiscard]] batch ready(const std::vector<submission>& submissions);

  /// In one transaction.
  void commit(const batch& rows);

private:
  void make_table();
  void prepare();
  void take_lock(pqxx::work& tx);

  pqxx::connection db_;
  way how_;
  lock what_;
  std::string table_;
  std::uint64_t next_ = 1;
};

} // namespace reseq::bench
