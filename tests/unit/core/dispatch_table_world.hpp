/// A dispatch table and a slow, obvious model of it, driven by the same random operations. The model follows the
/// table's random choices (which worker, how long a delay) and judges each of them.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/retry_policy.hpp"

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
  explicit world(std::uint64_t seed)
    : random_(seed), table_(seed), workers_die_(seed % 2 == 0), hedges_(seed % 3 == 0), deadly_(seed % 4 == 0) {
    retry_settings usual;
    usual.give_up_after = 10s;
    usual.max_attempts = 3;
    retry_settings hasty;
    hasty.timeout = 100ms;
    hasty.jitter = 0s;
    hasty.max_timeout = 300ms;
    hasty.max_attempts = 2;
    hasty.give_up_after = 0s;
    usual.hedge = hasty.hedge = hedges_;
    if (hedges_) usual.timeout = 20s; // longer than the work takes
    for (const auto& policy : {usual, hasty, usual}) {
      policies_.push_back(policy);
      table_.add_pipeline(policy);
    }
  }

  void step() {
    const auto dice = below(100);
    const auto more = hedges_ ? below(6) : 6;
    if (more == 0)
      hold_back();
    else if (more < 3)
      answer();
    else if (dice < 25)
      submit();
    else if (dice < 30)
      make_head();
    else if (dice < 33)
      withdraw();
    else if (dice < 36)
      join();
    else if (dice < (deadly_ ? 50 : 38))
      leave();
    else if (dice < 65)
      answer();
    else if (dice < 80)
      pass();
    else
      assign(below(4) == 0 ? below(3) : SIZE_MAX);
    watch();
  }

  /// The table says of everything what the model says.
  void compare() const {
    std::size_t running = 0;
    std::optional<time_point> deadline;
    for (const auto& [key, t] : tasks_) {
      const auto status = table_.inspect(key);
      REQUIRE(status.has_value());
      REQUIRE(status->attempts == t.failed);
      REQUIRE(status->history.size() <= 8);
      // What was due when its chain was quarantined is put aside when its turn comes, of which nothing shows here.
      const bool may_rest = status->quarantined && (t.now == phase::isolated || t.now == phase::due);
      REQUIRE((status->next_attempt.has_value() == (t.now == phase::backing_off) || may_rest));
      if (status->next_attempt && !may_rest) REQUIRE(*status->next_attempt == t.until);
      REQUIRE((!status->history.empty() && status->history.back().outcome == "running") == (t.now == phase::running));
      if (t.now == phase::running) ++running;
      if ((t.now == phase::running || t.now == phase::backing_off) && (!deadline || t.until < *deadline))
        deadline = t.until;
    }
    for (const auto& [id, w] : workers_)
      if (w.hung_until && (!deadline || *w.hung_until < *deadline)) deadline = w.hung_until;
    for (const auto& [chain, w] : wards_)
      if (w.rests_until && (!deadline || *w.rests_until < *deadline)) deadline = w.rests_until;
    REQUIRE(table_.suspects() == suspects());
    REQUIRE(table_.waiting() == tasks_.size() - running);
    if (!hedges_)
      REQUIRE(table_.next_deadline() == deadline);
    else if (deadline) // when a head has held results back for too long is not known here
      REQUIRE(table_.next_deadline() <= deadline);
    REQUIRE(table_.in_flight() == copies_.size());
    REQUIRE(table_.workers() == workers_.size());
    if (!workers_die_) REQUIRE(table_.free_slots() == free_slots());
    compare_counters();
  }

  /// With a worker that answers, everything that is still wanted comes to its end.
  void finish() {
    const auto good = table_.join(1000, {pipeline_index{0}, pipeline_index{1}, pipeline_index{2}});
    workers_[good] = {1000, {pipeline_index{0}, pipeline_index{1}, pipeline_index{2}}, 0, {}};
    while (workers_.size() > 1) leave(workers_.begin()->first, departure::lost);
    while (!tasks_.empty()) {
      std::vector<task_key> keys;
      for (const auto& [key, t] : tasks_) keys.push_back(key);
      for (const auto& key : keys) make_head(key);
      assign(SIZE_MAX);
      while (!copies_.empty())
        answer(copies_.begin()->first, copies_.begin()->second.open.begin()->first, attempt_end::done);
      if (const auto next = table_.next_deadline()) pass(*next - now_);
    }
    while (const auto next = table_.next_deadline()) pass(*next - now_); // chains without messages that rest
    compare();
    REQUIRE(ended_.size() == last_incarnation_);
    REQUIRE_FALSE(table_.next_deadline().has_value());
    const auto& c = table_.counters();
    REQUIRE(c.hedged == c.hedges_won + c.hedges_lost + c.hedges_failed);
  }

  int quarantines = 0; // so far

private:
  std::size_t below(std::size_t bound) { return random_() % bound; }

  task_key any_key() {
    // Heads are hedged only once it is known how long their chain takes: so mostly one chain.
    if (hedges_ && below(4) > 0) return {pipeline_index{0}, position{1 + below(25)}, chain_index{0}};
    return {pipeline_index{static_cast<std::uint32_t>(below(3))}, position{1 + below(25)},
            chain_index{static_cast<std::uint32_t>(below(3))}};
  }

  const retry_settings& policy(const task_key& key) const { return policies_[key.pipeline.value()]; }

  void submit() {
    const auto key = any_key();
    const auto head = below(5) == 0;
    table_.submit(key, head, now_, {nullptr, ++last_asked_});
    if (tasks_.count(key) == 0) {
      tasks_[key].incarnation = ++last_incarnation_;
      tasks_[key].head = head;
    } else if (head) {
      raise(key);
    }
    if (tasks_.count(key) > 0) tasks_[key].asked = last_asked_;
    expect_given_up();
  }

  void make_head() { make_head(any_key()); }

  void make_head(const task_key& key) {
    table_.make_head(key, now_);
    if (tasks_.count(key) != 0) raise(key);
    expect_given_up();
  }

  void raise(const task_key& key) {
    tasks_[key].head = true;
    give_up_if_hopeless(key);
  }

  void withdraw() {
    const auto key = any_key();
    table_.withdraw(key, now_);
    if (tasks_.count(key) != 0) end(key);
  }

  void hold_back() {
    auto key = any_key();
    if (!tasks_.empty() && below(8) > 0)
      key = std::next(tasks_.begin(), static_cast<std::ptrdiff_t>(below(tasks_.size())))->first;
    make_head(key);
    table_.hold_back(key, now_);
    if (tasks_.count(key) != 0) tasks_[key].holds_back = true;
  }

  void join() {
    if (workers_.size() >= 6) return;
    std::vector<pipeline_index> offers;
    for (std::uint32_t p = 0; p < 3; ++p)
      if (below(3) > 0) offers.emplace_back(p);
    const auto slots = static_cast<std::uint32_t>(1 + below(6));
    const auto id = table_.join(slots, offers);
    REQUIRE(workers_.count(id) == 0);
    workers_[id] = {slots, {offers.begin(), offers.end()}, 0, {}};
  }

  void leave() {
    if (workers_.empty()) return;
    auto who = std::next(workers_.begin(), static_cast<std::ptrdiff_t>(below(workers_.size())))->first;
    // Work that kills its worker does so again, or hardly a chain would come into quarantine.
    if (deadly_ && below(2) == 0)
      for (const auto& [id, worker] : workers_)
        if (killer_on(id)) who = id;
    leave(who, workers_die_ && below(4) > 0 ? departure::died : departure::lost);
  }

  void leave(worker_id worker, departure how) {
    const auto killer = how == departure::died ? killer_on(worker) : std::nullopt;
    if (killer) convict(*killer);
    if (how == departure::died) rest_after_death_of(worker);
    table_.leave(worker, how, now_);
    workers_.erase(worker);
    std::vector<task_key> hopeless;
    for (auto& [key, t] : tasks_) {
      if (how == departure::died && !killer && is_at(key, worker) && ++t.deaths >= 2) t.suspect = true;
      if (t.now != phase::running || key == killer) continue;
      std::erase_if(t.copies, [&](dispatch_id copy) { return copies_.at(copy).worker == worker; });
      if (!t.copies.empty())
        go_on(key, t);
      else if (t.permanent) // which another copy has said
        hopeless.push_back(key);
      else
        t.now = due_as(t);
    }
    for (const auto& key : hopeless) {
      ++expected_.failed;
      fail(key);
    }
    expected_.orphaned += std::erase_if(copies_, [&](const auto& c) { return c.second.worker == worker; });
    for (auto& [key, t] : tasks_)
      if (t.now == phase::due) t.now = due_as(t); // what was due already may have become a suspect
    if (killer) {
      ++expected_.crashed;
      fail(*killer);
    }
    expect_given_up();
  }

  static constexpr int too_much_guilt = 192;

  void convict(const task_key& key) {
    auto& t = tasks_.at(key);
    t.suspect = true;
    t.deaths = 2;
    const bool again = std::exchange(t.crashed, true);
    if (again && !quarantined(key)) return;
    auto& w = wards_[{key.pipeline, key.chain}];
    w.guilt = std::min(w.guilt + 128, 224);
    if (w.quarantined || w.guilt < too_much_guilt) return;
    w = {w.guilt, true, 1, {}, {}};
    ++quarantines;
    quarantines_.insert(key.pipeline);
  }

  void survive(const task_key& key) {
    const auto found = wards_.find({key.pipeline, key.chain});
    if (found == wards_.end()) return;
    auto& w = found->second;
    ++w.together;
    w.pause = {};
    if (--w.guilt < too_much_guilt && w.quarantined) w = {w.guilt, false, 1, {}, {}};
    if (w.guilt == 0) wards_.erase(found);
  }

  /// What ran there of a quarantined chain ran by itself.
  void rest_after_death_of(worker_id worker) {
    for (const auto& [key, t] : tasks_) {
      if (!quarantined(key)) continue;
      const bool ran = std::ranges::any_of(t.copies, [&](dispatch_id copy) {
        return t.runs(copy) && copies_.at(copy).worker == worker && copies_.at(copy).of_suspects;
      });
      if (!ran) continue;
      auto& w = wards_.at({key.pipeline, key.chain});
      w.together = 1;
      const bool others = std::ranges::any_of(last_open_, [&](const auto& entry) {
        return entry.first != std::pair{key.pipeline, key.chain} && now_ - entry.second <= 10s;
      });
      if (!others) return;
      w.pause = std::min<duration>(w.pause == 0s ? 1s : 2 * w.pause, 4s);
      w.rests_until = now_ + w.pause;
      return;
    }
  }

  bool quarantined(const task_key& key) const {
    const auto found = wards_.find({key.pipeline, key.chain});
    return found != wards_.end() && found->second.quarantined;
  }
  /// Since then it is not known exactly what waits where.
  bool had_quarantine(pipeline_index of) const { return quarantines_.contains(of); }
  /// Nobody has a worker for itself.
  bool all_is_open() const { return suspects() == 0 && quarantines_.empty(); }

  /// Copies of its attempt are gone, and others are left.
  void go_on(const task_key& key, model_task& t) {
    t.last_worker = copies_.at(t.copies.front()).worker;
    t.until = copies_.at(t.copies.front()).sent + attempt_timeout(policy(key), attempt{t.failed + 1});
  }

  static phase due_as(const model_task& t) { return t.suspect ? phase::isolated : phase::due; }

  /// Its backoff is over.
  void resume(const task_key& key, model_task& t) {
    const bool rests = t.suspect && !t.head && exhausted(policy(key), t.failed, now_ - *t.first_started);
    t.now = rests ? phase::spent : due_as(t);
  }

  /// Whether the worker has something unanswered of the task.
  bool is_at(const task_key& key, worker_id worker) const {
    return std::any_of(copies_.begin(), copies_.end(), [&](const auto& entry) {
      const auto& copy = entry.second;
      const auto open = copy.open.find(key.chain);
      return copy.worker == worker && copy.pipeline == key.pipeline && copy.at == key.at && open != copy.open.end() &&
             open->second == tasks_.at(key).incarnation;
    });
  }

  /// A suspect, if it and nothing else is at the worker.
  std::optional<task_key> killer_on(worker_id worker) const {
    std::optional<task_key> only;
    for (const auto& [id, copy] : copies_) {
      if (copy.worker != worker) continue;
      if (only || !copy.of_suspects || copy.open.size() != 1) return std::nullopt;
      only = task_key{copy.pipeline, copy.at, copy.open.begin()->first};
      const auto t = tasks_.find(*only);
      if (t == tasks_.end() || !t->second.runs(id)) return std::nullopt;
    }
    return only;
  }

  std::size_t suspects() const {
    return static_cast<std::size_t>(
      std::count_if(tasks_.begin(), tasks_.end(), [](const auto& t) { return t.second.suspect; }));
  }

  /// Follows which workers hang: every slot taken, and nobody waits for any of it; or a pipeline's share of the slots.
  void watch() {
    for (auto& [id, w] : workers_) {
      const auto hangs = how_it_hangs(id);
      if (hangs == w.hangs) continue;
      const auto earlier = w.hangs == 1 && hangs == 2 ? w.hung_until : std::nullopt;
      w.hangs = hangs;
      w.hung_until.reset();
      if (hangs == 0) continue;
      duration longest{};
      for (const auto p : w.offers) {
        const auto& policy = policies_[p.value()];
        longest = std::max(longest, hangs == 2 && w.offers.size() > 1 ? policy.timeout : policy.max_timeout);
      }
      w.hung_until = std::min(now_ + longest, earlier.value_or(now_ + longest));
    }
  }

  int how_it_hangs(worker_id id) const {
    const auto& w = workers_.at(id);
    if (load(id) == w.slots && awaited(id, true) + awaited(id, false) == 0) return 2;
    for (const auto p : w.offers)
      if (risky(id, p, true) >= share(w)) return 1;
    return 0;
  }

  static std::size_t share(const model_worker& w) {
    return w.offers.size() > 1 ? (w.slots + 1) / 2 : std::numeric_limits<std::size_t>::max();
  }

  /// Copies of the pipeline at the worker that may hang; or those of them that nobody waits for.
  std::size_t risky(worker_id worker, pipeline_index of, bool lost) const {
    return static_cast<std::size_t>(std::count_if(copies_.begin(), copies_.end(), [&](const auto& entry) {
      const auto& [id, copy] = entry;
      return copy.worker == worker && copy.pipeline == of && copy.risky && !(lost && is_awaited(id));
    }));
  }

  bool is_awaited(dispatch_id copy) const {
    return std::any_of(tasks_.begin(), tasks_.end(), [&](const auto& entry) { return entry.second.runs(copy); });
  }

  /// While a message of it that has timed out is not done, a pipeline's copies may hang.
  bool may_hang(pipeline_index pipeline) const {
    return std::any_of(tasks_.begin(), tasks_.end(),
                       [&](const auto& entry) { return entry.first.pipeline == pipeline && entry.second.timed_out; });
  }

  /// Copies at the worker, of suspects or of others, whose attempt is not over.
  std::size_t awaited(worker_id worker, bool of_suspects) const {
    std::set<dispatch_id> found;
    for (const auto& [key, t] : tasks_)
      for (const auto copy : t.copies)
        if (t.runs(copy) && copies_.at(copy).worker == worker && copies_.at(copy).of_suspects == of_suspects)
          found.insert(copy);
    return found.size();
  }

  void answer() {
    if (copies_.empty()) return;
    const auto& [id, copy] = *std::next(copies_.begin(), static_cast<std::ptrdiff_t>(below(copies_.size())));
    const auto dice = below(10);
    const auto end = dice < 5 ? attempt_end::done : dice < 9 ? attempt_end::failed : attempt_end::permanent;
    answer(id, chain_index{static_cast<std::uint32_t>(below(3))}, end);
  }

  void answer(dispatch_id id, chain_index chain, attempt_end ending) {
    auto& copy = copies_.at(id);
    const task_key key{copy.pipeline, copy.at, chain};
    const auto open = copy.open.find(chain);
    const auto task = tasks_.find(key);
    const auto current = open != copy.open.end() && task != tasks_.end() && task->second.incarnation == open->second;
    const auto alive = current && task->second.runs(id);
    const auto counts = current && (ending == attempt_end::done || alive);

    for (std::size_t i = 0; i < copy.chains.size(); ++i) {
      const auto owed = table_.owed(copy.worker, id, i);
      REQUIRE(owed.has_value() == copy.open.contains(copy.chains[i]));
      if (owed) REQUIRE(*owed == copy.chains[i]);
    }
    const auto counted = table_.answer(copy.worker, id, chain, ending, "error", now_);
    REQUIRE(counted.has_value() == counts);
    if (counted) REQUIRE(counted->key == key);
    if (counted) REQUIRE(counted->work.asked == task->second.asked);
    if (open != copy.open.end()) copy.open.erase(open);
    if (copy.open.empty()) copies_.erase(id);
    if (!counts) {
      ++expected_.late;
    } else if (ending == attempt_end::done) {
      ++expected_.done;
      survive(key);
      end(key);
    } else {
      auto& t = task->second;
      survive(key);
      t.permanent = t.permanent || ending == attempt_end::permanent;
      t.suspect = false;
      t.deaths = 0;
      if (t.copies.size() > 1) {
        std::erase(t.copies, id);
        go_on(key, t);
        return expect_given_up();
      }
      ++expected_.failed;
      fail(key);
    }
    expect_given_up();
  }

  void pass() {
    const auto next = table_.next_deadline();
    if (next && below(2) == 0 && (!hedges_ || *next - now_ < 1s))
      pass(*next - now_);
    else
      pass(std::chrono::milliseconds{below(hedges_ ? 300 : 3000)});
  }

  void pass(duration time) {
    now_ += time;
    table_.tick(now_);
    std::vector<task_key> late;
    for (auto& [key, t] : tasks_) {
      if (t.now == phase::running && t.until <= now_) t.timed_out = true;
      while (t.now == phase::running && t.until <= now_ && t.copies.size() > 1) {
        copies_.at(t.copies.front()).risky = true;
        t.copies.erase(t.copies.begin());
        go_on(key, t);
      }
      if (t.now == phase::running && t.until <= now_) copies_.at(t.copies.front()).risky = true;
      if (t.now == phase::running && t.until <= now_) late.push_back(key);
      if (t.now == phase::backing_off && t.until <= now_) resume(key, t);
    }
    for (const auto& key : late) {
      ++expected_.timed_out;
      fail(key);
      const auto t = tasks_.find(key);
      if (t != tasks_.end() && t->second.now == phase::backing_off && t->second.until <= now_) resume(key, t->second);
    }
    expect_given_up();
    for (auto& [chain, w] : wards_)
      if (w.rests_until && *w.rests_until <= now_) w.rests_until.reset();
    watch();
    std::set<worker_id> hung;
    for (auto& [id, w] : workers_) {
      if (!w.hung_until || *w.hung_until > now_) continue;
      w.hung_until.reset();
      hung.insert(id);
    }
    const auto told = table_.take_hung();
    REQUIRE(std::set<worker_id>(told.begin(), told.end()) == hung);
  }

  void fail(const task_key& key) {
    auto& t = tasks_[key];
    ++t.failed;
    t.now = t.permanent ? phase::spent : phase::backing_off;
    if (give_up_if_hopeless(key) || t.permanent) return;
    // The delay is the table's own random choice: it only has to lie within bounds.
    const auto status = table_.inspect(key);
    REQUIRE(status.has_value());
    t.until = status->next_attempt.value_or(now_);
    REQUIRE(t.until >= now_);
    REQUIRE(t.until <= now_ + retry_delay(policy(key), attempt{t.failed}, 1.0));
  }

  bool give_up_if_hopeless(const task_key& key) {
    const auto& t = tasks_[key];
    if (!t.head || t.now == phase::running || t.failed == 0) return false;
    if (!t.permanent && !exhausted(policy(key), t.failed, now_ - *t.first_started)) return false;
    hopeless_[key] = t.failed;
    ++expected_.given_up;
    end(key);
    return true;
  }

  void end(const task_key& key) {
    REQUIRE(ended_.insert(tasks_[key].incarnation).second);
    tasks_.erase(key);
  }

  void expect_given_up() {
    std::map<task_key, std::uint32_t> seen;
    for (const auto& g : table_.take_given_up()) seen[g.key] = g.attempts;
    REQUIRE(seen == hopeless_);
    hopeless_.clear();
  }

  void assign(std::size_t limit) {
    const auto copies = table_.assign(now_, limit);
    REQUIRE(copies.size() <= limit);
    for (const auto& d : copies) {
      if (d.hedge)
        follow_hedge(d);
      else
        d.suspect ? follow_suspects(d) : follow(d);
    }
    if (copies.size() < limit && all_is_open()) REQUIRE_FALSE(best(std::nullopt).has_value());
  }

  /// One dispatch, which must be one that the rules allow at this moment.
  void follow(const dispatch& d) {
    REQUIRE(copies_.count(d.id) == 0);
    REQUIRE(workers_.count(d.worker) == 1);
    REQUIRE(has_room(d.worker, d.pipeline));

    const auto own = best(d.pipeline);
    REQUIRE(own.has_value());
    if (!had_quarantine(d.pipeline)) REQUIRE(own->second == d.at);
    if (all_is_open()) REQUIRE(own->first == best(std::nullopt)->first); // heads of any pipeline before all others
    REQUIRE(awaited(d.worker, true) == 0);

    std::vector<chain_index> due;
    std::uint32_t most_failed = 0;
    worker_id avoided;
    for (auto& [key, t] : tasks_) {
      if (key.pipeline != d.pipeline || key.at != d.at || t.now != phase::due || quarantined(key)) continue;
      if (had_quarantine(d.pipeline) && !std::ranges::count(d.chains, key.chain)) continue;
      due.push_back(key.chain);
      if (t.failed > most_failed) avoided = t.last_worker;
      most_failed = std::max(most_failed, t.failed);
    }
    REQUIRE(d.chains == due);
    REQUIRE(d.number.value() == most_failed + 1);
    if (d.worker == avoided && all_is_open()) REQUIRE(workers_with_room(d.pipeline) == 1);
    for (const auto chain : d.chains) last_open_[{d.pipeline, chain}] = now_;
    send(d, false);
  }

  /// Suspects run beside nothing else.
  void follow_suspects(const dispatch& d) {
    REQUIRE(copies_.count(d.id) == 0);
    REQUIRE(workers_.count(d.worker) == 1);
    REQUIRE(workers_.at(d.worker).offers.contains(d.pipeline));
    REQUIRE(load(d.worker) < workers_.at(d.worker).slots);
    REQUIRE(awaited(d.worker, false) == 0);
    for (const auto chain : d.chains) {
      const task_key key{d.pipeline, d.at, chain};
      const auto is = tasks_.at(key).now;
      REQUIRE((is == phase::isolated || (is == phase::due && had_quarantine(d.pipeline))));
      if (!quarantined(key)) continue;
      const auto& w = wards_.at({d.pipeline, chain});
      REQUIRE_FALSE(w.rests_until.has_value());
      REQUIRE(awaited(d.worker, true) < w.together);
      REQUIRE(d.chains.size() == 1);
    }
    send(d, true);
  }

  /// A further copy of a head that holds results back, within the budget, and only of what never killed a worker.
  void follow_hedge(const dispatch& d) {
    REQUIRE(hedges_);
    REQUIRE(copies_.count(d.id) == 0);
    REQUIRE(workers_.count(d.worker) == 1);
    REQUIRE(has_room(d.worker, d.pipeline));
    REQUIRE(awaited(d.worker, true) == 0);
    REQUIRE(d.chains.size() == 1);
    auto& t = tasks_.at({d.pipeline, d.at, d.chains.front()});
    REQUIRE((t.now == phase::running && t.head && t.holds_back && t.deaths == 0 && t.copies.size() < 3));
    REQUIRE_FALSE((copies_.at(t.copies.back()).of_suspects || quarantined({d.pipeline, d.at, d.chains.front()})));
    REQUIRE(d.number.value() == t.failed + 1);
    if (d.worker == copies_.at(t.copies.back()).worker && all_is_open()) REQUIRE(workers_with_room(d.pipeline) == 1);
    REQUIRE(++hedged_[d.pipeline] * 20 <= first_copies_[d.pipeline]);
    copies_[d.id] = {d.worker, d.pipeline, d.at, false, may_hang(d.pipeline), now_, {{d.chains.front(), t.incarnation}},
                     d.chains};
    t.copies.push_back(d.id);
    ++expected_.dispatched;
    ++expected_.hedged;
  }

  void send(const dispatch& d, bool of_suspects) {
    copies_[d.id] = {d.worker, d.pipeline, d.at, of_suspects, may_hang(d.pipeline), now_, {}, d.chains};
    if (!of_suspects) ++first_copies_[d.pipeline];
    for (const auto chain : d.chains) {
      start({d.pipeline, d.at, chain}, d);
      copies_[d.id].open[chain] = tasks_[{d.pipeline, d.at, chain}].incarnation;
    }
    ++expected_.dispatched;
  }

  void start(const task_key& key, const dispatch& d) {
    auto& t = tasks_[key];
    t.now = phase::running;
    t.copies = {d.id};
    t.last_worker = d.worker;
    t.until = now_ + attempt_timeout(policy(key), attempt{t.failed + 1});
    if (!t.first_started) t.first_started = now_;
  }

  /// Rank (0 for heads) and position of what must go next, of one pipeline or of all for which somebody has room.
  std::optional<std::pair<int, position>> best(std::optional<pipeline_index> of) const {
    std::optional<std::pair<int, position>> least;
    for (const auto& [key, t] : tasks_) {
      if (t.now != phase::due || quarantined(key) || (of && key.pipeline != *of)) continue;
      if (workers_with_room(key.pipeline) == 0) continue;
      const std::pair<int, position> candidate{t.head ? 0 : 1, key.at};
      if (!least || candidate < *least) least = candidate;
    }
    return least;
  }

  std::size_t load(worker_id worker) const {
    return static_cast<std::size_t>(
      std::count_if(copies_.begin(), copies_.end(), [&](const auto& c) { return c.second.worker == worker; }));
  }

  bool has_room(worker_id worker, pipeline_index pipeline) const {
    const auto& w = workers_.at(worker);
    return w.offers.count(pipeline) != 0 && load(worker) < w.slots && risky(worker, pipeline, false) < share(w);
  }

  std::size_t workers_with_room(pipeline_index pipeline) const {
    return static_cast<std::size_t>(
      std::count_if(workers_.begin(), workers_.end(), [&](const auto& w) { return has_room(w.first, pipeline); }));
  }

  std::size_t free_slots() const {
    std::size_t sum = 0;
    for (const auto& [id, w] : workers_) sum += w.slots - load(id);
    return sum;
  }

  void compare_counters() const {
    const auto& c = table_.counters();
    REQUIRE(c.dispatched == expected_.dispatched);
    REQUIRE(c.done == expected_.done);
    REQUIRE(c.failed == expected_.failed);
    REQUIRE(c.timed_out == expected_.timed_out);
    REQUIRE(c.late == expected_.late);
    REQUIRE(c.orphaned == expected_.orphaned);
    REQUIRE(c.crashed == expected_.crashed);
    REQUIRE(c.hedged == expected_.hedged);
    REQUIRE(c.hedges_won + c.hedges_lost + c.hedges_failed <= c.hedged);
    REQUIRE(c.given_up == expected_.given_up);
  }

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
