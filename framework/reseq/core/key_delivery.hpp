/// Which requests may go to the receiver of a destination with order by key, and what their answers mean.
///
/// A pure state machine. Several requests are under way at once, of distinct keys. A key whose request fails goes alone
/// from then on, and rests meanwhile, until one succeeds; such requests take no more than half of the connections. When
/// as many requests in a row as there are connections have failed, each of keys that had not failed since they last
/// succeeded, the receiver as a whole is away: then one request at a time probes it, each of another key, drawn from
/// those that failed least, until one gets through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reseq/core/delivery_window.hpp"
#include "reseq/core/key_lane.hpp"
#include "reseq/core/receiver_backoff.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/clock.hpp"

namespace reseq::core {

class key_delivery {
public:
  /// What an answer says: for these messages, if they are no longer sent.
  struct reading {
    delivery_verdict verdict = delivery_verdict::late;
    std::vector<sequence> messages; ///< of the request
  };

  /// At most `connections` requests at once (at least 1) with at most `batch` messages each (at least 1); `retry_max`
  /// between two tries; `seed` for the jitter.
  key_delivery(std::uint32_t connections, std::uint32_t batch, duration retry_max, std::uint64_t seed);

  /// Nothing is under way.
  [[nodiscard]] bool idle() const { return requests_.empty(); }
  /// What the next request may carry now.
  [[nodiscard]] key_release allowance(time_point now) const;
  /// A request with these messages, released for `what`, goes out.
  request_id start(const key_release& what, std::vector<sequence> messages, key_lane& from, time_point now);

  /// Reads an answer. What was not delivered is taken back into `from`; keys that fail rest there, as
  /// `receiver_backoff` says. The messages of a refused request of several are repeated one by one until the refused
  /// ones are found.
  reading answer(request_id request, const receiver_answer& answer, time_point now, key_lane& from);

  /// Somebody has mended the receiver: nothing rests, and what fails again rests as briefly as the first time.
  void end_backoff(time_point now, key_lane& from);

  /// When the request went out that is under way with this message.
  [[nodiscard]] std::optional<time_point> asked_at(sequence message) const;
  /// The receiver as a whole is away.
  [[nodiscard]] bool away() const { return away_; }
  /// Then, when it is asked again; nothing while it is being asked.
  [[nodiscard]] std::optional<time_point> not_before() const;

private:
  struct request {
    std::vector<sequence> messages;
    time_point started{};
    bool troubled = false; ///< of a key that has failed, or singly
    bool probe = false;
  };

  void got_through();
  void fail(const request& failed, const std::string& why, duration wish, time_point now, key_lane& from);
  [[nodiscard]] bool may_repeat() const;

  std::uint32_t connections_;
  std::uint32_t batch_;
  receiver_backoff backoff_;
  std::map<request_id, request> requests_;
  request_id last_request_;
  std::uint32_t troubled_ = 0; ///< of the requests under way
  bool probing_ = false;

  bool away_ = false;
  std::uint32_t witnesses_ = 0; ///< requests that have failed since it got through, of keys that had not failed
  std::uint32_t failures_ = 0;  ///< of probes, in a row
  time_point not_before_ = time_point::min();
};

} // namespace reseq::core
