/// What a Redis is told to keep.
#pragma once

#include <string>

#include "reseq/model/clock.hpp"
#include "reseq/store/redis/server_url.hpp"

namespace reseq::store::redis {

/// How the server may lose what it has confirmed, by its settings, and what to set; as the end of a sentence about it.
/// Empty: not by these, or it does not say (the user may lack CONFIG, or nobody answers within `timeout`).
std::string durability_risk(const server_url& server, duration timeout);

} // namespace reseq::store::redis
