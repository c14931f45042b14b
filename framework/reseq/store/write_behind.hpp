/// The indexes of one shard that are written behind acceptance: by message id, and by destination.
///
/// What is not in the database's tables yet is kept here, and is rebuilt from the messages at start-up. Messages
/// collect for a generation; then their ids, in order, and the destinations' sequences go into the tables a slice with
/// each commit, so that neighbours share pages and no commit pays for many. Memory, and the scan at start-up, are
/// bounded by about one and a half generations of messages and a chunk a destination.
///
/// One thread writes (`start`, `add`, `due`, `everything`, `written`); `find` and `tail` are for any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/id_run.hpp"

namespace reseq::store {

struct write_behind_limits {
  std::uint32_t chunk_sequences = 256;       ///< of one destination, a row; at least 1
  std::uint32_t generation_messages = 32768; ///< at least 1
};

class write_behind {
public:
  struct chunk {
    destination_id destination;
    sequence first;
    sequence last;
    position last_position; ///< the last of `positions`
    std::string positions;  ///< as `encode_positions` writes them
  };

  /// What one transaction should write, and `written` takes back.
  struct slice {
    std::vector<chunk> chunks;
    std::vector<id_entry> ids;
    std::optional<position> indexed; ///< up to here the tables are then complete
    id_run::cursor ids_end;
    std::size_t swept = 0;
    bool everything = false;
  };

  struct tail_view {
    sequence first;                  ///< of the tail: what is before it is in the table
    std::vector<position> positions; ///< from the wanted sequence or `first` on, whichever is later
  };

  explicit write_behind(write_behind_limits limits)
    : limits_(limits), collecting_(limits.generation_messages), frozen_(limits.generation_messages) {}

  /// Says what the tables have: for a shard, the position up to which they are complete; for a destination, its last
  /// sequence. Before any `add`.
  void start(position indexed);
  void start(destination_id destination, sequence last);

  /// A message that is durable, in order of position. Sequences that the table has are passed over. Without a key its
  /// id is indexed elsewhere.
  void add(position at, std::optional<std::uint64_t> id_key, std::span<const core::enrolment> enrolled);
  /// Up to here the tables are complete.
  [[nodiscard]] position indexed() const;
  /// The last sequence of a destination that was started.
  [[nodiscard]] sequence last(destination_id destination) const;

  /// What to write beside `messages` new ones; proportional to them.
  [[nodiscard]] slice due(std::size_t messages) const;
  /// All that is not in the tables.
  [[nodiscard]] slice everything() const;
  /// What `due` or `everything` gave is durable; nothing was added since.
  void written(const slice& done);

  /// Positions of messages, not in the table, whose ids may be the one with this key.
  [[nodiscard]] std::vector<position> find(std::uint64_t id_key) const;
  /// At most `limit` positions of a destination; nothing when it was never started.
  [[nodiscard]] std::optional<tail_view> tail(destination_id destination, sequence from, std::size_t limit) const;

private:
  struct lane {
    sequence first; ///< of `positions`
    std::vector<position> positions;
    bool full = false; ///< stands in `full_lanes_`
  };

  void begin_generation();
  void append_chunks(destination_id destination, const lane& of, std::vector<chunk>& out) const;
  void trim(const chunk& done);

  write_behind_limits limits_;
  mutable std::mutex mutex_;
  std::unordered_map<destination_id, lane> lanes_;
  std::vector<destination_id> full_lanes_; ///< a chunk is complete
  id_run collecting_;

  id_run frozen_; ///< the generation being written
  id_run::cursor frozen_at_;
  std::size_t frozen_left_ = 0;
  std::vector<destination_id> sweep_; ///< lanes that the generation touched, written from the back
  std::optional<position> target_;    ///< its last position; absent when none is being written
  position indexed_;
  position last_;
};

} // namespace reseq::store
