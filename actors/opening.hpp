/// The first half of a start: every pipeline's shard is taken over from whoever had it. The second is
/// `shard_start.hpp`.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "actors/receivers.hpp"
#include "reseq/config/settings.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/settings.hpp"
#include "reseq/pipeline/registry.hpp"
#include "reseq/store/journal.hpp"

namespace reseq::actors {

/// A configured pipeline, and its shard as the journal had it.
struct opened_pipeline {
  pipeline_settings settings;
  std::string fingerprint; ///< of its transforms
  opened_shard shard;

  [[nodiscard]] std::map<std::string, destination_id> ids() const;
};

/// Takes over the shards of all pipelines, tells the log what was found, and answers them in the configuration's order.
/// Two supervisors that start at once ask for them in the same order, that of their names: the later one gets them all.
result<std::vector<opened_pipeline>> open_pipelines(const config::settings& settings, const registry& definitions,
                                                    store::journal& journal);

/// What C++ composed as this destination; empty: nothing, it has a URL.
delivery_function function_of(const registry& definitions, const pipeline_settings& pipeline,
                              const destination_settings& destination);

} // namespace reseq::actors
