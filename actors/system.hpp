/// The actor system as reseq wants it.
#pragma once

#include <cstdint> // before CAF, which forgets it

#include <utility>

#include <caf/actor_system_config.hpp>

namespace reseq::actors {

/// Middleman with heartbeats, so that a peer that is cut off or stopped is noticed in about a second; a scheduler with
/// few threads that share one queue, which costs nothing when idle. Reads no files and no command line.
struct system_config : caf::actor_system_config {
  system_config();
};

/// What `spawn` runs to make an actor of a state with a `make_behavior`. It runs later, on another thread: what the
/// state needs goes in as arguments of `spawn`, by value.
template <class State, class Handle, class... Arguments>
typename Handle::behavior_type become(typename Handle::template stateful_pointer<State> self, Arguments... with) {
  return self->state.make_behavior(self, std::move(with)...);
}

} // namespace reseq::actors
