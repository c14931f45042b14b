/// What becomes of a process one of whose actors has ended.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/error.hpp>

namespace reseq::actors {

/// Nobody does what an actor did that ended before it was told to: `end` gets its name and why it ended, on any thread,
/// unless `stopping` by then.
template <class Handle>
void watch(const Handle& one, std::string whose, std::shared_ptr<const std::atomic<bool>> stopping,
           std::function<void(const std::string& whose, const caf::error& why)> end) {
  caf::actor_cast<caf::strong_actor_ptr>(one)->get()->attach_functor(
    [whose = std::move(whose), stopping = std::move(stopping), end = std::move(end)](const caf::error& why) {
      if (!*stopping) end(whose, why);
    });
}

} // namespace reseq::actors
