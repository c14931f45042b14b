/// What goes into the next request to one receiver, when, and what its answer means.
///
/// A pure state machine: one request is outstanding at a time. It counts messages and leaves it to the lane which
/// ones they are; a request that failed is repeated with the same messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "reseq/core/receiver_backoff.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/clock.hpp"

namespace reseq::core {

/// What an answer means for the messages of the request.
enum class delivery_verdict {
  late,      ///< not the outstanding request: nothing changes
  delivered, ///< all of them
  refused,   ///< the only one: the receiver will never take it
  again,     ///< none of them: they are ready again
};

class delivery_window {
public:
  /// `batch` messages at most in a request (at least 1); `retry_max` between two tries; `seed` for the jitter.
  delivery_window(std::uint32_t batch, duration retry_max, std::uint64_t seed);

  /// Nothing is outstanding.
  [[nodiscard]] bool idle() const { return outstanding_ == 0; }
  /// A request may start: nothing outstanding, no backoff.
  [[nodiscard]] bool may_start(time_point now) const { return idle() && now >= not_before_; }
  /// How many messages the next request may carry.
  [[nodiscard]] std::size_t next_size() const;
  /// A request with that many messages (1 to `next_size()`) goes out.
  request_id start(std::size_t messages, time_point now);

  /// Reads an answer. `failing` and `stale` back off, as `receiver_backoff` says. A refused batch is repeated one by
  /// one until the refused message is found.
  delivery_verdict answer(request_id request, const receiver_answer& answer, time_point now);

  /// Somebody has mended the receiver: a backoff is over, and the next one is as short as a first one.
  void end_backoff(time_point now);

  /// When the request went out that is under way.
  [[nodiscard]] std::optional<time_point> asked_at() const;
  /// When a backoff ends; nothing when there is none.
  [[nodiscard]] std::optional<time_point> not_before() const;
  [[nodiscard]] bool failing() const { return failures_ > 0; }
  /// Why the last request failed; empty when it did not.
  [[nodiscard]] const std::string& last_error() const { return last_error_; }

private:
  delivery_verdict back_off(std::string why, duration wish, time_point now);

  std::uint32_t batch_;
  std::uint32_t failures_ = 0;  ///< in a row, as far as backing off goes
  std::size_t outstanding_ = 0; ///< messages in the request under way
  std::size_t repeat_ = 0;      ///< messages of a request that failed
  std::size_t one_by_one_ = 0;  ///< messages of a refused batch that are not yet cleared
  request_id last_request_;
  time_point started_{}; ///< the last request
  receiver_backoff backoff_;
  time_point not_before_ = time_point::min();
  std::string last_error_;
};

} // namespace reseq::core
