#include "reseq/store/sqlite/file_lock.hpp"

#include <array>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace reseq::store::sqlite {

namespace {

/// The process id that the lock's holder wrote into the file.
std::string holder(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t size = pread(descriptor, text.data(), text.size(), 0);
  std::string found(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!found.empty() && found.back() == '\n') found.pop_back();
  return found.empty() ? "unknown" : found;
}

} // namespace

result<file_lock> file_lock::take(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0)
    return fail(errno == ENOSPC ? errc::no_space : errc::unavailable,
                "cannot be opened: " + std::generic_category().message(errno) + "; node.data_dir must be writable",
                file.string());
  file_lock lock(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(errc::unavailable, std::generic_category().message(errno), file.string());
    return fail(errc::incompatible,
                "the data directory is in use by process " + holder(descriptor) +
                  "; stop it, or give this one another node.data_dir",
                file.parent_path().string());
  }
  const std::string pid = std::to_string(getpid()) + "\n";
  // Only a hint for whoever is refused: a full disk must not keep us from starting.
  if (ftruncate(descriptor, 0) == 0 && pwrite(descriptor, pid.data(), pid.size(), 0) < 0) return lock;
  return lock;
}

file_lock::file_lock(file_lock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

file_lock::~file_lock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

} // namespace reseq::store::sqlite
