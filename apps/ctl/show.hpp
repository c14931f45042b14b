/// The API's answers as tables for people. Every time is relative to `now`; `pipeline` is a pipeline's name.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reseq/model/clock.hpp"

namespace reseq::ctl {

/// A destination a line; `pipelines` are as `GET /v1/pipelines/{p}` answers.
std::string show_pipelines(const std::vector<nlohmann::json>& pipelines, wall_time now);

/// Everything about one destination, a field a line.
std::string show_destination(const std::string& pipeline, const nlohmann::json& destination, wall_time now);

/// One message, a line for each of its destinations, and the attempts that are known.
std::string show_message(const std::string& pipeline, const nlohmann::json& message, wall_time now);

/// What one pipeline answered.
struct list_of {
  std::string pipeline;
  nlohmann::json list;
};

std::string show_held(const std::vector<list_of>& held, wall_time now);

std::string show_dead_letters(const std::vector<list_of>& letters, wall_time now);

std::string show_receipt(const std::string& pipeline, const nlohmann::json& receipt);

/// What a recovery did, or would do; `take_over`: with records of other installations.
std::string show_recovery(const std::string& pipeline, const nlohmann::json& recovery, bool take_over = false);

/// One attempt of a transform: "attempt 2 on worker a: timed out after 2s, 40s ago: ERROR".
std::string show_attempt(const nlohmann::json& attempt, wall_time now);

} // namespace reseq::ctl
