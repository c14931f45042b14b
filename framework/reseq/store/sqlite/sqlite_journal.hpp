/// The embedded journal: one SQLite database in a data directory that belongs to this process alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "reseq/model/error.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/sqlite/checkpointer.hpp"
#include "reseq/store/write_behind.hpp"

namespace reseq::store::sqlite {

struct sqlite_options {
  std::uint64_t cache_bytes = 64U << 20U; ///< of the writer's page cache; the reader has a quarter of it
  wal_limits wal;
  write_behind_limits indexes;
  std::uint64_t max_bytes = 0; ///< the database refuses to grow past it with `errc::no_space`; 0: the disk decides
  bool accept_loss = false;    ///< a shard that has gone back in time (`errc::diverged`) is recovered when it is opened
  std::function<void(const std::string&)> tell = [](const std::string&) {}; ///< for a log, at most once a minute
};

/// Opens `data_dir/journal.sqlite`; creates the directory and the database if they are missing, and brings an older
/// database up to date. `errc::incompatible` when another process has the directory (it is named), or when the file is
/// another program's or of a newer version, `errc::corrupt` when it is no database, is cut or lacks its log, and
/// `errc::unavailable` when it cannot be written: nothing was changed then. The first shard that is opened needs room
/// for what stands in the log, at most `wal.most_bytes` (`errc::no_space`).
///
/// The journal keeps to the threading that `journal` promises; `open` waits for a commit that is under way.
result<std::unique_ptr<journal>> open_sqlite(const std::filesystem::path& data_dir, const sqlite_options& options = {});

} // namespace reseq::store::sqlite
