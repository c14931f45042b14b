/// Answers as a supervisor gives them, for what shows them.
#pragma once

#include <chrono>
#include <string>

#include <nlohmann/json.hpp>

#include "reseq/model/clock.hpp"

namespace reseq::ctl::test {

/// The time that these answers are about.
inline const wall_time now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 21} + std::chrono::hours{12};

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

inline nlohmann::json head(const std::string& phase) {
  return {{"sequence", 12},       {"shard", 0},        {"position", 17},
          {"id", "order-17"},     {"phase", phase},    {"since", "2026-11-21T11:56:48.000Z"},
          {"attempts", 0},        {"ready_behind", 3}, {"next_attempt", nullptr},
          {"last_error", nullptr}};
}

inline nlohmann::json destination(const std::string& state, nlohmann::json blocked_by) {
  return {{"name", "billing"},
          {"state", state},
          {"accepted", 20},
          {"settled", 11},
          {"lag", 9},
          {"pending", 5},
          {"ready", 3},
          {"delivered", 8},
          {"redelivered", 0},
          {"held", state == "held" ? 1 : 0},
          {"owner", "a"},
          {"epoch", 2},
          {"blocked_by", std::move(blocked_by)}};
}

inline nlohmann::json hold(const std::string& reason) {
  return {{"destination", "billing"},
          {"sequence", 12},
          {"shard", 0},
          {"position", 17},
          {"reason", reason},
          {"attempts", 5},
          {"last_error", "enrich: no customer\x1b[31m"},
          {"since", "2026-11-21T11:58:00.000Z"}};
}

inline nlohmann::json running_attempt() {
  return {{"attempt", 3},     {"worker", "b"},        {"started", "2026-11-21T11:59:58.000Z"},
          {"ended", nullptr}, {"outcome", "running"}, {"error", nullptr}};
}

inline nlohmann::json failed_attempt() {
  return {{"attempt", 2},
          {"worker", "a"},
          {"started", "2026-11-21T11:59:48.000Z"},
          {"ended", "2026-11-21T11:59:50.000Z"},
          {"outcome", "failed"},
          {"error", "enrich: refused"}};
}

} // namespace reseq::ctl::test
