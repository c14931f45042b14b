/// Keeps a data directory to one process. The operating system releases it when the process ends, however it ends.
#pragma once

#include <filesystem>

#include "reseq/model/error.hpp"

namespace reseq::store::sqlite {

class file_lock {
public:
  /// Locks `file`, which is created if it is missing. `errc::incompatible`, naming the process, when another has it.
  static result<file_lock> take(const std::filesystem::path& file);

  ~file_lock();
  file_lock(file_lock&& other) noexcept;
  file_lock(const file_lock&) = delete;
  file_lock& operator=(const file_lock&) = delete;
  file_lock& operator=(file_lock&&) = delete;

private:
  explicit file_lock(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

} // namespace reseq::store::sqlite
