/// The journal's writing side: group commit.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "actors/metrics.hpp"
#include "actors/protocol.hpp"
#include "reseq/core/retention_clock.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/store/group_commit.hpp"
#include "reseq/store/journal.hpp"

namespace reseq::actors {

struct writer_options {
  duration retention{};                         ///< how long settled messages and their ids are kept
  std::uint64_t max_untaken_bytes = 64U << 20U; ///< accepted and not yet taken in by their shards; then commits wait
  /// A batch this large is committed without waiting for more; a message is its bytes and some hundred for the rows.
  std::uint64_t max_batch_bytes = 8U << 20U;
};

/// Carries out what a `store::group_commit` decides: after the commit the shards are told, then producers are answered.
/// A submission that somebody else has refused meanwhile is left out. `metrics::journal` is told how commits go: while
/// a table, or a privilege, is missing, commits that do not need it work, and the trouble is over only when one that
/// needs it does, or an empty one, in which a store tries out everything. A shard of which the journal is found to have
/// gone back is told so; others go on.
struct writer_state {
  static inline const char* name = "journal";

  journal_actor::behavior_type make_behavior(journal_actor::stateful_pointer<writer_state> to_self,
                                             std::shared_ptr<store::journal> to_journal, writer_options with,
                                             std::shared_ptr<metrics> counted);

  void take(submit& request);
  void go_on();
  void commit();
  void on(store::group_commit::health how, const error* why);
  void tell(store::group_commit::news& news, time_point began);
  void tell(const std::vector<store::gone_back>& found);
  void look_later();
  [[nodiscard]] time_point now() const { return self->clock().now(); }
  void on(const recover& wish);
  void let_go(store::shard_handle shard);
  [[nodiscard]] result<store::recovery> plan(const recover& wish);
  void expire();
  /// Whether there is more.
  bool expire(store::shard_handle shard, wall_time before, wall_time today);

  journal_actor::stateful_pointer<writer_state> self = nullptr;
  std::shared_ptr<store::journal> journal;
  writer_options options;
  std::shared_ptr<metrics> measured;
  std::optional<core::retention_clock> clock;
  std::optional<store::group_commit> group;
  std::map<store::shard_handle, shard_actor> shards;
  std::set<store::shard_handle> recovered;                 ///< to be opened anew
  std::map<store::shard_handle, store::recovery> attempts; ///< to recover it, of which it is not known what became
};

} // namespace reseq::actors
