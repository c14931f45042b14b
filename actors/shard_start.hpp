/// The second half of a start: an opened shard gets its state machine and the actors that only it uses.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "actors/opening.hpp"
#include "actors/protocol.hpp"
#include "actors/resequencer.hpp"
#include "actors/shard.hpp"
#include "actors/watch.hpp"
#include "reseq/config/settings.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/error.hpp"
#include "reseq/net/loop.hpp"
#include "reseq/pipeline/registry.hpp"
#include "reseq/store/journal.hpp"

namespace reseq::actors {

/// The actors that only one shard uses, of all shards.
struct shard_actors {
  std::vector<sink_actor> sinks;
  std::vector<resequencer_actor> resequencers;

  void end();
};

/// What the shards of one supervisor share. `loop` outlives the actors.
struct shard_surroundings {
  const config::settings& settings;
  const registry& definitions;
  store::journal& journal; ///< nobody writes it yet
  caf::actor_system& actors;
  net::loop& loop;
  const escalation& on_end; ///< of every actor that is spawned
  journal_actor writer;
  reader_actor reader;
  dispatcher_actor dispatcher;
  std::shared_ptr<metrics> measured;
  std::function<void()> restart;
  shard_actors& spawned; ///< also by a `prepare` that failed
};

class shard_starter {
public:
  explicit shard_starter(shard_surroundings around) : around_(std::move(around)) {}

  /// What the shard's actor is spawned with; `index` is its pipeline's at the dispatcher. A shard that has diverged, by
  /// its receivers or by its resequencer, is ready to run and refuses everything. Errors name the destination or key.
  result<shard_setup> prepare(opened_pipeline& opened, core::pipeline_index index);

private:
  result<std::vector<core::destination_setup>> start_lanes(opened_pipeline& opened, shard_setup& to);
  result<sink_actor> start_sink(const opened_pipeline& opened, const destination_settings& destination,
                                const store::destination_state& known, shard_setup& to);
  result<void> start_resequencer(resequencer_setup outside, shard_setup& to);
  void diverge(const shard_setup& shard, const std::string& why) const;

  shard_surroundings around_;
};

/// The destinations with transforms of their own.
std::set<destination_id> own_chains(const registry& definitions, const opened_pipeline& opened);

} // namespace reseq::actors
