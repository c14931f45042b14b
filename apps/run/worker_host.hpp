/// A worker with its actor system, in this process.
#pragma once

#include <functional>
#include <memory>

#include "reseq/config/settings.hpp"
#include "reseq/model/error.hpp"
#include "reseq/pipeline/registry.hpp"

namespace reseq::apps {

/// What a process wants to know of its worker; either may be empty.
struct worker_events {
  std::function<void()> works;     ///< a supervisor has let it in; again with each of its pulses
  std::function<void()> dismissed; ///< its slots hang: a supervisor wants this process to be started again
};

class worker_host {
public:
  /// Starts looking for the supervisors of `settings`; returns at once. `errc::not_found` for a transform that this
  /// program does not have, `errc::invalid` for `worker.slots = 0` or a pipeline that is not configured.
  static result<std::unique_ptr<worker_host>> start(const config::settings& settings, const registry& definitions,
                                                    worker_events events = {});

  ~worker_host();
  worker_host(const worker_host&) = delete;
  worker_host& operator=(const worker_host&) = delete;

  /// Takes nothing new, answers what it has; false when that took longer than `timeout`.
  bool drain(duration timeout);

private:
  struct parts;
  explicit worker_host(std::unique_ptr<parts> made);

  std::unique_ptr<parts> parts_;
};

} // namespace reseq::apps
