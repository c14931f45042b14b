/// A whole shard and everything around it, on virtual time, driven by one schedule's choices.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "book.hpp"
#include "choices.hpp"
#include "journal.hpp"
#include "mailroom.hpp"
#include "neighbour.hpp"
#include "operators.hpp"
#include "producers.hpp"
#include "receivers.hpp"
#include "resequencer.hpp"
#include "scenario.hpp"
#include "story.hpp"
#include "workers.hpp"

namespace reseq::simulation {

class owner;

class world {
public:
  /// Draws the scenario; both arguments outlive the world.
  world(choices& from, story& to);
  ~world();

  /// Runs the schedule: faults first, then everybody recovers, but one receiver or for one key, then that one too.
  /// Throws `violation` at the first broken promise.
  void run();
  [[nodiscard]] std::uint64_t steps() const { return steps_; }

  // For the parts.
  template <class... Parts>
  void tell(const Parts&... parts) {
    told_.tell(now, parts...);
  }
  /// Whether a fault with this rate happens now. None does once everybody recovers.
  bool fault(std::uint32_t permille) { return !calm && choose.chance(permille); }
  [[nodiscard]] book& book_of(destination_id d) { return books_[d.value() - 1]; }
  /// What the configuration wants to become of a message that was given up so.
  [[nodiscard]] give_up on_giving_up(const core::held_record& record) const;
  /// The owner's process ends at once; another one opens the shard after a while.
  void kill_owner();
  /// The owner has drained: nothing of what was confirmed may be unsaved.
  void hand_over();
  [[nodiscard]] wall_time wall() const;

  choices& choose;
  const scenario plan;
  time_point now = beginning;
  bool calm = false;
  mailroom mail;
  journal disk;
  workers pool;
  receivers outside;
  resequencer beside;
  producers clients;
  operators people;
  neighbour next_door;
  std::unique_ptr<owner> boss; ///< null while nobody owns the shard

private:
  void open_shard();
  void step();
  /// A fault of somebody, now and then.
  void strike();
  void toggle_receiver();
  /// What somebody who does not recover holds up: a whole destination, or one key of it. None: 0.
  struct held_up {
    destination_id destination;
    std::optional<std::string> key;
  };
  /// Goes on until everything else is done.
  void finish(const held_up& but, const char* promise);
  void finish_but_one_key(destination_id d);
  void pass_time(const char* promise);
  [[nodiscard]] bool idle() const;
  [[nodiscard]] bool told_all() const;
  [[nodiscard]] bool drained(const held_up& but) const;
  [[nodiscard]] std::string standing() const;
  void check_end();

  story& told_;
  std::deque<book> books_;
  std::uint64_t steps_ = 0;
};

} // namespace reseq::simulation
