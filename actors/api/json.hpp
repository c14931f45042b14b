/// State as JSON, the way the API and `reseqctl` show it.
#pragma once

#include <nlohmann/json.hpp>

#include "actors/api/http_api.hpp"
#include "actors/protocol.hpp"

namespace reseq::actors::api {

std::string_view name_of(core::lane_state state);
std::string_view name_of(core::hold_reason reason);

/// RFC 3339 with milliseconds, in UTC.
std::string timestamp(wall_time when);

/// A monotonic instant as wall-clock time, as far as the two clocks agree now.
wall_time to_wall(time_point when);

nlohmann::json to_json(const api_pipeline& of, const core::destination_status& status);
nlohmann::json to_json(const api_pipeline& of, const core::held_record& held);
nlohmann::json to_json(const named_task_status& task);

} // namespace reseq::actors::api
