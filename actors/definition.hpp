/// What a pipeline is, as the journal records it and as workers must agree with it.
#pragma once

#include <string>

#include "reseq/model/error.hpp"
#include "reseq/model/settings.hpp"
#include "reseq/pipeline/registry.hpp"

namespace reseq::actors {

/// The fingerprint that supervisor and workers compare. Of transforms composed in C++: names, types and versions. Where
/// the configuration names the transforms, its names and versions alone, because a supervisor need not have them
/// itself.
result<std::string> declared_fingerprint(const registry& transforms, const pipeline_settings& pipeline);

/// Canonical JSON of names, shards, order, routes and fingerprint: no URLs, no secrets, no tuning.
std::string definition_text(const pipeline_settings& pipeline, const std::string& fingerprint);

} // namespace reseq::actors
