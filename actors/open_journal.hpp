/// The one place that knows which journal a configuration means.
#pragma once

#include <memory>

#include "reseq/config/settings.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/journal.hpp"

namespace reseq::actors {

/// Opens what `store.kind` names. Errors say what to do.
result<std::unique_ptr<store::journal>> open_journal(const config::settings& settings);

} // namespace reseq::actors
