#include "faulty_vfs.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sqlite3.h>

namespace reseq::test {

namespace {

constexpr std::size_t sector_bytes = 512;
constexpr const char* shim_name = "reseq-faulty";

/// What the platter has of one file, and what was written since its last sync.
struct disk_file {
  std::string durable;
  std::uint64_t failures = 0; ///< syncs that failed: Linux tells each open file of them once
  std::vector<std::pair<std::size_t, std::string>> written; ///< offset and bytes, a sector each; in order
};

void put(std::string& file, std::size_t offset, std::string_view bytes) {
  if (file.size() < offset + bytes.size()) file.resize(offset + bytes.size());
  bytes.copy(file.data() + offset, bytes.size());
}

void apply_some(disk_file& file, std::mt19937_64& random) {
  for (const auto& [offset, bytes] : file.written)
    if (random() % 2 == 0) put(file.durable, offset, bytes);
  file.written.clear();
}

} // namespace

struct faulty_disk::state {
  explicit state(std::uint64_t seed) : random(seed) {}

  mutable std::mutex mutex;
  mutable std::mt19937_64 random;
  std::optional<disk_fault> fault;
  std::uint64_t calls = 0; ///< of the fault's kind
  std::string slow;
  bool failed = false;
  std::map<std::string, disk_file> files;
  sqlite3_vfs* real = nullptr;
  sqlite3_vfs shim{};

  bool fails(disk_call call, const char* name = nullptr) {
    const std::lock_guard lock(mutex);
    if (!fault || fault->call != call) return false;
    if (!fault->only.empty() && (name == nullptr || std::filesystem::path(name).filename() != fault->only))
      return false;
    ++calls;
    if (calls < fault->at || (calls > fault->at && !fault->stays)) return false;
    failed = true;
    errno = fault->full ? ENOSPC : EIO;
    return true;
  }

  bool dawdles_over(const char* name) const {
    const std::lock_guard lock(mutex);
    return name != nullptr && !slow.empty() && std::filesystem::path(name).filename() == slow;
  }

  bool torn() const {
    const std::lock_guard lock(mutex);
    return fault && fault->torn;
  }

  int write_failure() const {
    const std::lock_guard lock(mutex);
    const bool full = fault && fault->full;
    errno = full ? ENOSPC : EIO;
    return full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  }
};

namespace {

/// What SQLite sees of an open file; the real one's follows it in memory.
struct shim_file {
  sqlite3_file base;
  faulty_disk::state* disk;
  const char* name;       ///< SQLite keeps it as long as the file is open
  std::uint64_t failures; ///< of the file's, those that this one was told
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

shim_file& of(sqlite3_file* file) { return *reinterpret_cast<shim_file*>(file); }

int close_file(sqlite3_file* file) { return of(file).real()->pMethods->xClose(of(file).real()); }

int read_file(sqlite3_file* file, void* out, int bytes, sqlite3_int64 offset) {
  if (of(file).disk->fails(disk_call::read)) return SQLITE_IOERR_READ;
  return of(file).real()->pMethods->xRead(of(file).real(), out, bytes, offset);
}

int write_file(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 offset) {
  auto& disk = *of(file).disk;
  for (int turn = disk.dawdles_over(of(file).name) ? 100 : 0; turn > 0; --turn) std::this_thread::yield();
  const bool fails = disk.fails(disk_call::write);
  const int reach = !fails ? bytes : disk.torn() ? bytes / 2 : 0;
  int code = SQLITE_OK;
  if (reach > 0) code = of(file).real()->pMethods->xWrite(of(file).real(), data, reach, offset);
  if (code == SQLITE_OK && of(file).name != nullptr) {
    const std::lock_guard lock(disk.mutex);
    const std::string_view all(static_cast<const char*>(data), static_cast<std::size_t>(reach));
    auto& written = disk.files[of(file).name].written;
    for (std::size_t from = 0; from < all.size(); from += sector_bytes)
      written.emplace_back(static_cast<std::size_t>(offset) + from, all.substr(from, sector_bytes));
  }
  if (!fails) return code;
  return disk.write_failure();
}

/// What it cuts off is gone at once; what it leaves is no safer than before.
int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  auto& disk = *of(file).disk;
  const int code = of(file).real()->pMethods->xTruncate(of(file).real(), size);
  if (code == SQLITE_OK && of(file).name != nullptr) {
    const std::lock_guard lock(disk.mutex);
    auto& record = disk.files[of(file).name];
    const auto kept = static_cast<std::size_t>(size);
    std::erase_if(record.written, [&](const auto& sector) { return sector.first >= kept; });
    record.durable.resize(std::min(record.durable.size(), kept));
  }
  return code;
}

int sync_failure() {
  errno = EIO;
  return SQLITE_IOERR_FSYNC;
}

/// After a failure the kernel counts the pages as clean: a later sync succeeds without having written them. Whoever has
/// the file open hears of it at his own next sync.
int sync_file(sqlite3_file* file, int /*flags*/) {
  auto& disk = *of(file).disk;
  const bool fails = disk.fails(disk_call::sync, of(file).name);
  if (of(file).name != nullptr) {
    const std::lock_guard lock(disk.mutex);
    auto& record = disk.files[of(file).name];
    if (fails) {
      ++record.failures;
      apply_some(record, disk.random);
    }
    const bool told = std::exchange(of(file).failures, record.failures) == record.failures;
    if (!told) return sync_failure();
    for (const auto& [offset, bytes] : record.written) put(record.durable, offset, bytes);
    record.written.clear();
  }
  return fails ? sync_failure() : SQLITE_OK;
}

int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
  if (of(file).disk->fails(disk_call::size)) return SQLITE_IOERR_FSTAT;
  return of(file).real()->pMethods->xFileSize(of(file).real(), size);
}

int lock_file(sqlite3_file* file, int level) {
  if (of(file).disk->fails(disk_call::lock)) return SQLITE_IOERR_LOCK;
  return of(file).real()->pMethods->xLock(of(file).real(), level);
}

int unlock_file(sqlite3_file* file, int level) { return of(file).real()->pMethods->xUnlock(of(file).real(), level); }

int check_reserved_lock(sqlite3_file* file, int* out) {
  return of(file).real()->pMethods->xCheckReservedLock(of(file).real(), out);
}

int control_file(sqlite3_file* file, int operation, void* argument) {
  return of(file).real()->pMethods->xFileControl(of(file).real(), operation, argument);
}

int sector_size(sqlite3_file* file) { return of(file).real()->pMethods->xSectorSize(of(file).real()); }

int device_characteristics(sqlite3_file* file) {
  return of(file).real()->pMethods->xDeviceCharacteristics(of(file).real());
}

int map_shm(sqlite3_file* file, int page, int bytes, int extend, void volatile** out) {
  if (of(file).disk->fails(disk_call::shm_map)) return SQLITE_IOERR_SHMMAP;
  return of(file).real()->pMethods->xShmMap(of(file).real(), page, bytes, extend, out);
}

int lock_shm(sqlite3_file* file, int offset, int count, int flags) {
  if ((flags & SQLITE_SHM_LOCK) != 0 && of(file).disk->fails(disk_call::lock)) return SQLITE_IOERR_SHMLOCK;
  return of(file).real()->pMethods->xShmLock(of(file).real(), offset, count, flags);
}

void barrier_shm(sqlite3_file* file) { of(file).real()->pMethods->xShmBarrier(of(file).real()); }

int unmap_shm(sqlite3_file* file, int remove) { return of(file).real()->pMethods->xShmUnmap(of(file).real(), remove); }

/// Version 2: files are not mapped into memory, so that every read is a call.
constexpr sqlite3_io_methods shim_methods = {2,
                                             close_file,
                                             read_file,
                                             write_file,
                                             truncate_file,
                                             sync_file,
                                             size_of_file,
                                             lock_file,
                                             unlock_file,
                                             check_reserved_lock,
                                             control_file,
                                             sector_size,
                                             device_characteristics,
                                             map_shm,
                                             lock_shm,
                                             barrier_shm,
                                             unmap_shm,
                                             nullptr,
                                             nullptr};

faulty_disk::state& disk_of(sqlite3_vfs* vfs) { return *static_cast<faulty_disk::state*>(vfs->pAppData); }

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto& disk = disk_of(vfs);
  auto* made = new (file) shim_file{{nullptr}, &disk, name, 0};
  if (disk.fails(disk_call::open)) return SQLITE_CANTOPEN;
  const int code = disk.real->xOpen(disk.real, name, made->real(), flags, out_flags);
  if (made->real()->pMethods != nullptr) made->base.pMethods = &shim_methods;
  if (name == nullptr) return code;
  const std::lock_guard lock(disk.mutex);
  if (const auto known = disk.files.find(name); known != disk.files.end()) made->failures = known->second.failures;
  return code;
}

int delete_file(sqlite3_vfs* vfs, const char* name, int /*sync_directory*/) {
  auto& disk = disk_of(vfs);
  if (disk.fails(disk_call::remove)) return SQLITE_IOERR_DELETE;
  const int code = disk.real->xDelete(disk.real, name, 0);
  const std::lock_guard lock(disk.mutex);
  if (code == SQLITE_OK) disk.files.erase(name);
  return code;
}

} // namespace

faulty_disk::faulty_disk(std::uint64_t seed) : state_(std::make_unique<state>(seed)) {
  state_->real = sqlite3_vfs_find(nullptr);
  state_->shim = *state_->real;
  state_->shim.iVersion = 1;
  state_->shim.szOsFile = static_cast<int>(sizeof(shim_file)) + state_->real->szOsFile;
  state_->shim.zName = shim_name;
  state_->shim.pAppData = state_.get();
  state_->shim.xOpen = open_file;
  state_->shim.xDelete = delete_file;
  sqlite3_vfs_register(&state_->shim, 1);
}

faulty_disk::~faulty_disk() {
  sqlite3_vfs_unregister(&state_->shim);
  sqlite3_vfs_register(state_->real, 1);
}

void faulty_disk::arm(const disk_fault& fault) {
  const std::lock_guard lock(state_->mutex);
  state_->fault = fault;
  state_->calls = 0;
  state_->failed = false;
}

void faulty_disk::dawdle_over(std::string name) {
  const std::lock_guard lock(state_->mutex);
  state_->slow = std::move(name);
}

bool faulty_disk::mend() {
  const std::lock_guard lock(state_->mutex);
  state_->fault.reset();
  return state_->failed;
}

void faulty_disk::copy_after_kill(const std::filesystem::path& from, const std::filesystem::path& to) const {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

void faulty_disk::copy_after_power_loss(const std::filesystem::path& from, const std::filesystem::path& to) const {
  copy_after_kill(from, to);
  const std::lock_guard lock(state_->mutex);
  for (auto [name, file] : state_->files) {
    const std::filesystem::path path(name);
    if (path.parent_path() != from) continue;
    apply_some(file, state_->random);
    std::ofstream(to / path.filename(), std::ios::binary | std::ios::trunc) << file.durable;
  }
}

} // namespace reseq::test
