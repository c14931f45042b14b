// Drives the table and the model with the same operations.
#include "dispatch_table_world.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "reseq/core/retry_policy.hpp"

namespace dispatch_model {

world::world(std::uint64_t seed)
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

void world::step() {
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

void world::finish() {
  const auto good = table_.join(1000, {pipeline_index{0}, pipeline_index{1}, pipeline_index{2}});
  workers_[good] = {1000, {pipeline_index{0}, pipeline_index{1}, pipeline_index{2}}, 0, {}};
  while (workers_.size() > 1) leave(workers_.begin()->first, departure::left);
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

task_key world::any_key() {
  // Heads are hedged only once it is known how long their chain takes: so mostly one chain.
  if (hedges_ && below(4) > 0) return {pipeline_index{0}, position{1 + below(25)}, chain_index{0}};
  return {pipeline_index{static_cast<std::uint32_t>(below(3))}, position{1 + below(25)},
          chain_index{static_cast<std::uint32_t>(below(3))}};
}

void world::submit() {
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

void world::make_head(const task_key& key) {
  table_.make_head(key, now_);
  if (tasks_.count(key) != 0) raise(key);
  expect_given_up();
}

void world::raise(const task_key& key) {
  tasks_[key].head = true;
  give_up_if_hopeless(key);
}

void world::withdraw() {
  const auto key = any_key();
  table_.withdraw(key, now_);
  if (tasks_.count(key) != 0) end(key);
}

void world::hold_back() {
  auto key = any_key();
  if (!tasks_.empty() && below(8) > 0)
    key = std::next(tasks_.begin(), static_cast<std::ptrdiff_t>(below(tasks_.size())))->first;
  make_head(key);
  table_.hold_back(key, now_);
  if (tasks_.count(key) != 0) tasks_[key].holds_back = true;
}

void world::join() {
  if (workers_.size() >= 6) return;
  std::vector<pipeline_index> offers;
  for (std::uint32_t p = 0; p < 3; ++p)
    if (below(3) > 0) offers.emplace_back(p);
  const auto slots = static_cast<std::uint32_t>(1 + below(6));
  const auto id = table_.join(slots, offers);
  REQUIRE(workers_.count(id) == 0);
  workers_[id] = {slots, {offers.begin(), offers.end()}, 0, {}};
}

void world::leave() {
  if (workers_.empty()) return;
  auto who = std::next(workers_.begin(), static_cast<std::ptrdiff_t>(below(workers_.size())))->first;
  // Work that kills its worker does so again, or hardly a chain would come into quarantine.
  if (deadly_ && below(2) == 0)
    for (const auto& [id, worker] : workers_)
      if (killer_on(id)) who = id;
  if (!workers_die_) return leave(who, below(4) > 0 ? departure::left : departure::lost);
  const auto dice = below(8);
  leave(who, dice == 0 ? departure::left : dice < 3 ? departure::lost : departure::died);
}

/// Whatever it may have died of.
std::set<task_key> world::blame(worker_id worker, departure how) {
  std::set<task_key> blamed;
  for (auto& [key, t] : tasks_) {
    if (!is_at(key, worker)) continue;
    if (how == departure::lost) ++t.losses;
    if (how == departure::died || (how == departure::lost && t.losses > losses_borne)) blamed.insert(key);
  }
  return blamed;
}

void world::leave(worker_id worker, departure how) {
  const auto blamed = blame(worker, how);
  const bool killed = how == departure::died || (!blamed.empty() && std::ranges::all_of(tasks_, [&](const auto& one) {
                        return blamed.contains(one.first) || !is_at(one.first, worker);
                      }));
  const auto killer = killed ? killer_on(worker) : std::nullopt;
  if (killer) convict(*killer);
  if (killed) rest_after_death_of(worker);
  table_.leave(worker, how, now_);
  workers_.erase(worker);
  std::vector<task_key> hopeless;
  for (auto& [key, t] : tasks_) {
    if (!killer && blamed.contains(key) && ++t.deaths >= 2) t.suspect = true;
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

void world::answer() {
  if (copies_.empty()) return;
  const auto& [id, copy] = *std::next(copies_.begin(), static_cast<std::ptrdiff_t>(below(copies_.size())));
  const auto dice = below(10);
  const auto end = dice < 5 ? attempt_end::done : dice < 9 ? attempt_end::failed : attempt_end::permanent;
  answer(id, chain_index{static_cast<std::uint32_t>(below(3))}, end);
}

void world::answer(dispatch_id id, chain_index chain, attempt_end ending) {
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
    if (owed) REQUIRE(*owed == owed_work{copy.pipeline, copy.chains[i]});
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
    t.losses = 0;
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

void world::pass() {
  const auto next = table_.next_deadline();
  if (next && below(2) == 0 && (!hedges_ || *next - now_ < 1s))
    pass(*next - now_);
  else
    pass(std::chrono::milliseconds{below(hedges_ ? 300 : 3000)});
}

void world::pass(duration time) {
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

} // namespace dispatch_model
