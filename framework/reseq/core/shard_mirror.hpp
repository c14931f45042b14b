/// A shard's side of its resequencer: its lanes are told to it, finished results are kept there, and after a takeover
/// those of an earlier owner are looked up before workers are asked to do the work again.
///
/// A pure state machine, part of `shard`: `lane_mirror` and `result_lookup`, and which results are worth keeping.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reseq/core/lane_mirror.hpp"
#include "reseq/core/result_lookup.hpp"
#include "reseq/core/shard.hpp"

namespace reseq::core {

class shard_mirror {
public:
  shard_mirror(const std::vector<mirrored_lane>& lanes, const resequencing& how);

  // What happens in the lanes, as in `lane_mirror`.
  void admitted(destination_id lane, sequence seq) { lanes_.admitted(lane, seq); }
  void finished(destination_id lane, sequence seq) { lanes_.finished(lane, seq); }
  void settled(destination_id lane, sequence seq) { lanes_.settled(lane, seq); }
  [[nodiscard]] sequence limit(destination_id lane) const { return lanes_.limit(lane); }
  [[nodiscard]] bool is_clear(destination_id lane) const { return lanes_.is_clear(lane); }

  /// A result that some window needs; it is kept if its work took long enough.
  void worked(const finished_work& result, const std::string& message_id);
  /// No window needs the result of that work any more, if it has one.
  void unneeded(work_key key) { lanes_.unneeded(key); }
  /// Every window has been filled once: results that nobody has wanted by now are deleted.
  void filled() { filled_ = true; }

  // Answers, as in `lane_mirror`; what may be sent shows in the next `take`. `is_wanted`: a window waits for that work,
  // or has its result.
  void opened(mirror_call_id call, const lanes_found& found, const std::function<bool(work_key)>& is_wanted,
              time_point now);
  void answered(mirror_call_id call, const lane_answers& answers, time_point now);
  void failed(mirror_call_id call, const error& why, time_point now);
  /// Results that were looked up; an error: they cannot be. What can be taken as worked.
  std::vector<finished_work> loaded(result<std::vector<stored_result>> found);

  void tick(time_point now);
  [[nodiscard]] std::optional<time_point> wakeup() const { return lanes_.wakeup(); }

  /// What has to be done since the last call, into `out`: what is looked up first does not go to the dispatcher. The
  /// lanes of which more may be sent now.
  std::vector<destination_id> take(effects& out, time_point now);

  [[nodiscard]] const lane_mirror& lanes() const { return lanes_; }
  [[nodiscard]] std::uint64_t adopted() const { return adopted_; }

private:
  void give_back(std::vector<work_request> work);
  void nothing_found();

  lane_mirror lanes_;
  result_lookup lookup_;
  duration keep_over_;
  bool looked_ = false; ///< it is known what was left, or that this cannot be known in time
  bool filled_ = false;
  std::vector<work_request> for_workers_;
  std::uint64_t adopted_ = 0;
};

} // namespace reseq::core
