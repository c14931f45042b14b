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
  /// Most messages have one destination: its wait costs no allocation.
  struct job {
    work_key key;
    asking asked; ///< the last time
    std::uint32_t users = 0;
    bool one_waits = false;
    bool finished = false;
    job_waiter one; ///< the first that waits, while `one_waits`
    std::unique_ptr<std::vector<job_waiter>> others;
    content_ptr body; ///< of the result, once it is finished
    std::unique_ptr<std::vector<destination_id>> only_to;
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
