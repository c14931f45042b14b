#include "actors/system.hpp"

#include <algorithm>
#include <thread>

#include <caf/io/middleman.hpp>

#include "actors/protocol.hpp"

namespace reseq::actors {
namespace {

constexpr caf::timespan heartbeat = std::chrono::milliseconds{200};
constexpr caf::timespan silence = std::chrono::seconds{1};

/// The shard and the dispatcher hand work to each other; a second thread on two cores makes both slower.
std::size_t scheduler_threads() { return std::clamp(std::thread::hardware_concurrency() / 2, 1U, 4U); }

} // namespace

system_config::system_config() {
  add_message_types<caf::id_block::reseq>();
  load<caf::io::middleman>();
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", scheduler_threads());
  set("middleman.app-identifiers", std::vector<std::string>{"reseq/1"});
  set("middleman.heartbeat-interval", heartbeat);
  set("middleman.connection-timeout", silence);
}

} // namespace reseq::actors
