/// Why a destination, or all of them, does not move, in plain sentences.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "reseq/model/clock.hpp"

namespace reseq::ctl {

/// Why the journal cannot be written, or that it hangs, since when, and what to do; empty when it can. `trouble` is a
/// pipeline's "journal", or null.
std::string explain_journal(const nlohmann::json& trouble, wall_time now);

/// Whether there is something to explain: messages wait there, or it is paused.
bool waits(const nlohmann::json& destination);

/// What its head waits for, since when, what was tried, what is next, how many wait behind it, and what to do.
/// `destination` is as `GET …/destinations/{d}` answers and `waits`; `hold` is the entry of `GET …/held` for its head,
/// or null.
std::string explain(const std::string& pipeline, const nlohmann::json& destination, const nlohmann::json& hold,
                    wall_time now);

} // namespace reseq::ctl
