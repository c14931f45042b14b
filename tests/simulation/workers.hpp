/// Workers that run transforms, and die, hang, answer twice, late, and for work that is not theirs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"

namespace reseq::simulation {

class world;

/// One chain's answer on its way to the dispatcher.
struct answer {
  dispatch_id dispatch;
  std::uint32_t chain = 0; ///< which of the copy's
  core::attempt_end end = core::attempt_end::done;
  core::work_result made;
  duration took{};
};

class workers {
public:
  explicit workers(world& with);

  /// A new owner is there: who is alive connects.
  void find_owner();
  /// The owner is gone: what they have is for nobody.
  void lose_owner();
  /// A copy of a job arrives, over the worker's `connection`th connection.
  void ordered(std::uint32_t worker, std::uint32_t connection, const core::dispatch& copy);

  /// How many are running something that will end.
  [[nodiscard]] std::uint32_t busy() const;
  /// One of them answers a chain.
  void work();
  /// Faults of whole workers.
  void die();
  void fall_silent();
  void retire();
  /// Whether somebody still keeps a result that they made.
  [[nodiscard]] bool result_is_kept() const;
  /// How many jobs hang.
  [[nodiscard]] std::size_t hanging() const;
  /// All come back, and go on with what hung; all but the first may leave that hanging for ever.
  void recover();

private:
  enum class state { gone, connected, leaving };
  struct job {
    core::dispatch copy;
    std::uint32_t next = 0; ///< of its chains
    bool hangs = false;
  };
  struct process {
    state is = state::gone;
    bool alive = true;
    std::uint32_t connection = 0; ///< how many it has had
    std::vector<job> jobs;
  };

  void connect(std::uint32_t worker);
  void end(std::uint32_t worker, core::departure how);
  void restart_later(std::uint32_t worker);
  /// Whether the next chain kills whoever runs it.
  [[nodiscard]] bool kills(const job& of) const;
  /// Whether the transform does on this message: always, or never.
  [[nodiscard]] bool is_poison(position at) const;
  /// If it kills its worker, that is silent before its connection is closed.
  [[nodiscard]] bool freezes(const core::dispatch& copy) const;
  /// Whether the destination's own chain does.
  [[nodiscard]] bool is_deadly(position at, core::chain_index chain) const;
  /// Whether it is the neighbour's.
  static bool is_next_door(const core::dispatch& copy) { return copy.pipeline.value() != 0; }
  void send(std::uint32_t worker, const answer& item);
  void tamper(std::uint32_t worker, const answer& item);
  [[nodiscard]] answer run(const job& of);
  [[nodiscard]] core::work_result result_of(position at, core::chain_index chain, std::uint64_t luck);

  world& world_;
  std::vector<process> processes_;
  std::vector<std::weak_ptr<const content>> made_;
  std::vector<dispatch_id> seen_; ///< all copies that any of them has got from this owner
};

} // namespace reseq::simulation
