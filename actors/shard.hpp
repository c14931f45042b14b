/// Owns one shard: feeds `core::shard` what happens and carries out what it decides.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/failure_log.hpp"
#include "actors/metrics.hpp"
#include "actors/protocol.hpp"
#include "reseq/core/shard_mirror.hpp"

namespace reseq::actors {

/// Everything a shard's owner needs; `sinks` has one for each destination of the machine.
struct shard_setup {
  std::string pipeline;
  store::shard_handle handle;
  core::pipeline_index index; ///< at the dispatcher
  epoch owner;
  std::shared_ptr<core::shard> machine;
  std::unordered_map<destination_id, sink_actor> sinks;
  std::set<destination_id> transactional; ///< those whose receivers keep a record of owners
  journal_actor journal;
  reader_actor reader;
  dispatcher_actor dispatcher;
  resequencer_actor resequencer; ///< null when the lanes are in memory alone
  std::shared_ptr<metrics> measured;
  std::vector<store::destination_state> known{}; ///< for a recovery: what the journal had of them at the start
  store::rewinding back{}; ///< for a recovery: of receivers that have gone back further than the journal reaches
};

/// What producers are told when a shard has diverged.
refuse refusal(const shard_setup& of, const std::string& why);

/// A request to a receiver, as far as it is measured.
struct handed_over_request {
  time_point when;
  std::vector<exact_wall_time> received; ///< its messages
};

/// How long after the journal was asked whose the shard is, and has said so, that is taken to be so.
constexpr duration least_ownership = std::chrono::seconds{1};

struct shard_state {
  static inline const char* name = "shard";

  shard_actor::behavior_type make_behavior(shard_actor::stateful_pointer<shard_state> to_self, shard_setup with);

  void on(accepted& news);
  void on(const saved& outcome);
  void on(backlog& piece);
  void on(searched& piece);
  void on(work_done& done);
  void on(lanes_told& answer);
  void on(results_loaded& loaded);
  void on(const still_owned& answer);
  void on(const no_later_owner& news);
  void on(const journal_gone_back& news);
  void on(const delivered& answer);
  void on(const operate& wish);
  void on(recover& wish);
  void on(const ask_status& question);
  void on(const ask_sequences& question);

  void perform();
  void send_work(core::effects& todo);
  void send();
  void was_owner(time_point when);
  void ask_owner();
  void remember(const core::send_request& what);
  void measure(const handed_over_request& sent, const core::receiver_answer& answer);
  void begin_counting();
  [[nodiscard]] prometheus::Labels labels_of(destination_id which) const;
  void count(const delivered& answer);
  void log(const delivered& answer);
  void log(const core::abandoned_message& what);
  void log_drifts();
  void diverge(const std::string& why);
  void check_ownership(std::string why);
  void schedule();
  [[nodiscard]] time_point now() const;

  shard_actor::stateful_pointer<shard_state> self = nullptr;
  shard_setup setup;
  std::map<std::uint64_t, reply<std::uint64_t>> operators;
  std::uint64_t next_token = 1;
  std::vector<reply<bool>> draining;
  std::optional<time_point> scheduled;
  std::optional<time_point> owned_at; ///< when the journal was asked that said last that the shard is ours
  duration ownership_lasts = least_ownership;
  bool asks_owner = false;                 ///< or has a while ago, and there was no answer
  std::vector<core::send_request> to_send; ///< held back until it is known
  std::map<std::pair<destination_id, core::request_id>, handed_over_request> handed_over; ///< under way
  std::vector<core::abandoned_message> abandoned;        ///< told once that is saved, after what operators did before
  std::vector<core::abandoned_message> abandoned_saving; ///< those that are being saved
  failure_log failures;
  prometheus::Counter* accepted_so_far = nullptr;
  prometheus::Histogram* end_to_end = nullptr;
  std::unordered_map<destination_id, delivery_counters> deliveries;
  std::uint64_t out_of_order_seen = 0;
  std::array<std::uint64_t, core::drift_kinds> drifts_seen{};
  std::array<std::pair<std::uint64_t, std::optional<time_point>>, core::drift_kinds> drifts_told{}; ///< how many, when
  std::uint64_t adopted_seen = 0;
  std::string later_owner_seen;      ///< in words, if a transactional receiver has answered so last
  bool told_of_wrong_record = false; ///< of another receiver
  bool gone_back = false;            ///< the journal has, while this ran
};

} // namespace reseq::actors
