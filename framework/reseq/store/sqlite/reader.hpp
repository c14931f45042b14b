/// Reading the journal back, on a connection of its own beside the writer's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/store/codec.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/sqlite/connection.hpp"

namespace reseq::store::sqlite {

/// The reading half of `journal`, for shards that were looked up. Of a shard it uses only what any thread may.
class reader {
public:
  reader(connection& db, const id_keys& keys) : db_(db), keys_(keys) {}

  result<std::vector<core::backlog_item>> read(const owned_shard& shard, destination_id destination, sequence from,
                                               std::uint32_t max_messages, std::uint64_t max_bytes);
  result<core::key_backlog> read_keys(const owned_shard& shard, destination_id destination,
                                      std::span<const core::key_cursor> keys, sequence until,
                                      std::uint32_t max_messages, std::uint64_t max_bytes);
  result<std::optional<stored_message>> find(const owned_shard& shard, position at);
  result<std::optional<position>> find_id(const owned_shard& shard, const std::string& message_id);
  result<std::vector<dead_letter>> dead_letters(const owned_shard& shard, std::optional<core::enrolment> after,
                                                std::uint32_t limit);
  result<recorded_end> end_of(const owned_shard& shard, core::enrolment what);
  result<epoch> current_epoch(const owned_shard& shard);

private:
  /// Where each key begins; views of the request.
  using key_starts = std::unordered_map<std::string_view, sequence>;

  bool has_id(const owned_shard& shard, position at, const std::string& message_id);
  message_ptr load(const owned_shard& shard, position at);
  bool has_key(const owned_shard& shard, position at, sequence seq, const key_starts& wanted);

  connection& db_;
  const id_keys& keys_;
};

} // namespace reseq::store::sqlite
