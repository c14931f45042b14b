/// Reading the journal back, on a connection of its own beside the writer's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/store/codec.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/postgres/epoch_check.hpp"
#include "reseq/store/postgres/link.hpp"
#include "reseq/store/postgres/partitioned_shard.hpp"

namespace reseq::store::postgres {

/// The reading half of `journal`, for shards that were looked up. Of a shard it uses only what any thread may.
class reader {
public:
  reader(link& to, epoch_check& owners, const id_keys& keys) : link_(to), owners_(owners), keys_(keys) {}

  result<std::vector<core::backlog_item>> read(const partitioned_shard& shard, destination_id destination,
                                               sequence from, std::uint32_t max_messages, std::uint64_t max_bytes);
  result<core::key_backlog> read_keys(const partitioned_shard& shard, destination_id destination,
                                      std::span<const core::key_cursor> keys, sequence until,
                                      std::uint32_t max_messages, std::uint64_t max_bytes);
  result<std::optional<stored_message>> find(const partitioned_shard& shard, position at);
  result<std::optional<position>> find_id(const partitioned_shard& shard, const std::string& message_id);
  result<std::vector<dead_letter>> dead_letters(const partitioned_shard& shard, std::optional<core::enrolment> after,
                                                std::uint32_t limit);
  result<recorded_end> end_of(const partitioned_shard& shard, core::enrolment what);
  result<epoch> current_epoch(const partitioned_shard& shard) { return owners_.owner_of(shard); }

private:
  template <class F>
  auto with(F&& what);

  link& link_;
  epoch_check& owners_;
  const id_keys& keys_;
};

} // namespace reseq::store::postgres
