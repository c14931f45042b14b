/// After a takeover: looks up what an owner before left behind, before workers are asked to do it again.
///
/// A pure state machine. Until it is told what was left, all work waits here. What is found is taken for what it says
/// only if it names the message that is at that position; everything else is work, as it would be without.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <vector>

#include "reseq/core/lane_updates.hpp"
#include "reseq/core/shard.hpp"

namespace reseq::core {

class result_lookup {
public:
  /// Under these keys something was found: nothing, if it cannot be known. What is work after all.
  std::vector<work_request> found(const std::vector<work_key>& keys);

  /// Takes out of `work` what is looked up first.
  void want(std::vector<work_request>& work);
  /// Takes out of `keys` what is looked up just now: it is not wanted any more, or is a head's now.
  void withdraw(std::vector<work_key>& keys);
  void head(std::vector<work_key>& keys);

  /// What to ask for now, at most `most` at a time; nothing before that is answered by `loaded` or `failed`.
  [[nodiscard]] std::vector<work_key> ask(std::size_t most);

  struct outcome {
    std::vector<finished_work> adopted;
    std::vector<work_request> work;  ///< for workers after all
    std::vector<work_key> worthless; ///< of other messages, illegible or not wanted any more
  };
  [[nodiscard]] outcome loaded(std::vector<stored_result> results);
  /// No answer: all that is looked up is work.
  [[nodiscard]] outcome failed();

  /// Every window has been filled once: what nobody has wanted by now, nobody will.
  [[nodiscard]] std::vector<work_key> filled();

private:
  bool known_ = false;                      ///< what was found
  std::set<work_key> found_;                ///< not wanted yet
  std::map<work_key, work_request> wanted_; ///< to be asked for, or asked for
  std::vector<work_key> asked_;
};

} // namespace reseq::core
