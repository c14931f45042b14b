#include "actors/api/json.hpp"

#include <chrono>
#include <cstdio>
#include <ctime>

namespace reseq::actors::api {

using nlohmann::json;

std::string_view name_of(core::lane_state state) {
  switch (state) {
  case core::lane_state::running: return "running";
  case core::lane_state::paused: return "paused";
  case core::lane_state::held: return "held";
  case core::lane_state::failing: return "failing";
  case core::lane_state::diverged: return "diverged";
  }
  return "unknown";
}

std::string_view name_of(core::hold_reason reason) {
  switch (reason) {
  case core::hold_reason::exhausted: return "exhausted";
  case core::hold_reason::permanent: return "permanent";
  case core::hold_reason::refused: return "refused";
  case core::hold_reason::dead_letters: return "dead_letters";
  }
  return "unknown";
}

std::string timestamp(wall_time when) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(when);
  const auto at = std::chrono::system_clock::to_time_t(whole);
  std::tm parts{};
  gmtime_r(&at, &parts);
  char text[40];
  const auto length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + length, sizeof text - length, ".%03dZ", static_cast<int>((when - whole).count()));
  return text;
}

wall_time to_wall(time_point when) {
  const auto away = when - std::chrono::steady_clock::now();
  return std::chrono::time_point_cast<std::chrono::milliseconds>(
    std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(away));
}

json to_json(const api_pipeline& of, const core::held_record& held) {
  return {{"destination", of.name_of(held.destination)},
          {"sequence", held.seq.value()},
          {"shard", 0},
          {"position", held.at.value()},
          {"reason", name_of(held.reason)},
          {"attempts", held.attempts},
          {"last_error", held.last_error},
          {"since", timestamp(held.since)}};
}

namespace {

json to_json(const core::blocked_by& head) {
  json made{{"sequence", head.seq.value()}, {"shard", 0},
            {"position", head.at.value()},  {"id", head.message_id},
            {"phase", head.phase},          {"since", timestamp(to_wall(head.since))},
            {"attempts", head.attempts},    {"ready_behind", head.ready_behind}};
  made["asked_at"] = head.asked_at ? json(timestamp(to_wall(*head.asked_at))) : json(nullptr);
  made["next_attempt"] = head.next_attempt ? json(timestamp(to_wall(*head.next_attempt))) : json(nullptr);
  made["last_error"] = head.last_error.empty() ? json(nullptr) : json(head.last_error);
  if (head.key) made["key"] = head.key->empty() ? json(nullptr) : json(*head.key);
  return made;
}

} // namespace

json to_json(const api_pipeline& of, const core::destination_status& status) {
  json made{{"name", status.name},
            {"state", name_of(status.state)},
            {"accepted", status.accepted.value()},
            {"settled", status.settled.value()},
            {"lag", status.lag},
            {"pending", status.pending},
            {"ready", status.ready},
            {"delivered", status.delivered},
            {"redelivered", status.redelivered},
            {"held", status.held.size()},
            {"owner", ""},
            {"epoch", of.owner.value()},
            {"blocked_by", status.head ? to_json(*status.head) : json(nullptr)}};
  if (!status.reason.empty()) made["reason"] = status.reason;
  if (!status.by_key) return made;
  made["oldest_keys"] = json::array();
  for (const auto& head : status.heads) made["oldest_keys"].push_back(to_json(head));
  made["parked_keys"] = status.parked;
  return made;
}

json to_json(const named_task_status& task) {
  json attempts = json::array();
  for (std::size_t i = 0; i < task.status.history.size(); ++i) {
    const auto& one = task.status.history[i];
    attempts.push_back({{"attempt", one.number.value()},
                        {"worker", task.workers[i]},
                        {"started", timestamp(to_wall(one.started))},
                        {"ended", one.ended ? json(timestamp(to_wall(*one.ended))) : json(nullptr)},
                        {"hedge", one.hedge},
                        {"outcome", one.outcome},
                        {"error", one.error.empty() ? json(nullptr) : json(one.error)}});
  }
  return {
    {"failed", task.status.attempts},
    {"quarantined", task.status.quarantined},
    {"suspect", task.status.suspect},
    {"spent", task.status.spent},
    {"workers", task.status.workers.workers},
    {"workers_apart", task.status.workers.apart},
    {"slots", task.status.workers.slots},
    {"hanging_slots", task.status.workers.hanging},
    {"last_error", task.status.last_error.empty() ? json(nullptr) : json(task.status.last_error)},
    {"next_attempt", task.status.next_attempt ? json(timestamp(to_wall(*task.status.next_attempt))) : json(nullptr)},
    {"history", std::move(attempts)}};
}

} // namespace reseq::actors::api
