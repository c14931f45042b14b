/// Owns the dispatch table: takes work from the shards, gives it to workers, passes first answers back.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/metrics.hpp"
#include "actors/protocol.hpp"
#include "actors/quarantine_log.hpp"
#include "reseq/core/dispatch_table.hpp"

namespace reseq::actors {

/// A pipeline as the dispatcher knows it.
struct dispatched_pipeline {
  std::string name;
  std::string fingerprint; ///< of its transforms; workers must have the same
  retry_settings retry;
  std::map<std::string, destination_id> destinations;
};

struct dispatcher_setup {
  std::vector<dispatched_pipeline> pipelines; ///< `core::pipeline_index` counts them from 0
  std::string token;                          ///< what workers must show
  std::uint64_t seed = 0;
  std::shared_ptr<metrics> measured;
};

struct dispatcher_state {
  static inline const char* name = "dispatcher";

  /// A connected worker.
  struct peer {
    worker_id id;
    worker_actor handle;
    std::string node; ///< its name, with a number behind it while others have the same
    std::uint32_t slots = 0;
    time_point heard{}; ///< when it last said anything
    bool leaving = false;
    bool dismissed = false;
  };

  struct served {
    dispatched_pipeline is;
    shard_actor shard;
    std::map<destination_id, std::string> names;
  };

  dispatcher_actor::behavior_type make_behavior(dispatcher_actor::stateful_pointer<dispatcher_state> to_self,
                                                dispatcher_setup with);

  void on(work_wanted& wanted);
  void on(const hello& who, const worker_actor& handle);
  void on(answers& given);
  void on(const farewell& leaving);
  void on_pulse();
  void on_down(const caf::actor_addr& gone, const std::string& why);

  [[nodiscard]] std::string reason_to_refuse(const hello& who) const;
  std::vector<core::pipeline_index> offered(const hello& who, welcome& reply) const;
  void join(const hello& who, const worker_actor& handle);
  [[nodiscard]] std::string free_name(const std::string& node) const;
  void drop(const caf::actor_addr& gone, core::departure how);
  void log_end(const peer& gone, core::departure how, const std::string& why);
  void dismiss_hung();
  void log_quarantines();

  void take(peer& from, answer& item, std::map<core::pipeline_index, work_done>& news);
  static void refuse_strangers(const served& pipeline, answer& item);
  [[nodiscard]] core::work_result to_result(const served& pipeline, const message_ptr& message, answer& item) const;

  void perform(std::map<core::pipeline_index, work_done> news = {});
  void assign();
  [[nodiscard]] order make_order(core::dispatch copy) const;
  void schedule();
  [[nodiscard]] std::optional<named_task_status> inspect(const ask_task& question) const;
  [[nodiscard]] named_task_status with_names(core::task_status status) const;
  void remember(const core::task_key& key, core::task_status status);
  [[nodiscard]] dispatcher_status status() const;
  [[nodiscard]] time_point now() const;

  dispatcher_actor::stateful_pointer<dispatcher_state> self = nullptr;
  dispatcher_setup setup;
  std::unique_ptr<core::dispatch_table> table;
  std::vector<served> pipelines;
  std::map<caf::actor_addr, peer> peers;
  std::unordered_map<worker_id, caf::actor_addr> addresses;
  std::map<worker_id, std::string> node_names;          ///< also of the last that have gone, for attempt histories
  std::map<core::task_key, named_task_status> given_up; ///< the last ones: another destination may want the same work
  std::deque<core::task_key> given_up_order;            ///< the oldest first
  quarantine_log quarantines;
  core::dispatch_counters published;
  std::optional<time_point> scheduled;
  std::uint64_t deaths = 0;
};

} // namespace reseq::actors
