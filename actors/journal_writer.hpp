/// The journal's writing side: group commit.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "actors/metrics.hpp"
#include "actors/protocol.hpp"
#include "reseq/core/retention_clock.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/store/journal.hpp"

namespace reseq::actors {

struct writer_options {
  duration retention{};                         ///< how long settled messages and their ids are kept
  std::uint64_t max_untaken_bytes = 64U << 20U; ///< accepted and not yet taken in by their shards; then commits wait
  /// A batch this large is committed without waiting for more; a message is its bytes and some hundred for the rows.
  std::uint64_t max_batch_bytes = 8U << 20U;
};

/// While one transaction is being written, what arrives collects and becomes the next one: no timer, no added delay.
/// After the commit the shards are told, then producers are answered. A failed commit fails everything in it; one in
/// doubt does so too, and is looked up until it is known what became of it, so that the shards hear of what is there.
/// A server that is away, or a disk that is full, is asked until it is back, or has room. A submission that somebody
/// else has refused meanwhile is left out. `metrics::journal` is told how commits go: while a table, or a privilege, is
/// missing, commits that do not need it work, and the trouble is over only when one that needs it does, or an empty
/// one, in which a store tries out everything. A shard of which the journal is found to have gone back is told so;
/// others go on.
struct writer_state {
  static inline const char* name = "journal";

  enum class kind { submissions, change };

  /// What one shard has in the batch that collects.
  struct collecting {
    store::shard_commit commit;
    std::vector<submit> submits; ///< their submissions were moved to `commit`, in order
    bool saves = false;
  };

  journal_actor::behavior_type make_behavior(journal_actor::stateful_pointer<writer_state> to_self,
                                             std::shared_ptr<store::journal> to_journal, writer_options with,
                                             std::shared_ptr<metrics> counted);

  void take(submit& request);
  void take(save& request);
  void schedule();
  void commit();
  void worked(const std::vector<store::shard_commit>& commits);
  void failed(const std::vector<store::shard_commit>& commits, const error& why);
  void look_later(const error& why);
  void look_again();
  [[nodiscard]] time_point now() const { return self->clock().now(); }
  void settle(collecting& part, result<store::shard_committed> outcome, time_point began);
  void tell(const shard_actor& owner, std::vector<core::accepted_message> news, time_point began);
  void on(const recover& wish);
  void let_go(store::shard_handle shard);
  void write();
  [[nodiscard]] error told(store::shard_handle shard, const error& why) const;
  void refuse_all(const std::vector<store::gone_back>& found);
  void tell(const std::vector<store::gone_back>& found);
  [[nodiscard]] result<store::recovery> plan(const recover& wish);
  void expire();

  journal_actor::stateful_pointer<writer_state> self = nullptr;
  std::shared_ptr<store::journal> journal;
  writer_options options;
  std::shared_ptr<metrics> measured;
  std::optional<core::retention_clock> clock;
  std::map<store::shard_handle, shard_actor> shards;
  std::map<store::shard_handle, collecting> batch;
  std::uint64_t batch_bytes = 0;
  std::uint64_t untaken_bytes = 0;
  std::map<store::shard_handle, error> refused;            ///< for which nothing is accepted any more
  std::set<store::shard_handle> recovered;                 ///< to be opened anew
  std::map<store::shard_handle, store::recovery> attempts; ///< to recover it, of which it is not known what became
  std::set<store::shard_handle> doubted;                   ///< with a commit whose outcome is not known
  std::set<std::pair<store::shard_handle, kind>> troubled; ///< what was in commits that failed and are probed for
  bool flushing = false;
  bool failing = false; ///< the last commit failed, and that was logged
  bool away = false;    ///< because of something that may be over by itself: it is probed for
  bool probing = false; ///< a look at whether that has changed is on its way
};

} // namespace reseq::actors
