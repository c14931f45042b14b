/// Reading the API's JSON, forgiving: what is missing, null or of another type reads as empty.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "reseq/model/clock.hpp"

namespace reseq::ctl {

/// Made `printable`.
std::string text_in(const nlohmann::json& object, const char* field);
std::uint64_t number_in(const nlohmann::json& object, const char* field);
std::optional<wall_time> time_in(const nlohmann::json& object, const char* field);

/// The field itself: null if there is none, or if it is no object; `list_in`: an empty list if it is none.
const nlohmann::json& object_in(const nlohmann::json& object, const char* field);
const nlohmann::json& list_in(const nlohmann::json& object, const char* field);

/// "0:17"; empty where no position is known yet.
std::string place_in(const nlohmann::json& object);

} // namespace reseq::ctl
