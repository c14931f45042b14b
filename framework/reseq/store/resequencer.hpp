/// The resequencer: a second account of a shard's lanes, outside its owner, which releases what is in order and keeps
/// finished results so that the next owner need not work them out again.
///
/// It is fast, shared and rebuildable, never the truth: it may lose anything, or bring anything back, at any time. The
/// owner's own lanes know what each call must release; a call that answers otherwise, or not at all, costs the lane
/// another version (it is written anew from what the owner has), never a message or its place.
///
/// With order by key each key has a head of its own, which only the owner knows: such a lane is kept (what is pending,
/// what is ready) and its results are, but the owner releases it.
///
/// One object serves one shard and is used by one thread at a time. Every implementation passes
/// `tests/unit/store/resequencer_contract.hpp`.
#pragma once

#include <span>
#include <vector>

#include "reseq/core/lane_updates.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::store {

class resequencer {
public:
  virtual ~resequencer() = default;

  /// Takes the shard over under `ours`: from now on what earlier owners say is refused, and every lane begins with
  /// step 1 of a version. Results stay. Lanes that are not in `lanes` are forgotten. Again under the same epoch: the
  /// same again.
  ///
  /// `errc::fenced`: a later epoch has it, and nothing happened. `errc::diverged`: an owner before told a lane of more
  /// than the journal has ever assigned, so that has gone backwards; nothing happened.
  virtual result<core::lanes_found> open(epoch ours, std::span<const core::lane_name> lanes) = 0;

  /// Says what is there of these lanes, and changes nothing; before `open`, or after it was refused.
  virtual result<core::lanes_seen> look(std::span<const core::lane_name> lanes) = 0;

  /// Does what `updates` say, each lane in one atomic step, and answers what each released. After `open`.
  ///
  /// The same updates again, when an answer was lost, change nothing more and get the same answer. A lane whose version
  /// or step is another one changes nothing and says so; it goes on with step 1 of a greater version. A resequencer
  /// that has lost everything is one in which every lane says so.
  ///
  /// `errc::fenced`: a later epoch has the shard; nothing happened. `errc::unavailable`: each lane has done its step,
  /// or has not, or will when a late call arrives; saying it again, or another version, decides. `errc::no_space`: it
  /// has no memory left, and the same holds. `errc::invalid`: what is said contradicts itself, or names a lane that
  /// `open` did not; nothing happened.
  virtual result<core::lane_answers> apply(const core::lane_updates& updates) = 0;

  /// Those of `keys` whose results are kept and legible, in no order. Whether one belongs to the message that the
  /// caller means, `message_id` says.
  virtual result<std::vector<core::stored_result>> load(std::span<const core::work_key> keys) = 0;
};

} // namespace reseq::store
