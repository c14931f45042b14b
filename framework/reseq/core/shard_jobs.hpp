/// The work that lanes share: each chain of a message is asked for once, and its result kept while any window holds
/// it.
///
/// A pure state machine. It knows the lanes only as numbers. Each call costs what it hands back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "reseq/core/detail/dense_index.hpp"
#include "reseq/core/detail/slab.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// Who wants a result: a lane, for one of its sequences.
struct job_waiter {
  std::uint32_t lane = 0;
  sequence seq;
};

class shard_jobs {
public:
  /// What `want` found.
  struct standing {
    std::optional<asking> ask;        ///< nobody has asked for it: ask a worker
    std::optional<work_result> known; ///< the waiter does not wait
  };

  /// `who` wants the result and uses it until it calls `release`.
  standing want(work_key key, job_waiter who);

  /// What `release` left behind.
  struct leaving {
    bool withdraw = false;  ///< nobody waits any more for work under way: withdraw it
    bool forgotten = false; ///< nobody uses it any more
  };

  /// `who` needs it no more.
  leaving release(work_key key, job_waiter who);

  /// The result that was asked for is there. Whom to give it to; nobody when nobody waits for it any more (a late
  /// answer). Valid until the next `finish` or `give_up`.
  const std::vector<job_waiter>& finish(work_key key, asking asked, const work_result& done);

  /// The work was given up: nobody asks for it any more, and each who waited has to `wait_again` or `release` it.
  /// Empty when nobody waits.
  std::vector<job_waiter> give_up(work_key key, asking asked);

  /// What has come of work that somebody waits for is not to count: a worker is to be asked once more, and what was
  /// asked before withdrawn.
  asking ask_again(work_key key);
  /// Who waits for it.
  [[nodiscard]] std::vector<job_waiter> waiting(work_key key) const;

  /// Waits again after `give_up`, without becoming another user. Whether to ask a worker.
  std::optional<asking> wait_again(work_key key, job_waiter who);

  /// Whether somebody waits for it, or uses its result.
  [[nodiscard]] bool has(work_key key) const { return find(key) != detail::no_slot; }
  [[nodiscard]] std::size_t size() const { return jobs_.size(); }

private:
  struct rarely {
    std::vector<job_waiter> others; ///< that wait besides the first
    std::optional<std::vector<destination_id>> only_to;
  };

  /// Most messages have one destination: its wait costs no allocation. There is one for each message in the windows:
  /// its size matters.
  struct job {
    [[nodiscard]] job_waiter one() const { return {one_lane, one_seq}; }
    void set_one(job_waiter who) {
      one_lane = who.lane;
      one_seq = who.seq;
    }

    position at;
    sequence one_seq; ///< of the first that waits, while `one_waits`
    content_ptr body; ///< of the result, once it is finished
    asking asked;     ///< the last time
    chain_index chain;
    std::uint32_t one_lane = 0;
    std::uint32_t users : 29 = 0;
    bool one_waits : 1 = false;
    bool finished : 1 = false;
    bool has_rare : 1 = false; ///< there is more in `rare_`
  };
  static_assert(sizeof(job) <= 48);

  [[nodiscard]] detail::slot find(work_key key) const { return by_key_.find(key.at.value(), key.chain.value()); }
  /// Makes it, if it is not there.
  detail::slot find_or_add(work_key key);
  void forget(detail::slot which);
  /// Asks when nobody waited before.
  std::optional<asking> wait(detail::slot for_it, job_waiter who);
  [[nodiscard]] bool is_awaited(detail::slot which, asking asked) const;
  void take_waiting(detail::slot from);
  rarely& rare(detail::slot of);
  void drop_rare(detail::slot of) {
    if (jobs_[of].has_rare) rare_.erase(of);
    jobs_[of].has_rare = false;
  }

  detail::slab<job> jobs_;
  std::unordered_map<detail::slot, rarely> rare_;
  detail::dense_index by_key_;
  asking last_asked_;
  std::vector<job_waiter> taken_; ///< kept for its capacity
};

} // namespace reseq::core
