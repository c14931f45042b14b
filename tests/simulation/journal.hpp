/// The journal of the simulation: what would be on disk, and commits that fail before or after having happened.
///
/// What it keeps in memory of the shard that its owner has is the real journals' own: places, what is written behind, a
/// transaction under way. What has to come of that stands beside the disk, and is compared.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "book.hpp"
#include "reseq/core/records.hpp"
#include "reseq/core/sequencer.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/submission.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/recorded_shard.hpp"
#include "reseq/store/staged_batch.hpp"

namespace reseq::simulation {

class world;

class journal {
public:
  explicit journal(world& with);

  /// Takes the shard over: another epoch, and what a shard starts from.
  epoch open();
  /// Of the shard as it was opened last.
  [[nodiscard]] std::vector<core::destination_setup> setups() const;
  /// A transactional receiver has not got further than its book says: as `store::plan_rewinding` and
  /// `journal::recover`.
  void go_back_with(destination_id d);

  /// As `store::journal`: all of it or nothing. `errc::unavailable`: nothing happened. `errc::in_doubt`: who knows;
  /// what was accepted then, if it was, is reported by the next commit that succeeds.
  result<std::vector<store::shard_committed>> commit(const std::vector<store::shard_commit>& parts);
  result<std::vector<core::backlog_item>> read(const core::read_request& what);
  result<core::key_backlog> search(const core::read_request& what);

  [[nodiscard]] epoch owner() const { return owner_; }
  /// The last sequence that is assigned there.
  [[nodiscard]] sequence last(destination_id d) const { return sequence{lane(d).places.size()}; }
  [[nodiscard]] const core::known_id* find(const std::string& id) const;
  [[nodiscard]] const core::progress_record& progress(destination_id d) const { return lane(d).progress; }
  [[nodiscard]] const std::map<sequence, core::held_record>& held(destination_id d) const { return lane(d).held; }
  [[nodiscard]] const message_ptr& message_at(position at) const { return messages_[at.value() - 1].message; }
  /// The sequence of a message at a destination; 0 when it is not meant for it.
  [[nodiscard]] sequence place(position at, destination_id d) const;
  /// How many operations of one kind on one message are recorded.
  [[nodiscard]] std::size_t operations(const std::string& kind, destination_id d, sequence seq) const;

private:
  struct stored {
    message_ptr message;
    std::vector<core::enrolment> enrolled;
  };
  struct lane_record {
    std::vector<position> places;    ///< by sequence, from 1: what is true
    std::vector<position> enrolment; ///< likewise: what the index has
    core::progress_record progress;
    std::map<sequence, core::held_record> held;
    parked_keys parked;
    std::vector<sequence> letters; ///< dead ones, ascending
  };
  /// A commit of which the owner does not know whether it happened.
  struct doubt {
    std::unique_ptr<store::staged_batch> staged;
    bool happened = false;
  };

  [[nodiscard]] lane_record& lane(destination_id d) { return lanes_[d.value() - 1]; }
  [[nodiscard]] const lane_record& lane(destination_id d) const { return lanes_[d.value() - 1]; }
  [[nodiscard]] store::recorded_shard recorded() const;
  core::sequenced stage(store::staged_batch& batch, const store::shard_commit& wanted);
  store::known_ids look_up(const store::staged_shard& staged, const std::vector<submission>& wanted) const;
  void write(store::staged_shard& staged, const store::shard_commit& wanted, const core::sequenced& decided);
  void write_indexes(const store::write_behind::slice& slice);
  void clear_doubt();
  void apply(const core::journal_change& change);
  void check_heads(const core::journal_change& change) const;
  void store(const submission& wanted, const core::accepted_message& accepted);
  void check(const core::sequenced& decided, std::size_t wanted) const;
  /// Where a sequence is, as the owner finds it: by the index, or by what is not in it yet; 0 while that is in doubt.
  [[nodiscard]] position look_up(destination_id d, sequence seq) const;

  world& world_;
  epoch owner_;
  std::vector<stored> messages_; ///< by position, from 1
  std::unordered_map<std::string, core::known_id> ids_;
  std::unordered_set<std::string> unrouted_;
  std::unordered_multimap<std::uint64_t, position> id_index_;
  position indexed_; ///< up to here the indexes are complete
  std::vector<lane_record> lanes_;
  std::vector<core::operation_record> operations_;

  std::unique_ptr<store::owned_shard> owned_; ///< in the owner's memory
  store::shard_state opened_;
  std::optional<doubt> doubt_;
  std::vector<core::accepted_message> adopted_; ///< durable, and not reported yet
};

} // namespace reseq::simulation
