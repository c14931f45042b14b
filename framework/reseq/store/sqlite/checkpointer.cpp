#include "reseq/store/sqlite/checkpointer.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace reseq::store::sqlite {

namespace {

/// What the writer copies itself to finish: a millisecond's work.
constexpr std::uint64_t little_frames = 256;

/// Beside each page.
constexpr std::uint64_t frame_header_bytes = 24;

/// Passes that chase a busy writer before it is asked to help.
constexpr int most_passes = 4;

/// What the log's file grows by while the writer waits: well under a millisecond's work.
constexpr std::size_t step_bytes = 256U << 10U;

struct pass {
  int code = SQLITE_OK;
  std::uint64_t frames = 0;
  std::uint64_t copied = 0;
};

pass copy(connection& db) {
  int frames = 0;
  int copied = 0;
  const int code = sqlite3_wal_checkpoint_v2(db.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
  return {code, static_cast<std::uint64_t>(std::max(frames, 0)), static_cast<std::uint64_t>(std::max(copied, 0))};
}

/// A file's descriptor, -1 if it could not be opened.
class descriptor {
public:
  explicit descriptor(const char* path) : file_(open(path, O_RDWR | O_CLOEXEC)) {}
  ~descriptor() {
    if (file_ >= 0) close(file_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;

  [[nodiscard]] int get() const { return file_; }

private:
  int file_;
};

/// A disk that is nearly full is left to those who have something to write.
bool has_room(int file, std::uint64_t wanted_bytes) {
  struct statvfs disk {};
  return fstatvfs(file, &disk) == 0 && std::uint64_t{disk.f_bavail} * disk.f_frsize / 8 > wanted_bytes;
}

/// Adds zeros, which SQLite takes for what an earlier round of the log has left there. False when it is long enough, or
/// when that cannot be done: then commits are slower, and a disk that is full is theirs to report.
bool grow(int file, std::uint64_t wanted_bytes, const std::vector<char>& zeros) {
  struct stat now {};
  if (fstat(file, &now) != 0 || static_cast<std::uint64_t>(now.st_size) >= wanted_bytes) return false;
  const auto step = std::min<std::uint64_t>(zeros.size(), wanted_bytes - static_cast<std::uint64_t>(now.st_size));
  return pwrite(file, zeros.data(), step, now.st_size) == static_cast<ssize_t>(step);
}

} // namespace

checkpointer::checkpointer(std::unique_ptr<connection> background, connection& writer, wal_limits limits)
  : background_(std::move(background)), writer_(writer), lengthen_(limits.lengthen) {
  const std::uint64_t page_bytes = std::max<std::uint64_t>(writer_.single("PRAGMA page_size").value_or(4096), 512);
  start_frames_ = std::max<std::uint64_t>(limits.checkpoint_bytes / page_bytes, 1);
  most_frames_ = std::max(limits.most_bytes / page_bytes, start_frames_);
  log_bytes_ = (start_frames_ + little_frames) * (page_bytes + frame_header_bytes);
  sqlite3_wal_hook(writer_.handle(), &checkpointer::log_grew, this);
  thread_ = std::thread([this] { run(); });
}

checkpointer::~checkpointer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
  sqlite3_wal_hook(writer_.handle(), nullptr, nullptr);
}

int checkpointer::log_grew(void* self, sqlite3* /*db*/, const char* /*schema*/, int frames) {
  auto& me = *static_cast<checkpointer*>(self);
  bool wake = false;
  {
    const std::lock_guard lock(me.mutex_);
    const auto now = static_cast<std::uint64_t>(frames);
    const bool first = !std::exchange(me.written_, true);
    if (now < me.frames_) me.copied_ = 0; // the log began anew
    me.frames_ = now;
    wake = first || me.frames_ - std::min(me.copied_, me.frames_) >= me.start_frames_;
  }
  if (wake) me.changed_.notify_one();
  return SQLITE_OK;
}

/// Under the lock that writing takes, so that nobody else appends meanwhile; the sync, which takes long, without it.
void checkpointer::lengthen_log() {
  const descriptor log(sqlite3_filename_wal(sqlite3_db_filename(background_->handle(), "main")));
  if (log.get() < 0 || !has_room(log.get(), log_bytes_)) return;
  const std::vector<char> zeros(step_bytes);
  for (bool more = true; more && !stopping();) {
    const transaction nobody_writes(*background_, transaction::kind::write);
    more = background_->ok() && grow(log.get(), log_bytes_, zeros);
  }
  fdatasync(log.get()); // a failure concerns nothing that was written
}

void checkpointer::run() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stop_ || written_; }); // a directory that is refused is not touched
  lock.unlock();
  if (lengthen_) lengthen_log();
  lock.lock();
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || frames_ - std::min(copied_, frames_) >= start_frames_; });
    if (stop_) return;
    lock.unlock();
    const std::uint64_t waiting = copy_all_but_a_little();
    lock.lock();
    nearly_done_ = true;
    copied_ = frames_ - std::min(waiting, frames_);
    // Nothing was copied, for a reader or an error: the next growth of the log tries again, not this loop.
    if (frames_ - copied_ >= start_frames_) copied_ = frames_;
  }
}

std::uint64_t checkpointer::copy_all_but_a_little() {
  std::uint64_t waiting = 0;
  for (int i = 0; i < most_passes && !stopping(); ++i) {
    const std::lock_guard one(copying_);
    const pass done = copy(*background_);
    waiting = done.frames - std::min(done.copied, done.frames);
    if (done.code != SQLITE_OK || waiting <= little_frames) break;
  }
  return waiting;
}

bool checkpointer::stopping() {
  const std::lock_guard lock(mutex_);
  return stop_;
}

result<void> checkpointer::begin_log_anew() {
  const std::lock_guard one(copying_);
  const int code = sqlite3_wal_checkpoint_v2(writer_.handle(), nullptr, SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
  if (code == SQLITE_BUSY)
    return fail(errc::unavailable, "another program reads journal.sqlite and does not end: close it", "node.data_dir");
  writer_.check(code);
  return writer_.outcome();
}

result<void> checkpointer::before_write() {
  bool too_long = false;
  {
    const std::lock_guard lock(mutex_);
    too_long = frames_ >= most_frames_;
    if (!nearly_done_ && !too_long) return {};
    nearly_done_ = false;
  }
  const std::lock_guard one(copying_);
  const pass done = copy(writer_);
  // Readers may keep the log from starting again, or an operator's shell; they go away.
  if (done.code == SQLITE_OK || done.code == SQLITE_BUSY || !too_long) return {};
  writer_.check(done.code);
  return writer_.outcome();
}

} // namespace reseq::store::sqlite
