/// A disk that fails on request: SQLite's usual file system, with a fault at a chosen call, and with a record of what
/// would be left if the power went.
///
/// Nothing is really synced: what a sync promises is this record's. It is SQLite's default while it lives. Calls are
/// counted over all files of a directory and all threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>

namespace reseq::test {

enum class disk_call { open, read, write, sync, size, lock, shm_map, remove };

/// The disk's answer to one call, or to all from that one on.
struct disk_fault {
  disk_call call = disk_call::write;
  std::uint64_t at = 1; ///< the first call that fails, from 1
  bool stays = false;   ///< every later one fails too, until the disk is mended
  bool full = false;    ///< fails as a full disk does, else as a broken one
  bool torn = false;    ///< a failing write leaves its first half
  std::string only{};   ///< a file's name: calls for others neither fail nor count; empty: all do
};

class faulty_disk {
public:
  /// `seed` decides what of the unsynced writes reached the platter when a sync fails or the power goes.
  explicit faulty_disk(std::uint64_t seed);
  ~faulty_disk();
  faulty_disk(const faulty_disk&) = delete;
  faulty_disk& operator=(const faulty_disk&) = delete;

  /// Counts from now on.
  void arm(const disk_fault& fault);
  /// Lets other threads go on before each write to the file of that name.
  void dawdle_over(std::string name);
  /// No more faults. Whether there was one.
  bool mend();

  /// Copies a directory as a killed process leaves it: with everything that was written.
  void copy_after_kill(const std::filesystem::path& from, const std::filesystem::path& to) const;
  /// Copies a directory as a power failure leaves it: what was synced, and of the rest some sectors and not others.
  void copy_after_power_loss(const std::filesystem::path& from, const std::filesystem::path& to) const;

  struct state;

private:
  std::unique_ptr<state> state_;
};

} // namespace reseq::test
