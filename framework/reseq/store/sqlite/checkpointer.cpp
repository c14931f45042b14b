#include "reseq/store/sqlite/checkpointer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace reseq::store::sqlite {

namespace {

/// What the writer copies itself to finish: a fraction of a millisecond's work.
constexpr std::uint64_t little_frames = 16;

/// Of the log, and of its index, which has its header twice, in the machine's byte order.
constexpr std::uint64_t wal_header_bytes = 32;
constexpr int index_region_bytes = 32768;
constexpr std::size_t index_header_words = 2UL * 12;
constexpr std::size_t index_frames_word = 4;

/// What a busy writer appends while the log is copied.
constexpr std::uint64_t meanwhile_frames = 256;

/// Beside each page.
constexpr std::uint64_t frame_header_bytes = 24;

/// Passes that chase a busy writer before it is asked to help.
constexpr int most_passes = 12;

constexpr std::chrono::milliseconds between_tries{2};

/// What the log's file grows by while the writer waits: well under a millisecond's work.
constexpr std::size_t step_bytes = 256U << 10U;

struct pass {
  int code = SQLITE_OK;
  std::uint64_t copied = 0; ///< frames
};

/// Of the database or its log, which are open as long as the connection is.
sqlite3_file* file_of(connection& db, int which) {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(db.handle(), "main", which, &file);
  return file;
}

/// SQLite counts pages as copied without having synced them, as long as commits come meanwhile; this syncs them, so
/// that the pass that finishes, for which the writer waits, has little to sync.
int sync_database(connection& db) {
  sqlite3_file* const file = file_of(db, SQLITE_FCNTL_FILE_POINTER);
  return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

bool is_busy(int code) { return (code & 0xff) == SQLITE_BUSY; }

pass copy(connection& db) {
  int copied = 0;
  const int code = sqlite3_wal_checkpoint_v2(db.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, &copied);
  return {code, static_cast<std::uint64_t>(std::max(copied, 0))};
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
  page_bytes_ = std::max<std::uint64_t>(writer_.single("PRAGMA page_size").value_or(4096), 512);
  start_frames_ = std::max<std::uint64_t>(limits.checkpoint_bytes / page_bytes_, 1);
  most_frames_ = std::max(limits.most_bytes / page_bytes_, start_frames_);
  log_bytes_ = (start_frames_ + meanwhile_frames) * (page_bytes_ + frame_header_bytes);
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
  if (spoilt_ && !count_anew(writer_)) writer_.checkpoint_on_close(false);
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
    copy_all_but_a_little();
    lock.lock();
    nearly_done_ = nearly_done_ || copied_ > 0;
    // Nothing was copied, for a reader or an error: the next growth of the log tries again, not this loop.
    if (frames_ - std::min(copied_, frames_) >= start_frames_) copied_ = frames_;
  }
}

void checkpointer::copy_all_but_a_little() {
  bool more = true;
  for (int i = 0; more && i < most_passes; ++i) {
    const std::lock_guard one(copying_);
    pass done = copy(*background_);
    if (done.code == SQLITE_OK) done.code = sync_database(*background_);
    note_failure(done.code, *background_);
    const std::lock_guard lock(mutex_);
    const auto before = std::exchange(copied_, done.code == SQLITE_OK ? std::min(done.copied, frames_) : 0);
    more = done.code == SQLITE_OK && copied_ != before && frames_ - copied_ > little_frames && !stop_;
  }
}

/// SQLite then counts pages as copied that the kernel may have thrown away: it must read them from the log, and copy
/// them again. Whoever finds the header of the log's index invalid, in whichever process, works the index out anew from
/// the log, with nothing copied (https://sqlite.org/walformat.html, 2.3). A commit that was refused, because the log
/// could not be synced, may stand behind the last one there, and must not be found. Nobody may write meanwhile: a
/// commit makes the header valid again.
result<void> checkpointer::count_anew(connection& through) const {
  transaction nobody_writes(through, transaction::kind::write);
  if (auto begun = through.outcome(); !begun) return begun;
  // By SQLite's own handles: to close another one of the index would drop all locks that this process has on it.
  sqlite3_file* const log = file_of(through, SQLITE_FCNTL_JOURNAL_POINTER);
  sqlite3_file* const database = file_of(through, SQLITE_FCNTL_FILE_POINTER);
  void volatile* mapped = nullptr;
  sqlite3_int64 size = 0;
  through.check(database->pMethods->xShmMap(database, 0, index_region_bytes, 0, &mapped));
  through.check(log->pMethods->xFileSize(log, &size));
  if (auto found = through.outcome(); !found) return found;
  if (mapped == nullptr) return fail(errc::internal, "the index of its log is not mapped", "journal.sqlite");
  auto* const index = static_cast<std::uint32_t volatile*>(mapped);
  const std::uint64_t end = wal_header_bytes + index[index_frames_word] * (page_bytes_ + frame_header_bytes);
  constexpr std::array<char, frame_header_bytes> nothing{};
  if (static_cast<std::uint64_t>(size) > end)
    through.check(log->pMethods->xWrite(log, nothing.data(), std::ssize(nothing), static_cast<sqlite3_int64>(end)));
  if (auto cut = through.outcome(); !cut) return cut;
  for (std::size_t word = index_header_words; word-- > 0;) {
    index[word] = 0;
    if (word == index_header_words / 2) database->pMethods->xShmBarrier(database); // the order in which it is written
  }
  database->pMethods->xShmBarrier(database);
  return nobody_writes.commit();
}

void checkpointer::note_failure(int code, connection& through) {
  const bool failed = code == SQLITE_IOERR_FSYNC;
  {
    const std::lock_guard lock(mutex_);
    if (!failed && !spoilt_) return;
    spoilt_ = true;
    copied_ = 0;
  }
  const bool mended = count_anew(through).has_value();
  const std::lock_guard lock(mutex_);
  spoilt_ = !mended;
}

bool checkpointer::spoilt() const {
  const std::lock_guard lock(mutex_);
  return spoilt_;
}

bool checkpointer::stopping() const {
  const std::lock_guard lock(mutex_);
  return stop_;
}

result<void> checkpointer::begin_log_anew() {
  const std::lock_guard one(copying_);
  // What an earlier process could not say any more, while somebody else kept the index.
  if (auto counted = count_anew(writer_); !counted) return counted;
  // SQLite waits for readers, but not for somebody who copies at this moment, or works the index out anew.
  const auto until = std::chrono::steady_clock::now() + lock_patience;
  int code = SQLITE_BUSY;
  for (;;) {
    code = sqlite3_wal_checkpoint_v2(writer_.handle(), nullptr, SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
    if (!is_busy(code) || std::chrono::steady_clock::now() >= until) break;
    std::this_thread::sleep_for(between_tries);
  }
  if (is_busy(code))
    return fail(errc::unavailable, "another program reads journal.sqlite and does not end: close it", "node.data_dir");
  writer_.check(code);
  return writer_.outcome();
}

result<void> checkpointer::before_write() {
  bool too_long = false;
  {
    const std::lock_guard lock(mutex_);
    too_long = frames_ >= most_frames_;
    if (!spoilt_ && !nearly_done_ && !too_long) return {};
    nearly_done_ = false;
  }
  const std::lock_guard one(copying_);
  note_failure(SQLITE_OK, writer_); // an earlier one that could not be mended yet
  if (spoilt()) return fail(errc::unavailable, "its database could not be synced", "journal.sqlite");
  const pass done = copy(writer_);
  writer_.check(done.code);
  auto outcome = writer_.outcome();
  note_failure(done.code, writer_);
  // Readers may keep the log from starting again, or an operator's shell; they go away.
  if (is_busy(done.code) || (!too_long && !spoilt())) return {};
  return outcome;
}

} // namespace reseq::store::sqlite
