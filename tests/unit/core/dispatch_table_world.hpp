/// A dispatch table and a slow, obvious model of it, driven by the same random operations. The model follows the
/// table's random choices (which worker, how long a delay) and judges each of them. What drives both stands in
/// `dispatch_table_world.cpp`, the model's own rules in `dispatch_table_model.cpp`, the judging in
/// `dispatch_table_comparison.cpp`.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "reseq/core/dispatch_table.hpp"

namespace dispatch_model {

using namespace reseq;
using namespace reseq::core;
using namespace std::chrono_literals;

enum class phase { due, isolated, backing_off, running, spent };

struct model_task {
  std::uint64_t incarnation = 0;
  asking asked;
  phase now = phase::due;
  bool head = false;
  bool permanent = false;
  bool suspect = false;
  bool holds_back = false;
  bool timed_out = false; // once
  bool crashed = false;   // once
  int deaths = 0;
  int losses = 0;
  std::uint32_t failed = 0;
  std::optional<time_point> first_started;
  time_point until;                // timeout or end of the backoff
  std::vector<dispatch_id> copies; // of the attempt that runs, in the order in which they were sent
  worker_id last_worker;

  bool runs(dispatch_id copy) const { return now == phase::running && std::ranges::find(copies, copy) != copies.end(); }
};

struct model_copy {
  worker_id worker;
  pipeline_index pipeline;
  position at;
  bool of_suspects = false;
  bool risky = false; // it may hang
  time_point sent;
  std::map<chain_index, std::uint64_t> open; // unanswered, with the task's incarnation
  chain_list chains;
};

struct model_worker {
  std::uint32_t slots = 0;
  std::set<pipeline_index> offers;
  int hangs = 0; // 1: in part, 2: as a whole
  std::optional<time_point> hung_until;
};

/// A chain of which a message was found to kill its worker.
struct model_ward {
  int guilt = 0;
  bool quarantined = false;
  std::size_t together = 1; // so many run at once
  duration pause{};
  std::optional<time_point> rests_until;
};

/// Drives the table and the model with the same operations.
class world {
public:
  explicit world(std::uint64_t seed);

  void step();
  /// The table says of everything what the model says.
  void compare() const;
  /// With a worker that answers, everything that is still wanted comes to its end.
  void finish();

  int quarantines = 0; // so far

private:
  std::size_t below(std::size_t bound) { return random_() % bound; }

  task_key any_key();
  const retry_settings& policy(const task_key& key) const { return policies_[key.pipeline.value()]; }

  void submit();
  void make_head() { make_head(any_key()); }
  void make_head(const task_key& key);
  void raise(const task_key& key);
  void withdraw();
  void hold_back();
  void join();
  void leave();
  void leave(worker_id worker, departure how);
  std::set<task_key> blame(worker_id worker, departure how);
  static constexpr int too_much_guilt = 192;

  void convict(const task_key& key);
  void survive(const task_key& key);
  /// What ran there of a quarantined chain ran by itself.
  void rest_after_death_of(worker_id worker);
  bool quarantined(const task_key& key) const;
  /// Since then it is not known exactly what waits where.
  bool had_quarantine(pipeline_index of) const { return quarantines_.contains(of); }
  /// Nobody has a worker for itself.
  bool all_is_open() const { return suspects() == 0 && quarantines_.empty(); }

  /// Copies of its attempt are gone, and others are left.
  void go_on(const task_key& key, model_task& t);
  static phase due_as(const model_task& t) { return t.suspect ? phase::isolated : phase::due; }

  /// Its backoff is over.
  void resume(const task_key& key, model_task& t);
  /// Whether the worker has something unanswered of the task.
  bool is_at(const task_key& key, worker_id worker) const;
  /// A suspect, if it and nothing else is at the worker.
  std::optional<task_key> killer_on(worker_id worker) const;
  std::size_t suspects() const;
  /// Follows which workers hang: every slot taken, and nobody waits for any of it; or a pipeline's share of the slots.
  void watch();
  int how_it_hangs(worker_id id) const;
  static std::size_t share(const model_worker& w);
  /// Copies of the pipeline at the worker that may hang; or those of them that nobody waits for.
  std::size_t risky(worker_id worker, pipeline_index of, bool lost) const;
  bool is_awaited(dispatch_id copy) const;
  /// While a message of it that has timed out is not done, a pipeline's copies may hang.
  bool may_hang(pipeline_index pipeline) const;
  /// Copies at the worker, of suspects or of others, whose attempt is not over.
  std::size_t awaited(worker_id worker, bool of_suspects) const;
  void answer();
  void answer(dispatch_id id, chain_index chain, attempt_end ending);
  void pass();
  void pass(duration time);
  void fail(const task_key& key);
  bool give_up_if_hopeless(const task_key& key);
  void end(const task_key& key);
  void expect_given_up();
  void assign(std::size_t limit);
  /// One dispatch, which must be one that the rules allow at this moment.
  void follow(const dispatch& d);
  /// Suspects run beside nothing else.
  void follow_suspects(const dispatch& d);
  /// A further copy of a head that holds results back, within the budget, and only of what never killed a worker.
  void follow_hedge(const dispatch& d);
  void send(const dispatch& d, bool of_suspects);
  void start(const task_key& key, const dispatch& d);
  /// Rank (0 for heads) and position of what must go next, of one pipeline or of all for which somebody has room.
  std::optional<std::pair<int, position>> best(std::optional<pipeline_index> of) const;
  std::size_t load(worker_id worker) const;
  bool has_room(worker_id worker, pipeline_index pipeline) const;
  std::size_t workers_with_room(pipeline_index pipeline) const;
  std::size_t free_slots() const;
  void compare_counters() const;

  std::mt19937_64 random_;
  dispatch_table table_;
  bool workers_die_; // else they only get lost, nobody is ever a suspect, and the model says exactly what must happen
  bool hedges_;
  bool deadly_; // more of them die
  std::map<std::pair<pipeline_index, chain_index>, model_ward> wards_;
  std::set<pipeline_index> quarantines_;                                   // which ever had one
  std::map<std::pair<pipeline_index, chain_index>, time_point> last_open_; // beside others
  std::map<pipeline_index, std::uint64_t> first_copies_;
  std::map<pipeline_index, std::uint64_t> hedged_;
  time_point now_{};
  std::vector<retry_settings> policies_;
  std::map<task_key, model_task> tasks_;
  std::map<dispatch_id, model_copy> copies_;
  std::map<worker_id, model_worker> workers_;
  std::map<task_key, std::uint32_t> hopeless_;
  asking last_asked_;
  std::uint64_t last_incarnation_ = 0;
  std::set<std::uint64_t> ended_; // by incarnation
  dispatch_counters expected_;
};

} // namespace dispatch_model
