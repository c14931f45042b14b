/// Every actor of a supervisor and a worker, and everything they say to each other: start here.
///
///   HTTP ──submit──► journal ──accepted──► shard ──work_wanted──► dispatcher ──orders──► worker (another process)
///                      ▲  │                │  ▲                      │  ▲                   │
///                 save │  └─────saved─────►│  └────work_done─────────┘  └──────answers──────┘
///                      └───────────────────┤
///                                          ├──read──► reader ──backlog──► shard
///                                          ├──tell_lanes──► resequencer ──lanes_told──► shard
///                                          └──deliver──► sink ──delivered──► shard
///
/// Data goes one way, in batches, without replies; what limits each arrow stands beside its message. Requests exist
/// only at the edges (HTTP, the handshake), carried by `reply` or by CAF with a timeout. Within a process messages
/// share immutable data by pointer; only what `wire_types.hpp` defines crosses the network.
#pragma once

#include <cstdint> // before CAF, which forgets it

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/atom.hpp>
#include <caf/replies_to.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>

#include "actors/reply.hpp"
#include "actors/wire_types.hpp"
#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/records.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/submission.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/receiver_survey.hpp"

namespace reseq::actors {

/// HTTP → journal. Bounded by the HTTP server: requests that wait for their receipts count as buffered there.
struct submit {
  store::shard_handle shard;
  std::vector<submission> submissions;
  reply<std::vector<result<receipt>>> done; ///< once durable; an error when nothing of it happened
  /// Whoever sets it first decides: the journal, which takes the submission up, or who has it wait no longer, answers
  /// `done` himself, and knows that nothing of it will happen. Null: nobody else may.
  std::shared_ptr<std::atomic<bool>> decided{};
};

/// shard → journal: what must be remembered. One at a time for each shard.
struct save {
  store::shard_handle shard;
  core::journal_change change;
};

/// journal → shard: is `save` durable?
struct saved {
  bool durable = false;
  time_point asked; ///< when that commit began: if it worked, the shard was still this owner's then
};

/// journal → shard: new messages, durable. Bounded by `accepted_taken`.
struct accepted {
  std::vector<core::accepted_message> messages;
  std::uint64_t bytes = 0;
  time_point asked; ///< as in `saved`
};

/// shard → journal: they have been taken in.
struct accepted_taken {
  std::uint64_t bytes = 0;
};

/// shard → reader: a piece of a backlog, or a search of it for keys. One at a time for each destination.
struct read_backlog {
  store::shard_handle shard;
  core::read_request what;
};

/// reader → shard.
struct backlog {
  destination_id destination;
  result<std::vector<core::backlog_item>> items;
};
struct searched {
  destination_id destination;
  result<core::key_backlog> found;
};

/// shard → dispatcher. Bounded by the windows.
struct work_wanted {
  core::pipeline_index pipeline;
  std::vector<core::work_key> withdrawn;
  std::vector<core::work_request> work;
  std::vector<core::work_key> heads;
  std::vector<core::work_key> holding = {};
};

/// dispatcher → shard: first answers, and what was given up.
struct work_done {
  std::vector<core::finished_work> done;
  std::vector<core::unfinished_work> given_up;
};

/// shard → resequencer: what happened in the lanes. One at a time.
struct tell_lanes {
  core::mirror_call call;
};

/// resequencer → shard: one of the three.
struct lanes_told {
  core::mirror_call_id call;
  std::optional<core::lanes_found> found;
  std::optional<core::lane_answers> answers;
  std::optional<error> trouble;
};

/// reader → shard, which was asked for the epoch: nobody has taken the shard over; or nothing, it cannot be asked.
struct still_owned {
  std::optional<time_point> asked;
};

/// journal → shard, where somebody who keeps a record of owners said that there is one: the journal has gone back then.
struct no_later_owner {
  std::string why; ///< in words: who said so
};

/// journal → shard: it was found to lack what it had confirmed.
struct journal_gone_back {
  std::string why; ///< in words: what was seen
};

/// shard → resequencer, after a takeover: results that an owner before may have left. One at a time.
struct load_results {
  std::vector<core::work_key> keys;
};

/// resequencer → shard.
struct results_loaded {
  result<std::vector<core::stored_result>> found;
};

/// shard → sink. One at a time; with order by key as many as it has connections.
struct deliver {
  core::send_request request;
};

/// shard → sink, for a recovery: what the receiver remembers; nothing if it does not. `take_over`: a record of another
/// journal is this journal's from then on, if what waits here comes after what that one has used: up to this sequence
/// everything is settled.
struct ask_received {
  reply<std::optional<store::receiver_record>> done;
  std::optional<sequence> take_over;
};

/// sink → shard.
struct delivered {
  destination_id destination;
  core::request_id request;
  core::receiver_answer answer;
};

/// shard → journal: nothing is accepted for it any more.
struct refuse {
  store::shard_handle shard;
  error why;
};

/// An operator's, by HTTP → shard (which asks its sinks, and the reader) → resequencer, if there is one → journal: a
/// shard that has diverged goes on past what was seen of the history that its journal has lost, once it is opened
/// again.
struct recover {
  store::shard_handle shard;
  bool dry_run = true;
  reply<store::recovery> done;                  ///< what is to be done, or was
  std::string why{};                            ///< what the shard saw
  core::lanes_seen seen{};                      ///< what the resequencer has
  std::vector<store::receiver_seen> received{}; ///< what those sinks know that could be asked
  store::rewinding back{};                      ///< what receivers lack, and the journal does not have any more
  bool take_over = false;                       ///< records of other journals, too; else these refuse it
};

/// Operators, by HTTP → shard.
struct operate {
  enum class kind { pause, resume, retry, skip };
  kind what = kind::pause;
  destination_id destination;
  std::optional<sequence> seq;
  reply<std::uint64_t> done; ///< how many messages it changed, once durable
};

/// HTTP → shard: where everything stands.
struct ask_status {
  std::optional<destination_id> destination; ///< all when absent
  reply<std::vector<core::destination_status>> done;
};

/// HTTP → shard: what one message does at each of its destinations.
struct ask_sequences {
  std::vector<core::enrolment> of;
  std::string key; ///< the message's
  reply<std::vector<core::sequence_status>> done;
};

/// HTTP → dispatcher: the attempts of one chain, as far as it is known there.
struct named_task_status {
  core::task_status status;
  std::vector<std::string> workers; ///< their names, one for each attempt in the history
};
struct ask_task {
  core::task_key key;
  bool given_up = false; ///< those that it was given up after, the last time; else those of what is worked on now
  reply<std::optional<named_task_status>> done;
};

/// HTTP → reader.
struct ask_message {
  store::shard_handle shard;
  std::optional<position> at; ///< else by `id`
  std::string id;
  reply<std::optional<store::stored_message>> done;
};
struct ask_dead_letters {
  store::shard_handle shard;
  std::optional<core::enrolment> after;
  std::uint32_t limit = 100;
  reply<std::vector<store::dead_letter>> done;
};
struct ask_end {
  store::shard_handle shard;
  core::enrolment of; ///< settled
  reply<store::recorded_end> done;
};
struct ask_epoch {
  store::shard_handle shard;
  reply<epoch> done;
};

/// shard → reader, for a recovery: see `store::find_other_history`.
struct ask_other_history {
  store::shard_state shard;
  std::vector<store::receiver_seen> seen;
  reply<std::optional<std::string>> done;
};

/// What a supervisor's own log and metrics want of its dispatcher.
struct dispatcher_status {
  core::dispatch_counters counters;
  std::vector<std::string> workers;
  std::uint64_t slots = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t waiting = 0;
  std::uint64_t suspects = 0; ///< chains that may kill their worker
  std::uint64_t worker_deaths = 0;
};
struct ask_dispatcher {
  reply<dispatcher_status> done;
};

/// supervisor → shard: stop sending; answered when nothing is under way and everything is saved.
struct drain {
  reply<bool> done;
};

/// Timers of the actors themselves; `at` tells an outdated one.
struct wake {
  time_point at{};
};
struct flush {};
struct probe {};

/// The actors.
using shard_actor =
  caf::typed_actor<caf::reacts_to<accepted>, caf::reacts_to<saved>, caf::reacts_to<backlog>, caf::reacts_to<searched>,
                   caf::reacts_to<work_done>, caf::reacts_to<delivered>, caf::reacts_to<lanes_told>,
                   caf::reacts_to<results_loaded>, caf::reacts_to<still_owned>, caf::reacts_to<no_later_owner>,
                   caf::reacts_to<journal_gone_back>, caf::reacts_to<operate>, caf::reacts_to<recover>,
                   caf::reacts_to<ask_status>, caf::reacts_to<ask_sequences>, caf::reacts_to<drain>,
                   caf::reacts_to<probe>, caf::reacts_to<wake>>;

/// Owns the journal's writing side. Detached: it blocks in fsync, or waits for a server.
using journal_actor =
  caf::typed_actor<caf::reacts_to<store::shard_handle, shard_actor>, caf::reacts_to<submit>, caf::reacts_to<save>,
                   caf::reacts_to<accepted_taken>, caf::reacts_to<refuse>, caf::reacts_to<recover>,
                   caf::reacts_to<flush>, caf::reacts_to<probe>, caf::reacts_to<wake>>;

/// Owns the journal's reading side. Detached.
using reader_actor = caf::typed_actor<caf::reacts_to<read_backlog, shard_actor>, caf::reacts_to<ask_message>,
                                      caf::reacts_to<ask_dead_letters>, caf::reacts_to<ask_end>,
                                      caf::reacts_to<ask_epoch>, caf::reacts_to<ask_other_history>>;

/// Logs that the journal hangs. Nobody talks to it.
using journal_watch_actor = caf::typed_actor<caf::reacts_to<wake>>;

/// Owns the connection to a shard's resequencer, where there is one. Detached.
using resequencer_actor =
  caf::typed_actor<caf::reacts_to<tell_lanes, shard_actor>, caf::reacts_to<load_results, shard_actor>,
                   caf::reacts_to<recover, journal_actor>>;

/// Owns the connections to one receiver.
using sink_actor = caf::typed_actor<caf::reacts_to<deliver>, caf::reacts_to<ask_received>>;

/// A worker process, seen from the supervisor.
using worker_actor = caf::typed_actor<caf::reacts_to<welcome>, caf::reacts_to<orders>, caf::reacts_to<dismissed>>;

/// What a worker finds at `cluster.listen`. The dispatcher's only door to the network.
using gate_actor = caf::typed_actor<caf::reacts_to<hello, worker_actor>, caf::reacts_to<answers>, caf::reacts_to<pulse>,
                                    caf::replies_to<farewell>::with<caf::ok_atom>>;

/// Owns the dispatch table.
using dispatcher_actor =
  gate_actor::extend<caf::reacts_to<core::pipeline_index, shard_actor>, caf::reacts_to<work_wanted>,
                     caf::reacts_to<ask_task>, caf::reacts_to<ask_dispatcher>, caf::reacts_to<wake>>;

} // namespace reseq::actors

CAF_BEGIN_TYPE_ID_BLOCK(reseq, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(reseq, (reseq::header))
CAF_ADD_TYPE_ID(reseq, (reseq::header_list))
CAF_ADD_TYPE_ID(reseq, (reseq::actors::hello))
CAF_ADD_TYPE_ID(reseq, (reseq::actors::welcome))
CAF_ADD_TYPE_ID(reseq, (reseq::actors::order))
CAF_ADD_TYPE_ID(reseq, (reseq::actors::orders))
CAF_ADD_TYPE_ID(reseq, (reseq::actors::answer))
CAF_ADD_TYPE_ID(reseq, (reseq::actors::answers))
CAF_ADD_TYPE_ID(reseq, (reseq::actors::farewell))
CAF_ADD_TYPE_ID(reseq, (reseq::actors::worker_actor))
CAF_ADD_TYPE_ID(reseq, (reseq::actors::pulse))
CAF_ADD_TYPE_ID(reseq, (reseq::actors::dismissed))
CAF_END_TYPE_ID_BLOCK(reseq)

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::submit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::save)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::saved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::accepted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::accepted_taken)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::read_backlog)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::backlog)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::searched)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::work_wanted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::work_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::tell_lanes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::lanes_told)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::load_results)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::results_loaded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::still_owned)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::no_later_owner)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::journal_gone_back)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::refuse)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::recover)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::deliver)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::delivered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::ask_received)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::operate)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::ask_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::ask_sequences)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::ask_task)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::ask_message)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::ask_dead_letters)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::ask_end)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::ask_epoch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::ask_other_history)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::ask_dispatcher)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::drain)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::wake)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::flush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::actors::probe)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::store::shard_handle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reseq::core::pipeline_index)
