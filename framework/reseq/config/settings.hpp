/// Everything a program of reseq is told by its user, as plain values: what `load` yields.
/// Each key's meaning, bounds and default stand in `options.cpp`; nothing here is checked again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/settings.hpp"

namespace reseq::config {

struct node_settings {
  std::string name; ///< never empty after `load`: the host's name stands in
  std::string data_dir;
  duration drain_timeout{};

  friend bool operator==(const node_settings&, const node_settings&) = default;
};

struct store_settings {
  std::string kind;     ///< "embedded" or "postgres"
  std::string postgres; ///< URL; may hold a password
  std::string redis;    ///< likewise; empty: lanes are in memory alone
  duration redis_timeout{};
  duration keep_results_over{}; ///< results of work that took at least that long are kept in Redis
  bool accept_loss = false;     ///< an embedded journal that has gone back in time is recovered at the start
  duration retention{};

  friend bool operator==(const store_settings&, const store_settings&) = default;
};

struct http_settings {
  std::string listen;          ///< HOST:PORT; port 0: any free one
  std::uint64_t max_message{}; ///< bytes of one payload
  std::uint64_t max_batch{};   ///< bytes of one request with many; at least `max_message`
  std::uint64_t max_result{};  ///< bytes of a transform's payload
  std::uint64_t max_carried{}; ///< bytes of one message's carried headers, names and values
  std::string token;           ///< empty: anybody may submit
  std::string control_token;   ///< empty: anybody may look and control

  friend bool operator==(const http_settings&, const http_settings&) = default;
};

struct cluster_settings {
  std::string listen;                   ///< HOST:PORT; port 0: any free one
  std::vector<std::string> supervisors; ///< HOST:PORT each
  std::string token;

  friend bool operator==(const cluster_settings&, const cluster_settings&) = default;
};

struct worker_settings {
  std::uint32_t slots{};              ///< 0: the supervisor starts no worker of its own
  std::vector<std::string> pipelines; ///< empty: all

  friend bool operator==(const worker_settings&, const worker_settings&) = default;
};

struct log_settings {
  std::string level;  ///< "trace", "debug", "info", "warn" or "error"
  std::string format; ///< "text" or "json"

  friend bool operator==(const log_settings&, const log_settings&) = default;
};

struct settings {
  node_settings node;
  store_settings store;
  http_settings http;
  cluster_settings cluster;
  worker_settings worker;
  log_settings log;
  std::vector<pipeline_settings> pipelines; ///< unique names; the composed ones first

  friend bool operator==(const settings&, const settings&) = default;
};

} // namespace reseq::config
