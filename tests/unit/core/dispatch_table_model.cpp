// What the model becomes.
#include "dispatch_table_world.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "reseq/core/retry_policy.hpp"

namespace dispatch_model {

void world::convict(const task_key& key) {
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

void world::survive(const task_key& key) {
  const auto found = wards_.find({key.pipeline, key.chain});
  if (found == wards_.end()) return;
  auto& w = found->second;
  ++w.together;
  w.pause = {};
  if (--w.guilt < too_much_guilt && w.quarantined) w = {w.guilt, false, 1, {}, {}};
  if (w.guilt == 0) wards_.erase(found);
}

void world::rest_after_death_of(worker_id worker) {
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

bool world::quarantined(const task_key& key) const {
  const auto found = wards_.find({key.pipeline, key.chain});
  return found != wards_.end() && found->second.quarantined;
}

void world::go_on(const task_key& key, model_task& t) {
  t.last_worker = copies_.at(t.copies.front()).worker;
  t.until = copies_.at(t.copies.front()).sent + attempt_timeout(policy(key), attempt{t.failed + 1});
}

void world::resume(const task_key& key, model_task& t) {
  const bool rests = t.suspect && !t.head && exhausted(policy(key), t.failed, now_ - *t.first_started);
  t.now = rests ? phase::spent : due_as(t);
}

bool world::is_at(const task_key& key, worker_id worker) const {
  return std::any_of(copies_.begin(), copies_.end(), [&](const auto& entry) {
    const auto& copy = entry.second;
    const auto open = copy.open.find(key.chain);
    return copy.worker == worker && copy.pipeline == key.pipeline && copy.at == key.at && open != copy.open.end() &&
           open->second == tasks_.at(key).incarnation;
  });
}

std::optional<task_key> world::killer_on(worker_id worker) const {
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

std::size_t world::suspects() const {
  return static_cast<std::size_t>(
    std::count_if(tasks_.begin(), tasks_.end(), [](const auto& t) { return t.second.suspect; }));
}

int world::how_it_hangs(worker_id id) const {
  const auto& w = workers_.at(id);
  if (load(id) == w.slots && awaited(id, true) + awaited(id, false) == 0) return 2;
  for (const auto p : w.offers)
    if (risky(id, p, true) >= share(w)) return 1;
  return 0;
}

std::size_t world::share(const model_worker& w) {
  return w.offers.size() > 1 ? (w.slots + 1) / 2 : std::numeric_limits<std::size_t>::max();
}

std::size_t world::risky(worker_id worker, pipeline_index of, bool lost) const {
  return static_cast<std::size_t>(std::count_if(copies_.begin(), copies_.end(), [&](const auto& entry) {
    const auto& [id, copy] = entry;
    return copy.worker == worker && copy.pipeline == of && copy.risky && !(lost && is_awaited(id));
  }));
}

bool world::is_awaited(dispatch_id copy) const {
  return std::any_of(tasks_.begin(), tasks_.end(), [&](const auto& entry) { return entry.second.runs(copy); });
}

bool world::may_hang(pipeline_index pipeline) const {
  return std::any_of(tasks_.begin(), tasks_.end(),
                     [&](const auto& entry) { return entry.first.pipeline == pipeline && entry.second.timed_out; });
}

std::size_t world::awaited(worker_id worker, bool of_suspects) const {
  std::set<dispatch_id> found;
  for (const auto& [key, t] : tasks_)
    for (const auto copy : t.copies)
      if (t.runs(copy) && copies_.at(copy).worker == worker && copies_.at(copy).of_suspects == of_suspects)
        found.insert(copy);
  return found.size();
}

void world::fail(const task_key& key) {
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

bool world::give_up_if_hopeless(const task_key& key) {
  const auto& t = tasks_[key];
  if (!t.head || t.now == phase::running || t.failed == 0) return false;
  if (!t.permanent && !exhausted(policy(key), t.failed, now_ - *t.first_started)) return false;
  hopeless_[key] = t.failed;
  ++expected_.given_up;
  end(key);
  return true;
}

void world::end(const task_key& key) {
  REQUIRE(ended_.insert(tasks_[key].incarnation).second);
  tasks_.erase(key);
}

void world::send(const dispatch& d, bool of_suspects) {
  copies_[d.id] = {d.worker, d.pipeline, d.at, of_suspects, may_hang(d.pipeline), now_, {}, d.chains};
  if (!of_suspects) ++first_copies_[d.pipeline];
  for (const auto chain : d.chains) {
    start({d.pipeline, d.at, chain}, d);
    copies_[d.id].open[chain] = tasks_[{d.pipeline, d.at, chain}].incarnation;
  }
  ++expected_.dispatched;
}

void world::start(const task_key& key, const dispatch& d) {
  auto& t = tasks_[key];
  t.now = phase::running;
  t.copies = {d.id};
  t.last_worker = d.worker;
  t.until = now_ + attempt_timeout(policy(key), attempt{t.failed + 1});
  if (!t.first_started) t.first_started = now_;
}

std::optional<std::pair<int, position>> world::best(std::optional<pipeline_index> of) const {
  std::optional<std::pair<int, position>> least;
  for (const auto& [key, t] : tasks_) {
    if (t.now != phase::due || quarantined(key) || (of && key.pipeline != *of)) continue;
    if (workers_with_room(key.pipeline) == 0) continue;
    const std::pair<int, position> candidate{t.head ? 0 : 1, key.at};
    if (!least || candidate < *least) least = candidate;
  }
  return least;
}

std::size_t world::load(worker_id worker) const {
  return static_cast<std::size_t>(
    std::count_if(copies_.begin(), copies_.end(), [&](const auto& c) { return c.second.worker == worker; }));
}

bool world::has_room(worker_id worker, pipeline_index pipeline) const {
  const auto& w = workers_.at(worker);
  return w.offers.count(pipeline) != 0 && load(worker) < w.slots && risky(worker, pipeline, false) < share(w);
}

std::size_t world::workers_with_room(pipeline_index pipeline) const {
  return static_cast<std::size_t>(
    std::count_if(workers_.begin(), workers_.end(), [&](const auto& w) { return has_room(w.first, pipeline); }));
}

std::size_t world::free_slots() const {
  std::size_t sum = 0;
  for (const auto& [id, w] : workers_) sum += w.slots - load(id);
  return sum;
}

} // namespace dispatch_model
