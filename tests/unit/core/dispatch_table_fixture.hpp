/// What the examples about the dispatch table start from.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "catch.hpp"
#include "reseq/core/dispatch_table.hpp"

namespace dispatch_example {

using namespace reseq;
using namespace reseq::core;
using namespace std::chrono_literals;

inline constexpr chain_index common{0};

/// One pipeline, whose retries follow each other without a random delay unless a test wants one.
struct fixture {
  static retry_settings prompt() {
    retry_settings policy;
    policy.jitter = 0s;
    return policy;
  }

  explicit fixture(const retry_settings& policy = prompt()) : main(table.add_pipeline(policy)) {}

  [[nodiscard]] task_key key(std::uint64_t at, chain_index chain = common) const { return {main, position{at}, chain}; }
  worker_id join(std::uint32_t slots) { return table.join(slots, {main}); }
  void submit(std::uint64_t at, bool head = false) { table.submit(key(at), head, now); }

  void pass(duration time) {
    now += time;
    table.tick(now);
  }

  /// What is dispatched now, which must be one copy.
  dispatch only() {
    auto all = table.assign(now);
    REQUIRE(all.size() == 1);
    return all.front();
  }

  bool answer(const dispatch& d, attempt_end end, const std::string& error = {}) {
    return table.answer(d.worker, d.id, d.chains.front(), end, error, now).has_value();
  }

  /// Fails until `give_up_after` and `max_attempts` are behind; returns the number of failed attempts.
  std::uint32_t exhaust() {
    const auto end = now + 60s;
    std::uint32_t failed = 0;
    while (now < end || failed < 5) {
      REQUIRE(answer(only(), attempt_end::failed, "no luck"));
      ++failed;
      pass(12s);
    }
    return failed;
  }

  std::vector<std::uint64_t> positions(std::size_t limit = SIZE_MAX) {
    std::vector<std::uint64_t> out;
    for (const auto& d : table.assign(now, limit)) out.push_back(d.at.value());
    return out;
  }

  dispatch_table table{1};
  pipeline_index main;
  time_point now{};
};

} // namespace dispatch_example
