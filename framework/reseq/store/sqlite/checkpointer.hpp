/// Keeps the write-ahead log short without making commits wait: a thread with a connection of its own copies it into
/// the database; the writer only does the last few pages, between two commits, so that the log starts again from its
/// beginning. After the first commit the thread makes the log's file as long as it will get: syncing what overwrites a
/// file's blocks is several times as fast as syncing what makes the file longer.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

#include "reseq/model/error.hpp"
#include "reseq/store/sqlite/connection.hpp"

namespace reseq::store::sqlite {

struct wal_limits {
  std::uint64_t checkpoint_bytes = 1U << 20U; ///< the background starts when this much waits
  std::uint64_t most_bytes = 128U << 20U;     ///< from here on the writer does the work itself, whatever it takes
  bool lengthen = true;                       ///< the log's file at once, so that commits need not
};

class checkpointer {
public:
  /// Starts the thread. `writer` is told from now on how long its log is; both must outlive this object.
  checkpointer(std::unique_ptr<connection> background, connection& writer, wal_limits limits);
  ~checkpointer();
  checkpointer(const checkpointer&) = delete;
  checkpointer& operator=(const checkpointer&) = delete;

  /// For the writer, before the first receipt: all of the log goes into the database, and the next commit begins
  /// another. What a process finds in the log may have been read from the page cache of a system that had failed to
  /// sync it: what is appended to it would be lost with it. Waits a while for readers, then `errc::unavailable`.
  result<void> begin_log_anew();

  /// For the writer, between transactions: finishes a checkpoint when it is nearly done, or when the log is too long.
  /// Fails when the log is too long and cannot be shortened, or when after a failed sync SQLite cannot be made to count
  /// anew what is copied; nothing may be written then.
  result<void> before_write();

private:
  static int log_grew(void* self, sqlite3* db, const char* schema, int frames);
  void run();
  void lengthen_log();
  void copy_all_but_a_little();
  /// After a pass with this code, by the thread that made it and under `copying_`.
  void note_failure(int code, connection& through);
  result<void> count_anew(connection& through) const;
  [[nodiscard]] bool spoilt() const;
  [[nodiscard]] bool stopping() const;

  std::unique_ptr<connection> background_;
  connection& writer_;
  std::uint64_t page_bytes_;
  std::uint64_t start_frames_; ///< the limits, in frames
  std::uint64_t most_frames_;
  std::uint64_t log_bytes_; ///< how long the log's file gets when checkpoints keep up

  std::mutex copying_; ///< one checkpoint at a time
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t frames_ = 0; ///< in the log
  std::uint64_t copied_ = 0; ///< of them, and synced
  bool lengthen_;
  bool written_ = false; ///< something was, since the start
  bool nearly_done_ = false;
  bool spoilt_ = false; ///< SQLite counts as copied what the disk has failed to sync
  bool stop_ = false;
  std::thread thread_;
};

} // namespace reseq::store::sqlite
