// Judges what the table does and says by what the model says.
#include "dispatch_table_world.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "reseq/core/retry_policy.hpp"

namespace dispatch_model {

void world::compare() const {
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

void world::watch() {
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

void world::expect_given_up() {
  std::map<task_key, std::uint32_t> seen;
  for (const auto& g : table_.take_given_up()) seen[g.key] = g.attempts;
  REQUIRE(seen == hopeless_);
  hopeless_.clear();
}

void world::assign(std::size_t limit) {
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

void world::follow(const dispatch& d) {
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

void world::follow_suspects(const dispatch& d) {
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

void world::follow_hedge(const dispatch& d) {
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

void world::compare_counters() const {
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

} // namespace dispatch_model
