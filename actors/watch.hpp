/// What becomes of a process one of whose actors has ended.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/error.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

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

/// What becomes of everything when one actor ends before it was told to: the process ends, and whoever runs it starts
/// it again.
class escalation {
public:
  /// `whose` actor it is, for the log.
  template <class Handle>
  void watch(const Handle& one, std::string whose) const {
    actors::watch(one, std::move(whose), stopping_, end_the_process);
  }

  /// From now on actors may end.
  void stop() { *stopping_ = true; }

private:
  [[noreturn]] static void end_the_process(const std::string& whose, const caf::error& why);

  std::shared_ptr<std::atomic<bool>> stopping_ = std::make_shared<std::atomic<bool>>(false);
};

/// Ends an actor now, if there is one.
template <class Handle>
void end(Handle& one) {
  if (one) caf::anon_send_exit(one, caf::exit_reason::kill);
  one = nullptr;
}

} // namespace reseq::actors
