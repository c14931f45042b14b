/// A shard and a dispatch table in memory, put together as the actors put them together, with a journal and receivers
/// that answer at once: what ordering and dispatch cost without anything around them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/shard.hpp"

namespace reseq::bench {

struct memory_shard_layout {
  std::uint32_t destinations = 1; ///< message N goes to destination N modulo this, plus 1
  std::uint32_t window = 1024;    ///< of each
  std::uint32_t batch = 256;      ///< most messages a delivery carries
  std::uint64_t backlog = 0;      ///< messages that stand in each destination's journal from the start
};

/// One thread. Checks what it delivers: a wrong order ends the program.
class memory_shard {
public:
  explicit memory_shard(const memory_shard_layout& layout);

  worker_id add_worker(std::uint32_t slots);

  /// So many new messages become durable.
  void accept(std::size_t count);
  /// What is due for free slots. Each copy is to be answered once.
  std::vector<core::dispatch> assign();
  void answer(worker_id worker, dispatch_id copy, content_ptr result);
  /// Carries out what the shard wants, until nothing more follows: call it after each batch of the above.
  void perform();

  /// The message at a position; a few stand for all of them.
  [[nodiscard]] const message_ptr& message_at(position at) const { return pool_[at.value() % pool_.size()]; }
  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  [[nodiscard]] std::uint64_t delivered() const { return delivered_; }

private:
  [[nodiscard]] destination_id destination_of(std::uint64_t message) const;
  void deliver(const core::send_request& request);
  void read(const core::read_request& wanted);

  memory_shard_layout layout_;
  std::vector<message_ptr> pool_;
  std::vector<sequence> assigned_; ///< by destination
  std::vector<sequence> arrived_;  ///< by destination
  std::vector<core::accepted_message> batch_;
  std::vector<core::finished_work> finished_;
  time_point now_; ///< of the batch at hand
  core::dispatch_table table_{1};
  core::pipeline_index pipeline_;
  core::shard shard_;
  std::uint64_t accepted_ = 0;
  std::uint64_t delivered_ = 0;
};

} // namespace reseq::bench
