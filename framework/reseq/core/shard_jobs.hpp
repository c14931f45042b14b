/// The work that lanes share: each chain of a message is asked for once, and its result kept while any window holds
/// it.
///
/// A pure state machine. It knows the lanes only as numbers. Each call costs what it hands back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "reseq/core/detail/slab.hpp"
#include "reseq/core/detail/slot_index.hpp"
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

  /// Waits again after `give_up`, without becoming another user. Whether to ask a worker.
  std::optional<asking> wait_again(work_key key, job_waiter who);

  [[nodiscard]] std::size_t size() const { return jobs_.size(); }

private:
  struct rarely {
    std::vector<job_waiter> others; ///< that wait besides the first
    std::optional<std::vector<destination_id>> only_to;
  };

  /// Most messages have one destination: its wait costs no allocation.
  struct job {
    [[nodiscard]] work_key key() const { return {at, chain}; }
    [[nodiscard]] job_waiter one() const { return {one_lane, one_seq}; }
    void set_one(job_waiter who) {
      one_lane = who.lane;
      one_seq = who.seq;
    }

    position at;
    asking asked;     ///< the last time
    sequence one_seq; ///< of the first that waits, while `one_waits`
    content_ptr body; ///< of the result, once it is finished
    std::unique_ptr<rarely> rare;
    chain_index chain;
    std::uint32_t one_lane = 0;
    std::uint32_t users = 0;
    bool one_waits = false;
    bool finished = false;
  };

  [[nodiscard]] detail::slot find(work_key key) const;
  detail::slot add(work_key key);
  void forget(detail::slot which);
  /// Asks when nobody waited before.
  std::optional<asking> wait(job& for_it, job_waiter who);
  [[nodiscard]] bool is_awaited(detail::slot which, asking asked) const;
  void take_waiting(job& from);

  detail::slab<job> jobs_;
  detail::slot_index by_key_;
  asking last_asked_;
  std::vector<job_waiter> taken_; ///< kept for its capacity
};

} // namespace reseq::core
