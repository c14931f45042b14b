/// The work that lanes share: each chain of a message is asked for once, and its result kept while any window holds
/// it.
///
/// A pure state machine. It knows the lanes only as numbers. Each call costs what it hands back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

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
    bool ask = false;                   ///< nobody has asked for it: ask a worker
    const work_result* known = nullptr; ///< valid until the next call; the waiter does not wait
  };

  /// `who` wants the result and uses it until it calls `release`.
  standing want(work_key key, job_waiter who);

  /// `who` needs it no more. True when it was the last that waited for work under way: withdraw that.
  bool release(work_key key, job_waiter who);

  /// The result is there. Whom to give it to; nobody when nobody waits (a late answer).
  std::vector<job_waiter> finish(work_key key, const work_result& done);

  /// The work was given up: nobody asks for it any more, and each who waited has to `wait_again` or `release` it.
  /// Empty when nobody waits.
  std::vector<job_waiter> give_up(work_key key);

  /// Waits again after `give_up`, without becoming another user. True: ask a worker.
  bool wait_again(work_key key, job_waiter who);

  [[nodiscard]] std::size_t size() const { return jobs_.size(); }

private:
  struct job {
    std::vector<job_waiter> waiting;
    std::uint32_t users = 0;
    std::optional<work_result> result;
  };
  struct key_hash {
    std::size_t operator()(const work_key& key) const noexcept {
      return std::hash<std::uint64_t>{}(key.at.value() * 0x9e3779b97f4a7c15U ^ key.chain.value());
    }
  };
  struct key_equal {
    bool operator()(const work_key& a, const work_key& b) const noexcept { return a.at == b.at && a.chain == b.chain; }
  };

  std::unordered_map<work_key, job, key_hash, key_equal> jobs_;
};

} // namespace reseq::core
