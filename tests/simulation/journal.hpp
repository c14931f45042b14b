/// The journal of the simulation: what would be on disk, and commits that fail before or after having happened.
///
/// It assigns places with the production sequencer, from heads that it keeps in memory as the real ones do.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "book.hpp"
#include "reseq/core/records.hpp"
#include "reseq/core/sequencer.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/submission.hpp"

namespace reseq::simulation {

class world;

class journal {
public:
  struct committed {
    std::vector<result<receipt>> receipts;
    std::vector<core::accepted_message> accepted;
  };

  explicit journal(world& with);

  /// Takes the shard over: another epoch, and what a shard starts from.
  epoch open();
  [[nodiscard]] std::vector<core::destination_setup> setups() const;
  /// A transactional receiver has not got further than its book says: as `store::plan_rewinding` and
  /// `journal::recover`.
  void go_back_with(destination_id d);

  /// All of it or nothing. `errc::unavailable`: nothing happened. `errc::in_doubt`: it did; what was accepted then is
  /// handed out by the next commit that succeeds.
  result<committed> commit(const std::vector<submission>& submissions, const core::journal_change& change);
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
    std::vector<position> places; ///< by sequence, from 1
    core::progress_record progress;
    std::map<sequence, core::held_record> held;
    parked_keys parked;
    std::vector<sequence> letters; ///< dead ones, ascending
  };

  [[nodiscard]] lane_record& lane(destination_id d) { return lanes_[d.value() - 1]; }
  [[nodiscard]] const lane_record& lane(destination_id d) const { return lanes_[d.value() - 1]; }
  void read_heads();
  void apply(const core::journal_change& change);
  void check_heads(const core::journal_change& change) const;
  void store(const submission& wanted, const core::accepted_message& accepted);
  void check(const core::sequenced& decided, std::size_t wanted) const;
  std::vector<core::accepted_message> not_handed_out();

  world& world_;
  epoch owner_;
  std::vector<stored> messages_; ///< by position, from 1
  std::unordered_map<std::string, core::known_id> ids_;
  std::vector<lane_record> lanes_;
  std::vector<core::operation_record> operations_;

  core::heads heads_;     ///< in the owner's memory
  bool in_doubt_ = false; ///< they have to be read again
  position handed_out_;   ///< up to here the owner knows what was accepted
};

} // namespace reseq::simulation
