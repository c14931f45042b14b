/// What the owner of a shard tells its resequencer, and what that answers: plain values.
///
/// The owner numbers what it says about a lane: versions within its epoch, steps within a version. A step is taken once
/// and in order, so that a resequencer that lost something, went back in time or is told something late shows it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reseq/core/work.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// How often a lane was taken anew under one epoch; from 1.
using lane_version = strong<struct lane_version_tag>;

/// Where a version stands: its first step, 1, takes the lane anew.
using lane_step = strong<struct lane_step_tag>;

/// No sequence is greater: Redis keeps them as floating-point numbers, which are exact up to here.
constexpr sequence greatest_sequence{(std::uint64_t{1} << 53U) - 1};

/// A lane, and what a person calls it.
struct lane_name {
  destination_id destination;
  std::string name;
  sequence assigned = greatest_sequence; ///< the last one that the journal has assigned
};

/// What happened in one lane since its last step, in this order. With step 1 the lane is empty before, whatever was
/// there.
struct lane_update {
  destination_id destination;
  lane_version version;
  lane_step step;
  /// Whether the run of ready sequences at the head is released. Not with order by key, where each key has a head of
  /// its own, which only the owner knows: there a sequence leaves by `settled`.
  bool releases = true;
  /// The greatest that the journal is known to have assigned, not less than what is admitted. The resequencer remembers
  /// the greatest that it was ever told, whoever owned the lane: a journal that has assigned less has gone back.
  sequence reached;
  std::vector<sequence> admitted; ///< became pending; ascending, and what releases: greater than all admitted before
  std::vector<sequence> ready;    ///< pending ones that have a result now; any order
  std::vector<sequence> settled;  ///< left otherwise than by a release, settled or with a parked key; any order
};

/// A result that is kept until no window holds it, so that a later owner need not work it out again.
struct stored_result {
  work_key key;
  std::string message_id; ///< of the message at that position; another one there makes it worthless
  work_result done;
};

/// One batch over everything that changed. Results go first.
struct lane_updates {
  std::vector<lane_update> lanes; ///< a destination at most once
  bool forget_results = false;    ///< all that were kept before
  std::vector<stored_result> results;
  std::vector<work_key> unneeded; ///< results that no window holds any more

  [[nodiscard]] bool empty() const { return lanes.empty() && !forget_results && results.empty() && unneeded.empty(); }
};

/// Numbers the calls; a late answer is recognised by it.
using mirror_call_id = strong<struct mirror_call_id_tag>;

/// What is to be asked of the resequencer: `open`, if there are no updates.
struct mirror_call {
  mirror_call_id id;
  std::optional<lane_updates> updates;
};

/// What one lane did.
struct lane_answer {
  /// False: it was at another version or step (or had lost them), and nothing of it was changed.
  bool agrees = false;
  std::vector<sequence> released; ///< ascending: pending and ready, with nothing pending before them
  std::uint64_t pending = 0;      ///< that it has now, ready ones included
  std::uint64_t ready = 0;        ///< that it has now

  friend bool operator==(const lane_answer&, const lane_answer&) = default;
};

struct lane_answers {
  std::vector<lane_answer> lanes; ///< as in the updates
  std::uint64_t results = 0;      ///< how many are kept now

  friend bool operator==(const lane_answers&, const lane_answers&) = default;
};

/// What an owner before left behind.
struct lanes_found {
  struct lane {
    destination_id destination;
    sequence reached; ///< the greatest that was told

    friend bool operator==(const lane&, const lane&) = default;
  };
  std::vector<lane> lanes;       ///< by destination, ascending; those that were never told of are left out
  std::vector<work_key> results; ///< ascending
};

/// What stands there, whoever left it.
struct lanes_seen {
  epoch owner;                          ///< the latest; 0: nobody has been there
  std::vector<lanes_found::lane> lanes; ///< by destination, ascending; those that were never told of are left out
  position last;                        ///< the greatest with a result
};

} // namespace reseq::core
