/// Logs: one event a line, to stderr.
#pragma once

#include "reseq/config/settings.hpp"

namespace reseq::apps {

/// Sets spdlog's default logger up as `[log]` says. `program` stands in every line.
void start_logging(const config::log_settings& settings, const char* program);

} // namespace reseq::apps
