/// Mail between the parts, and their timers: what in the programs the actors' mailboxes, the network and the clock are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "reseq/model/clock.hpp"

namespace reseq::simulation {

/// Who sends and gets mail. Everything below `first_outside` lives and dies with the owner's process.
using party = std::uint8_t;
inline constexpr party writer_party = 0;
inline constexpr party reader_party = 1;
inline constexpr party shard_party = 2;
inline constexpr party dispatcher_party = 3;
inline constexpr party first_sink = 4;
inline constexpr party resequencer_party = 7; ///< who talks to the resequencer; there are at most three sinks
inline constexpr party first_outside = 8;
inline constexpr party operator_party = 8;
inline constexpr party world_party = 9;
inline constexpr party first_producer = 10;
inline constexpr party first_worker = 14;
inline constexpr party parties = 18;

/// Mail arrives in the order in which it was sent, for each pair of parties; different pairs overtake each other.
class mailroom {
public:
  using letter = std::function<void()>;

  mailroom();
  void post(party from, party to, letter what);
  /// Rings at `due`, or later.
  void ring_at(time_point due, party whom, letter what);

  /// How many pairs have mail.
  [[nodiscard]] std::size_t waiting() const { return busy_.size(); }
  /// Delivers the first letter of one of them.
  void deliver(std::size_t nth);

  [[nodiscard]] std::optional<time_point> next_ring() const;
  void ring();

  /// The connection is gone: what was under way from one to the other is lost.
  void cut(party from, party to);
  /// The owner's process is gone, with everything in its mailboxes and all of its connections.
  void lose_owner();

private:
  struct timer {
    time_point due;
    std::uint64_t number = 0; ///< of those due at the same time, the first set rings first
    party whom = 0;
    letter what;
  };
  using line = std::deque<letter>;

  [[nodiscard]] static std::size_t line_of(party from, party to) { return std::size_t{from} * parties + to; }
  static bool later(const timer& a, const timer& b) { return a.due != b.due ? a.due > b.due : a.number > b.number; }

  std::vector<line> lines_;
  std::array<std::uint16_t, std::size_t{parties} * parties> line_number_{}; ///< plus one; 0: not used yet
  std::vector<std::uint16_t> busy_;
  std::vector<timer> timers_; ///< a heap, the earliest first
  std::uint64_t last_timer_ = 0;
};

} // namespace reseq::simulation
