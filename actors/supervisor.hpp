/// A running supervisor: journal, shards, dispatcher, sinks and HTTP, put together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "reseq/config/settings.hpp"
#include "reseq/model/error.hpp"
#include "reseq/net/url.hpp"
#include "reseq/pipeline/registry.hpp"

namespace reseq::actors {

class supervisor {
public:
  /// Opens the journal, takes over every pipeline's shard, listens for workers and for HTTP. Blocks until messages can
  /// be accepted. Errors say what to do; nothing is left running then.
  /// `restart` is called, from any thread, when an operator has recovered a pipeline: this supervisor is to be drained,
  /// destroyed and started anew then.
  static result<std::unique_ptr<supervisor>> start(const config::settings& settings, const registry& transforms,
                                                   std::function<void()> restart);

  /// Stops at once what still runs.
  ~supervisor();
  supervisor(const supervisor&) = delete;
  supervisor& operator=(const supervisor&) = delete;

  /// Where it listens, with the ports in use.
  [[nodiscard]] net::host_port http() const;
  [[nodiscard]] net::host_port cluster() const;

  /// Pipelines that have diverged, and of which this process alone knows what they gave: another start would not.
  [[nodiscard]] std::set<std::string> known_here_alone() const;

  /// Accepts nothing more, finishes what is being sent, saves progress; returns when that is done or `timeout` is over.
  /// False: it was over, and what was not confirmed will be delivered again.
  bool drain(duration timeout);

private:
  struct parts;
  explicit supervisor(std::unique_ptr<parts> made);

  std::unique_ptr<parts> parts_;
};

} // namespace reseq::actors
