/// What a pipeline is and how it is tuned, as plain values. Built by the configuration or the C++ builder,
/// checked once, then only read. Every number here is documented and bounded in `config/options.cpp`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reseq/model/clock.hpp"

namespace reseq {

/// What happens to a message that used up its attempts, or that a receiver refused.
enum class give_up { hold, dead_letter };

/// What a destination gets in order.
enum class delivery_order {
  total, ///< all its messages
  key,   ///< the messages of each key; those without one are a key too
};

/// When and how often a chain is tried again.
struct retry_settings {
  duration timeout = std::chrono::seconds{2};       ///< of the first attempt
  duration jitter = std::chrono::seconds{1};        ///< largest random delay before the second attempt
  double multiplier = 2.0;                          ///< both grow by this with each attempt; at least 1
  duration max_timeout = std::chrono::minutes{1};   ///< neither grows beyond this
  std::uint32_t max_attempts = 5;                   ///< at least 1
  duration give_up_after = std::chrono::minutes{1}; ///< and not before this much time since the first attempt
  bool hedge = true; ///< a head that holds ready results back for longer than usual gets another copy
  give_up on_exhausted = give_up::hold;

  friend bool operator==(const retry_settings&, const retry_settings&) = default;
};

/// The built-in `delay` transform: takes time and now and then misbehaves, from a seed.
struct delay_settings {
  enum class shape { uniform, exponential, fixed };
  duration min{};
  duration max{}; ///< `fixed` takes `min`; `exponential` has mean `min` and ends at `max` if that is set
  shape distribution = shape::uniform;
  double fail_rate = 0;   ///< share of attempts that fail, 0 to 1
  double hang_rate = 0;   ///< share of attempts that never answer
  double crash_rate = 0;  ///< share of attempts that kill the worker process
  std::uint64_t seed = 0; ///< 0: another one each start

  friend bool operator==(const delay_settings&, const delay_settings&) = default;
};

/// One step of a chain.
struct transform_settings {
  std::string use;      ///< the name it is registered under
  std::string version;  ///< the author's, part of the fingerprint; may be empty
  delay_settings delay; ///< for `use = "delay"`

  friend bool operator==(const transform_settings&, const transform_settings&) = default;
};

struct destination_settings {
  std::string name;
  std::string url; ///< http:// or file://
  delivery_order order = delivery_order::total;
  std::uint32_t connections = 8;                ///< order by key: requests at once
  std::uint32_t max_blocked_keys = 1024;        ///< order by key: keys that are left out of the window
  std::uint32_t batch = 1;                      ///< messages one request may carry
  duration timeout = std::chrono::seconds{30};  ///< of one request
  std::uint32_t window = 1024;                  ///< pending and ready at once, in messages
  std::uint64_t window_bytes = 64U << 20U;      ///< and in bytes; the head is admitted whatever its size
  std::uint64_t max_pending = 1'000'000;        ///< accepted and not settled; past it: 429
  std::uint32_t max_unsaved = 256;              ///< sent ahead of saved progress; at least `batch`
  duration retry_max = std::chrono::minutes{1}; ///< longest wait between two tries of a failing receiver
  give_up on_refused = give_up::hold;
  std::uint32_t max_dead_letters = 100;       ///< in a row; then the lane is held
  std::map<std::string, std::string> when;    ///< header → shell glob; all must match; empty: always
  std::vector<transform_settings> transforms; ///< its own, after the pipeline's
  bool in_transaction = false; ///< C++ composed it as a function that takes the messages; `url` names its database

  friend bool operator==(const destination_settings&, const destination_settings&) = default;
};

struct pipeline_settings {
  std::string name;
  std::vector<std::string> carry = {"traceparent", "tracestate", "ce-*"}; ///< headers that destinations get
  retry_settings retry;
  std::vector<transform_settings> transforms;
  std::vector<destination_settings> destinations;

  friend bool operator==(const pipeline_settings&, const pipeline_settings&) = default;
};

} // namespace reseq
