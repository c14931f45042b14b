#include "reseq/store/sqlite/checkpointer.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace reseq::store::sqlite {

namespace {

/// What the writer copies itself to finish: a millisecond's work.
constexpr std::uint64_t little_frames = 256;

/// Passes that chase a busy writer before it is asked to help.
constexpr int most_passes = 4;

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

} // namespace

checkpointer::checkpointer(std::unique_ptr<connection> background, connection& writer, wal_limits limits)
  : background_(std::move(background)), writer_(writer) {
  const std::uint64_t page_bytes = std::max<std::uint64_t>(writer_.single("PRAGMA page_size").value_or(4096), 512);
  start_frames_ = std::max<std::uint64_t>(limits.checkpoint_bytes / page_bytes, 1);
  most_frames_ = std::max(limits.most_bytes / page_bytes, start_frames_);
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
    if (now < me.frames_) me.copied_ = 0; // the log began anew
    me.frames_ = now;
    wake = me.frames_ - std::min(me.copied_, me.frames_) >= me.start_frames_;
  }
  if (wake) me.changed_.notify_one();
  return SQLITE_OK;
}

void checkpointer::run() {
  std::unique_lock lock(mutex_);
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
