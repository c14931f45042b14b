/// Keeps a resequencer told of what happens in a shard's lanes, and says what may be sent by what it releases.
///
/// A pure state machine between `shard` and whoever carries its calls. It knows what each call must release. A lane for
/// which that comes true *follows*: what the resequencer has released may be sent, and nothing else. When an answer
/// differs or does not come in time, lanes go *adrift*: memory releases by itself, at once, and the resequencer is told
/// the whole window anew under another version, after which the lane follows again. So a resequencer can hold a
/// delivery up for at most twice the timeout (the call before, and its own), and can never change what is delivered.
///
/// A lane with order by key is told and checked likewise, but the owner alone releases it: each key has a head.
///
/// One call at a time; what happens meanwhile is in the next one. Memory: a byte for each sequence in a window (an
/// entry of a map, with order by key), and what collects during a call; while the resequencer is away nothing collects.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "reseq/core/lane_account.hpp"
#include "reseq/core/lane_updates.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// Why a lane went adrift, or results were stored again.
enum class drift : std::uint8_t {
  contents, ///< it released something else, or holds another number of sequences
  version,  ///< it was at another version or step
  silence,  ///< no answer, or none in time
  results,  ///< results that it kept are gone
};
constexpr std::size_t drift_kinds = 4;

/// A lane when its shard starts.
struct mirrored_lane {
  destination_id destination;
  sequence first;       ///< nothing before it is admitted
  bool releases = true; ///< false with order by key: such a lane never waits
  sequence assigned;    ///< by the journal, the last one
};

class lane_mirror {
public:
  /// Of one lane a call tells at most `most_told` sequences that are new to the resequencer: with more it could take
  /// longer than anybody waits, for ever.
  lane_mirror(const std::vector<mirrored_lane>& lanes, duration timeout, std::size_t most_told = 10'000);

  // What happens in the lanes: a sequence that is not settled is admitted, in ascending order; then it has a result, at
  // most once; then it is settled, whether it was released or not. With order by key in any order, and one that leaves
  // unsettled, with its key, is settled here until it is admitted again.
  void admitted(destination_id lane, sequence seq);
  void finished(destination_id lane, sequence seq);
  void settled(destination_id lane, sequence seq);

  /// A result that is worth keeping as long as a window needs it. One that was found there is not stored again.
  void keep(stored_result result);
  void unneeded(work_key key);
  /// What an owner before left under that key is not to be used, whatever is kept there now.
  void outdated(work_key key);

  /// Sequences before it may be sent.
  [[nodiscard]] sequence limit(destination_id lane) const;
  [[nodiscard]] bool follows(destination_id lane) const;
  /// Whether everything admitted is settled, and the resequencer is being told no more of it.
  [[nodiscard]] bool is_clear(destination_id lane) const;

  // The answer to the call; or none, which is tried again after a wait. Late ones change nothing.
  bool opened(mirror_call_id call, const lanes_found& found, time_point now); ///< false: it was late
  void answered(mirror_call_id call, const lane_answers& answers, time_point now);
  void failed(mirror_call_id call, const error& why, time_point now);

  /// Gives up the call that is overdue. Call at `wakeup()`; early is harmless.
  void tick(time_point now);
  [[nodiscard]] std::optional<time_point> wakeup() const;
  /// Whether the resequencer has been told everything, and has answered.
  [[nodiscard]] bool idle() const { return !call_ && !has_news(); }
  /// Whether the call under way is overdue.
  [[nodiscard]] bool overdue() const { return call_ && call_->given_up; }

  struct effects {
    std::optional<mirror_call> call;   ///< at most one at a time: none until it is answered or has failed
    std::vector<destination_id> moved; ///< lanes whose limit is greater than it was
    bool check_epoch = false;          ///< a later owner has the lanes: ask the journal
  };
  /// What has to be done since the last call.
  [[nodiscard]] effects take(time_point now);

  /// How often a lane went adrift (or results were stored again), by reason.
  [[nodiscard]] const std::array<std::uint64_t, drift_kinds>& drifts() const { return drifts_; }
  [[nodiscard]] std::uint64_t late_answers() const { return late_answers_; }

private:
  enum class standing : std::uint8_t { adrift, rebuilding, following };

  struct mirrored {
    explicit mirrored(const mirrored_lane& lane);

    bool releases;
    bool touched = false;
    standing stands = standing::adrift;
    lane_version version;
    lane_step step;
    sequence reached;                      ///< the greatest that is known to be assigned
    std::unique_ptr<lane_account> account; ///< with what was told the call under way, and what the next one is told
    sequence confirmed;                    ///< everything before it was released, by answers
  };

  struct expected_answer {
    destination_id lane;
    lane_answer answer;
    sequence head; ///< of the account after it
  };

  struct open_call {
    mirror_call_id id;
    bool opens = false;
    bool given_up = false;
    time_point deadline{};
    std::vector<expected_answer> expected;
    bool changes_results = false;
    std::uint64_t results = 0; ///< that there must be after it
  };

  struct kept_result {
    stored_result result;
    bool queued = false;
  };

  [[nodiscard]] bool has_news() const;
  void touch(destination_id id, mirrored& lane);
  void touch_if_news(destination_id id, mirrored& lane);
  void set_adrift(destination_id id, mirrored& lane, drift why);
  void all_adrift();
  lane_updates collect(open_call& call);
  void collect_results(open_call& call, lane_updates& into);
  /// Told anew, if it is adrift; else what has changed.
  lane_update step_of(open_call& call, destination_id id, mirrored& lane);
  void compare(const expected_answer& expected, const lane_answer& answer);
  /// One lane's mark is gone: so may be those of lanes that have nothing to say and would not notice.
  void tell_idle_lanes_again();
  void store_all_again();
  void lost(const open_call& call, time_point now);
  void wait_longer(time_point now);
  std::optional<open_call> end(mirror_call_id call);

  std::map<destination_id, mirrored> lanes_;
  std::set<destination_id> touched_; ///< has something to say, or is adrift
  duration timeout_;
  std::size_t most_told_;
  bool open_ = false;

  std::map<work_key, kept_result> kept_;
  std::deque<work_key> to_store_;
  std::vector<work_key> to_delete_;
  std::set<work_key> there_; ///< what the resequencer must have after the call that is under way, and is to keep
  bool forget_ = false;      ///< what is there, before anything is stored

  std::optional<open_call> call_;
  std::uint64_t calls_ = 0;
  std::uint32_t failures_ = 0; ///< in a row
  time_point not_before_{};

  std::vector<destination_id> moved_;
  bool check_epoch_ = false;
  std::array<std::uint64_t, drift_kinds> drifts_{};
  std::uint64_t late_answers_ = 0;
};

} // namespace reseq::core
