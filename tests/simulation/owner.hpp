/// One life of the shard's owner: the production state machines, wired as the actors of `actors/` wire them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/submission.hpp"
#include "reseq/store/group_commit.hpp"
#include "workers.hpp"

namespace reseq::simulation {

class world;

/// As `actors/journal_writer`: group commit.
class writer {
public:
  explicit writer(world& with);

  void submit(std::vector<submission> wanted, store::group_commit::answer_to done);
  void save(core::journal_change change);
  void taken(std::uint64_t bytes);

private:
  void go_on();
  void commit();
  void tell(store::group_commit::news& news);

  world& world_;
  store::group_commit group_;
};

/// As `actors/dispatcher`, with the shard's pipeline, and perhaps another one.
class dispatcher {
public:
  explicit dispatcher(world& with);

  void want(std::vector<core::work_key> withdrawn, std::vector<core::work_request> work,
            std::vector<core::work_key> heads, std::vector<core::work_key> holding);
  void join(std::uint32_t worker, std::uint32_t connection, std::uint32_t slots);
  void answered(std::uint32_t worker, answer item);
  void retire(std::uint32_t worker);
  void down(std::uint32_t worker, core::departure how);

  /// What something is still wanted of, for people; empty when there is nothing.
  [[nodiscard]] std::string wanted() const;
  [[nodiscard]] const core::dispatch_table& table() const { return table_; }
  /// How often the shard's own work has been dispatched.
  [[nodiscard]] std::uint64_t copies_of(core::work_key what) const;

private:
  /// A message of one of the pipelines.
  struct place {
    core::pipeline_index pipeline;
    position at;
    friend auto operator<=>(const place&, const place&) = default;
  };
  struct peer {
    worker_id id;
    std::uint32_t connection = 0;
  };
  struct wish {
    core::chain_index chain;
    core::asking asked;
    std::uint64_t after; ///< so many copies had been sent: those were for an earlier wish
    std::optional<time_point> first_sent;
    std::uint32_t deaths = 0; ///< of workers that had it, since one last survived it
    std::uint32_t losses = 0; ///< likewise: that fell silent
    std::uint32_t sent = 0;   ///< copies that were no hedges
    bool holds_back = false;
  };
  struct job {
    message_ptr message;
    std::vector<wish> wanted;
  };
  struct flight {
    std::uint64_t number; ///< of all copies, in the order in which they were sent
    worker_id worker;
    place of;
    time_point sent;
    std::vector<std::optional<core::chain_index>> chains; ///< empty once it was answered
    std::size_t unanswered = 0;
    bool of_suspects = false;
    bool may_hang = false; ///< sent while something of its pipeline had timed out and was not done
  };
  struct news {
    std::vector<core::finished_work> done;
    std::vector<core::unfinished_work> given_up;
  };

  static std::string name(const place& of);
  [[nodiscard]] bool is_ours(const place& of) const { return of.pipeline == pipeline_; }
  wish* find(const place& of, core::chain_index chain);
  core::asking forget(const place& of, core::chain_index chain);
  void take_result(const place& of, core::chain_index chain, answer& item, news& out);
  /// What the other pipeline's shard would want next.
  void want_of_neighbour();
  void perform(news out = {});
  void check_given_up(const core::given_up& lost);
  /// What a death may have been the fault of; whether that is exactly one suspect.
  bool strike(worker_id dead, core::departure how);
  void check_suspicion(const core::dispatch& copy, core::chain_index chain, const wish& wanted) const;
  void check_company(const core::dispatch& copy) const;
  /// A pipeline of which something hangs leaves room for the other one. Whether something does.
  [[nodiscard]] bool check_share(const core::dispatch& copy) const;
  [[nodiscard]] bool something_hangs(core::pipeline_index of) const;
  /// One chain of a copy that goes out now.
  void check_first_copy(const core::dispatch& copy, wish& wanted);
  void check_hedge(const core::dispatch& copy, const wish& wanted) const;
  /// Whether a copy of the chain runs that cannot have timed out.
  [[nodiscard]] bool runs_in_time(const place& of, const wish& wanted) const;
  /// An attempt is over when no copy of it is in flight, and then once.
  void check_attempts(const place& of, core::chain_index chain, std::uint32_t before);
  [[nodiscard]] std::uint32_t attempts(const place& of, core::chain_index chain) const;
  [[nodiscard]] bool is_wanted(const flight& flown) const;
  void assign();
  void schedule();

  world& world_;
  core::dispatch_table table_;
  core::pipeline_index pipeline_;
  std::optional<core::pipeline_index> next_door_;
  std::map<place, job> jobs_;
  std::map<std::uint32_t, peer> peers_; ///< by worker
  std::unordered_map<worker_id, std::uint32_t> addresses_;
  std::map<dispatch_id, flight> flights_;
  std::map<core::work_key, std::uint64_t> copies_;                                 ///< of the shard's own pipeline
  std::map<std::pair<core::pipeline_index, core::chain_index>, bool> quarantined_; ///< now, of those that ever were
  std::uint64_t sent_ = 0;                                                         ///< copies
  std::uint64_t first_copies_ = 0; ///< of the shard's own pipeline, as hedges
  std::uint64_t hedges_ = 0;
  std::optional<time_point> scheduled_;
};

/// As `actors/shard`.
class shard_host {
public:
  shard_host(world& with, epoch ours);

  void accepted(const std::vector<core::accepted_message>& messages, std::uint64_t bytes);
  void saved(bool durable);
  void backlog(destination_id d, result<std::vector<core::backlog_item>> items);
  void searched(destination_id d, result<core::key_backlog> found);
  void worked(std::vector<core::finished_work> done);
  void gave_up(core::unfinished_work lost);
  void lanes_opened(core::mirror_call_id call, const core::lanes_found& found);
  void lanes_answered(core::mirror_call_id call, const core::lane_answers& answers);
  void lanes_failed(core::mirror_call_id call, const error& why);
  void loaded(result<std::vector<core::stored_result>> found);
  void delivered(destination_id d, core::request_id request, const core::receiver_answer& answer);
  void drain();
  /// An operator is about to have it tried again, or all that are held.
  void retries(destination_id d, std::optional<sequence> seq);
  /// Performs what the machine wants done after any of the above, or after an operator's call on `machine()`.
  void perform();

  /// Every lane keeps to its window.
  void check_windows() const;

  [[nodiscard]] core::shard& machine() { return machine_; }
  /// Who waits for an operation's answer.
  std::map<std::uint64_t, std::function<void(result<std::uint64_t>)>> operators;

private:
  void note_excluded(const core::work_key& what, const core::work_result& done);
  void check_retries(const core::journal_change& change);
  void send(core::send_request request);
  void check_bounds();
  void schedule();

  world& world_;
  core::shard machine_;
  std::map<std::pair<destination_id, sequence>, std::uint64_t> retried_; ///< how often it had been dispatched before
  std::map<core::work_key, core::asking> asked_; ///< the last time; an answer to an earlier one does not count
  std::optional<time_point> scheduled_;
  std::uint64_t most_messages_ = 0;
  bool draining_ = false;
  bool later_epoch_seen_ = false; ///< by a receiver: the journal has to be asked
};

class owner {
public:
  owner(world& with, epoch ours) : number(ours), journal_writer(with), work(with), lanes(with, ours) {}

  const epoch number;
  bool accepts = true; ///< false while it hands over
  writer journal_writer;
  dispatcher work;
  shard_host lanes;
};

} // namespace reseq::simulation
