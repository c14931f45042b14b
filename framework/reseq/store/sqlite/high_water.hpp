/// How far each shard has come, noted in a small file beside the database, so that a journal that has gone back in time
/// is noticed: SQLite takes a log that is missing or cut for the end of what happened.
///
/// The note follows each commit without being synced: a kill does not lose it, a power failure may make it older, and
/// an older one refuses nothing that is whole. Used by one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>

#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::store::sqlite {

class high_water {
public:
  struct mark {
    epoch owner;
    position last; ///< confirmed
  };

  /// Reads the file, if there is one. Lines that a crash has spoilt count as none.
  explicit high_water(const std::filesystem::path& file);
  ~high_water();
  high_water(const high_water&) = delete;
  high_water& operator=(const high_water&) = delete;

  [[nodiscard]] bool empty() const { return lines_.empty(); }
  /// Zeros for a shard that was never noted.
  [[nodiscard]] mark of(const shard_id& shard) const;
  /// What is durable. When it cannot be written (`errc::unavailable`) the note stays behind: it refuses nothing that is
  /// whole, but does not notice if what it lacks goes.
  result<void> note(const shard_id& shard, const mark& reached);

private:
  struct line {
    mark reached;
    std::int64_t offset = 0;
  };

  int file_ = -1;
  std::filesystem::path path_;
  std::int64_t end_ = 0;
  std::map<shard_id, line> lines_;
};

} // namespace reseq::store::sqlite
