/// The one place that knows which stores a configuration means.
#pragma once

#include <memory>
#include <string>

#include "reseq/config/settings.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/resequencer.hpp"

namespace reseq::actors {

/// Where that journal is, for logs: without a password.
std::string whereabouts(const config::settings& settings);

/// Opens the journal that `store.kind` names. Errors say what to do.
result<std::unique_ptr<store::journal>> open_journal(const config::settings& settings);

/// The shard's resequencer outside of this process, which need not be there yet; null when its lanes are in memory
/// alone. `errc::invalid` if `store.redis` cannot be one. `origin`, a word: of whose results it takes.
result<std::unique_ptr<store::resequencer>> make_resequencer(const config::settings& settings, const shard_id& shard,
                                                             std::string origin);

} // namespace reseq::actors
