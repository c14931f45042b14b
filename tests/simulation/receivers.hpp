/// The receivers and the connections to them. They keep the books by which everything is judged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reseq/core/shard.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::simulation {

class world;

class receivers {
public:
  explicit receivers(world& with);

  /// A sink gets a request to deliver. Files write at once, others put it on the wire.
  void deliver(const core::send_request& request);
  /// The owner is gone; what it had under way may still arrive.
  void lose_owner();

  /// How many requests are on the wire that somebody does something with.
  [[nodiscard]] std::uint32_t under_way() const;
  /// One of them arrives, and is answered or not.
  void act();

  /// One receiver is away until it comes back.
  void go_away(destination_id d);
  void come_back(destination_id d) { away_[d.value() - 1] = false; }
  [[nodiscard]] bool is_away(destination_id d) const { return away_[d.value() - 1]; }
  /// A transactional receiver is restored from an older copy of what it has.
  void go_back(destination_id d);
  /// One receiver fails each request with messages of one key, or refuses these, until it is cured.
  void poison(destination_id d, std::string key, bool refuses);
  void cure() { poisoned_.reset(); }
  /// All but those that are away behave, and answer what hangs.
  void recover();
  /// Whether the receiver will never take a message.
  [[nodiscard]] bool refuses(destination_id d, position at) const;

private:
  struct wired {
    core::send_request request;
    epoch owner;
    std::uint64_t number = 0;
    bool hangs = false;
    bool abandoned = false; ///< whoever sent it does not wait any more
  };

  void write_file(const core::send_request& request);
  void give_up_waiting(std::uint64_t number);
  [[nodiscard]] core::receiver_answer decide(const wired& what);
  [[nodiscard]] bool refused(const wired& what);
  [[nodiscard]] bool is_poisoned(destination_id d, const core::send_item& item) const;
  void take(const wired& what, std::size_t items);
  void reply(const core::send_request& request, core::receiver_answer answer);

  struct poisoned_key {
    destination_id destination;
    std::string key;
    bool refuses = false;
  };

  world& world_;
  std::optional<poisoned_key> poisoned_;
  std::vector<wired> wire_;
  std::vector<bool> away_;
  std::uint64_t last_number_ = 0;
};

} // namespace reseq::simulation
