/// An actor system on one thread and virtual time: nothing happens but inside `run`, `send`, `spawn` and `pass`, and
/// what happens is the same each time. Has no network. No detached actors: spawn their behaviour scheduled.
#pragma once

#include <cstdint> // before CAF, which forgets it

#include <chrono>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/detail/test_actor_clock.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>
#include <spdlog/spdlog.h>

#include "actors/protocol.hpp"
#include "reseq/model/clock.hpp"

namespace reseq::test {

class virtual_system {
public:
  virtual_system()
    : system_(config_), scheduler_(dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())) {
    spdlog::set_level(spdlog::level::off); // what is provoked here is no news
    pass(std::chrono::hours{1});           // so that no actor's `now` is 0
  }

  ~virtual_system() {
    for (const auto& one : spawned_) caf::anon_send_exit(one, caf::exit_reason::kill);
    spawned_.clear();
    run();
  }

  virtual_system(const virtual_system&) = delete;
  virtual_system& operator=(const virtual_system&) = delete;

  /// Lives until the end of this system, unless it is killed before.
  template <class Behavior, class... Arguments>
  auto spawn(Behavior behavior, Arguments&&... with) {
    auto made = system_.spawn(behavior, std::forward<Arguments>(with)...);
    spawned_.push_back(caf::actor_cast<caf::actor>(made));
    run();
    return made;
  }

  template <class Handle, class... Parts>
  void send(const Handle& to, Parts&&... message) {
    caf::anon_send(to, std::forward<Parts>(message)...);
    run();
  }

  template <class From, class To, class... Parts>
  void send_as(const From& from, const To& to, Parts&&... message) {
    caf::send_as(from, to, std::forward<Parts>(message)...);
    run();
  }

  /// Ends an actor the way a lost connection does for those who watch it.
  template <class Handle>
  void kill(const Handle& whom) {
    caf::anon_send_exit(whom, caf::exit_reason::kill);
    run();
  }

  /// Until nobody has anything to do; no time passes.
  void run() { scheduler_.run(); }

  /// Time passes; each timer goes off at its own instant, those that it sets included.
  void pass(duration time) {
    auto& clock = scheduler_.clock();
    const auto end = clock.current_time + time;
    run();
    while (clock.has_pending_timeout() && clock.schedule().begin()->first <= end) {
      clock.trigger_timeout();
      run();
    }
    clock.current_time = end;
  }

  [[nodiscard]] time_point now() { return scheduler_.clock().now(); }

private:
  struct configuration : caf::actor_system_config {
    configuration() {
      add_message_types<caf::id_block::reseq>();
      set("scheduler.policy", caf::atom("testing"));
    }
  };

  configuration config_;
  caf::actor_system system_;
  caf::scheduler::test_coordinator& scheduler_;
  std::vector<caf::actor> spawned_;
};

} // namespace reseq::test
