#include "catch.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "dispatch_table_fixture.hpp"

using namespace dispatch_example;

namespace {

constexpr chain_index guilty{1};
constexpr chain_index innocent{2};

/// Each message is for two destinations with chains of their own. One's kills its worker by some messages, the other's
/// takes 10 ms. Workers that died are back after 200 ms.
struct two_destinations : fixture {
  explicit two_destinations(std::function<bool(std::uint64_t)> those, const retry_settings& policy = {})
    : fixture(policy), kills(std::move(those)) {}

  void start_workers(int count) {
    for (int i = 0; i < count; ++i) start_worker();
  }

  void submit_for(chain_index chain, std::uint64_t first, std::uint64_t last) {
    for (auto at = first; at <= last; ++at) {
      table.submit(key(at, chain), false, now);
      waiting[chain].insert(at);
    }
  }

  /// Lets time pass until that holds, or for so long; how long it took.
  duration run_until(const std::function<bool()>& enough, duration longest) {
    const auto begun = now;
    while (!enough() && now - begun < longest) {
      do {
        for (const auto& [chain, all] : waiting)
          if (!all.empty()) table.make_head(key(*all.begin(), chain), now);
      } while (settle_given_up());
      for (auto& d : table.assign(now)) start(std::move(d));
      if (!step()) break;
    }
    return now - begun;
  }

  duration run_until_done(chain_index chain, duration longest) {
    return run_until([&] { return waiting[chain].empty(); }, longest);
  }

  std::function<bool(std::uint64_t)> kills;
  std::map<chain_index, std::set<std::uint64_t>> waiting;
  std::map<chain_index, std::vector<std::uint64_t>> given_up_at;
  std::map<chain_index, std::set<std::uint64_t>> done;
  std::vector<time_point> deaths;

private:
  void start_worker() { alive.insert(join(8)); }

  bool settle_given_up() {
    const auto all = table.take_given_up();
    for (const auto& lost : all) {
      given_up_at[lost.key.chain].push_back(lost.key.at.value());
      waiting[lost.key.chain].erase(lost.key.at.value());
    }
    return !all.empty();
  }

  /// A worker runs the chains of a copy one after the other.
  void start(dispatch d, std::size_t nth = 0) {
    if (!alive.contains(d.worker) || nth == d.chains.size()) return;
    const auto chain = d.chains[nth];
    const bool kills_it = chain == guilty && kills(d.at.value());
    events.emplace(now + (kills_it ? 1ms : 10ms), [=, this] {
      if (!alive.contains(d.worker)) return;
      if (kills_it) return die(d.worker);
      if (table.answer(d.worker, d.id, chain, attempt_end::done, {}, now)) {
        waiting[chain].erase(d.at.value());
        done[chain].insert(d.at.value());
      }
      start(d, nth + 1);
    });
  }

  void die(worker_id who) {
    alive.erase(who);
    deaths.push_back(now);
    table.leave(who, departure::died, now);
    events.emplace(now + 200ms, [this] { start_worker(); });
  }

  bool step() {
    auto next = table.next_deadline();
    if (!events.empty() && (!next || events.begin()->first <= *next)) next = events.begin()->first;
    if (!next) return false;
    now = std::max(now, *next);
    while (!events.empty() && events.begin()->first <= now) {
      const auto happens = std::move(events.begin()->second);
      events.erase(events.begin());
      happens();
    }
    table.tick(now);
    return true;
  }

  std::set<worker_id> alive;
  std::multimap<time_point, std::function<void()>> events;
};

bool always(std::uint64_t) { return true; }
bool never(std::uint64_t) { return false; }

double seconds(duration time) { return std::chrono::duration<double>(time).count(); }

retry_settings few_attempts() {
  retry_settings policy;
  policy.max_attempts = 2;
  policy.give_up_after = 0s;
  return policy;
}

} // namespace

TEST_CASE("a destination whose transforms kill each worker hardly slows another one down") {
  const auto workers = GENERATE(1, 3);
  two_destinations f(always);
  f.start_workers(workers);
  f.submit_for(guilty, 1, 200);
  f.submit_for(innocent, 1, 200);
  const auto took = f.run_until_done(innocent, 10min);
  CAPTURE(workers, seconds(took), f.deaths.size());
  CHECK(took < 4s); // it takes two seconds and a half to find two killers among the first sixteen pieces of work
  CHECK(f.table.counters().crashed >= 2);

  f.submit_for(innocent, 201, 10'200);
  const auto later = f.run_until_done(innocent, 10min);
  CAPTURE(seconds(later));
  CHECK(later < (workers == 1 ? 15s : 6s)); // without deaths, 12.5 s and 4.2 s
  CHECK(f.done[innocent].size() == 10'200);
}

TEST_CASE("what is quarantined is tried in order, and given up as any other after its attempts") {
  two_destinations f(always);
  f.start_workers(1);
  f.submit_for(guilty, 1, 100);
  for (std::uint64_t second = 0; second < 150; ++second) { // ten messages a second for the other one, all the time
    for (std::uint64_t n = 1; n <= 10; ++n) f.submit_for(innocent, 10 * second + n, 10 * second + n);
    f.run_until([&, until = f.now + 1s] { return f.now >= until; }, 2s);
    f.now = std::max(f.now, time_point{} + std::chrono::seconds{second + 1});
  }
  REQUIRE_FALSE(f.given_up_at[guilty].empty());
  CHECK(f.given_up_at[guilty].front() == 1);
  CHECK(std::ranges::is_sorted(f.given_up_at[guilty]));
  CHECK(f.done[innocent].size() >= 1490);
  f.run_until_done(guilty, 24h);
  CHECK(f.given_up_at[guilty].size() == 100);
  CHECK(std::ranges::is_sorted(f.given_up_at[guilty]));
}

TEST_CASE("of what is quarantined it is told, and until when its chain rests") {
  two_destinations f(always);
  f.start_workers(1);
  f.submit_for(guilty, 1, 100);
  f.submit_for(innocent, 1, 10'000);
  std::optional<task_status> resting;
  f.run_until(
    [&] {
      const auto head = f.table.inspect(f.key(*f.waiting[guilty].begin(), guilty));
      if (head && head->quarantined && head->next_attempt) resting = head;
      return resting.has_value();
    },
    1min);
  REQUIRE(resting);
  CHECK(*resting->next_attempt > f.now);
  CHECK(*resting->next_attempt <= f.now + 4s);
  CHECK_FALSE(f.table.inspect(f.key(*f.waiting[innocent].begin(), innocent))->quarantined);
}

TEST_CASE("where nothing else is to be done, what is quarantined does not wait between deaths") {
  two_destinations f(always, few_attempts());
  f.start_workers(1);
  f.submit_for(guilty, 1, 200);
  const auto took = f.run_until_done(guilty, 24h);
  CAPTURE(seconds(took), f.deaths.size());
  CHECK(f.given_up_at[guilty].size() == 200);
  CHECK(took < 400 * 200ms + 20s);
}

TEST_CASE("a chain that is cured runs beside others again at once") {
  two_destinations f(always);
  f.start_workers(1);
  f.submit_for(guilty, 1, 500);
  f.submit_for(innocent, 1, 500);
  f.run_until_done(innocent, 1min);
  const auto changes = f.table.take_quarantine_changes();
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].pipeline == f.main);
  CHECK(changes[0].chain == guilty);
  CHECK(changes[0].quarantined);
  f.kills = never;
  const auto took = f.run_until_done(guilty, 1min);
  CAPTURE(seconds(took));
  CHECK(f.done[guilty].size() == 500);
  CHECK(took < 4s + 1s + 500 * 10ms / 8); // the rest, the first ones, all others; each killer's own backoff is short
  REQUIRE(f.table.take_quarantine_changes().size() == 1);
  CHECK(f.table.suspects() == 0);
}

TEST_CASE("a chain that kills its worker now and then is not kept from others' company, and all of it is done") {
  const auto one_in = GENERATE(std::uint64_t{3}, std::uint64_t{10}, std::uint64_t{100});
  two_destinations f([&](std::uint64_t at) { return at % one_in == 0; }, few_attempts());
  f.start_workers(1);
  f.submit_for(guilty, 1, 1000);
  f.submit_for(innocent, 1, 1000);
  const auto others = f.run_until_done(innocent, 1h);
  const auto all = others + f.run_until_done(guilty, 24h);
  CAPTURE(one_in, seconds(others), seconds(all), f.deaths.size());
  CHECK(f.done[innocent].size() == 1000);
  CHECK(f.done[guilty].size() == 1000 - 1000 / one_in);
  CHECK(f.given_up_at[guilty].size() == 1000 / one_in);
  CHECK(others < 60s);
}

TEST_CASE("one message that kills its worker again and again is no reason to quarantine its chain") {
  two_destinations f([](std::uint64_t at) { return at == 17; });
  f.start_workers(1);
  f.submit_for(guilty, 1, 100);
  f.submit_for(innocent, 1, 100);
  f.run_until_done(guilty, 1h);
  CHECK(f.given_up_at[guilty] == std::vector<std::uint64_t>{17});
  CHECK(f.table.counters().crashed >= 5);
  CHECK(f.table.take_quarantine_changes().empty());
}

namespace {

/// Two messages of a chain have killed their worker alone, and the chain is quarantined.
struct quarantined_chain : fixture {
  quarantined_chain() {
    for (std::uint64_t at = 1; at <= 2; ++at) {
      submit(at);
      for (int death = 0; death < 3; ++death) die_of_it();
      table.withdraw(key(at), now);
    }
    REQUIRE(table.take_quarantine_changes().size() == 1);
  }

  void die_of_it() {
    const auto w = join(8);
    only();
    table.leave(w, departure::died, now);
  }

  /// Has the worker answer everything, in as many rounds as that takes: how many ran in each.
  std::vector<std::size_t> rounds() {
    std::vector<std::size_t> sizes;
    for (auto all = table.assign(now); !all.empty(); all = table.assign(now)) {
      sizes.push_back(all.size());
      for (const auto& d : all) answer(d, attempt_end::done);
    }
    return sizes;
  }
};

} // namespace

TEST_CASE("after a quarantined chain's message has been answered more and more run at once, until all may") {
  quarantined_chain f;
  f.join(8);
  for (std::uint64_t at = 1; at <= 40; ++at) f.submit(at);
  CHECK(f.rounds() == std::vector<std::size_t>{1, 2, 4, 8, 8, 8, 8, 1});
  const auto changes = f.table.take_quarantine_changes();
  REQUIRE(changes.size() == 1);
  CHECK_FALSE(changes[0].quarantined);
  f.submit(41);
  CHECK_FALSE(f.only().suspect);
}

TEST_CASE("when a worker dies of several messages of a quarantined chain, the next one runs alone") {
  quarantined_chain f;
  const auto w = f.join(8);
  for (std::uint64_t at = 1; at <= 10; ++at) f.submit(at);
  CHECK(f.answer(f.only(), attempt_end::failed, "no luck"));
  const auto two = f.table.assign(f.now);
  REQUIRE(two.size() == 2);
  CHECK(std::ranges::all_of(two, &dispatch::suspect));
  f.table.leave(w, departure::died, f.now);
  CHECK(f.table.counters().crashed == 2); // as before: nobody is to blame for sure
  f.join(8);
  CHECK(f.only().at == position{2});
}

TEST_CASE("a quarantined chain rests after each death while there is other work, longer each time") {
  quarantined_chain f;
  auto worker = f.join(8);
  for (std::uint64_t at = 1; at <= 5; ++at) f.submit(at);
  std::uint64_t other = 1;
  std::vector<double> rests;
  for (auto last = f.now; rests.size() < 5;) {
    f.table.submit(f.key(other++, innocent), false, f.now);
    bool died = false;
    for (const auto& d : f.table.assign(f.now)) {
      died = died || d.suspect;
      if (!d.suspect) CHECK(f.answer(d, attempt_end::done));
    }
    if (died) {
      rests.push_back(std::round(seconds(f.now - last)));
      last = f.now;
      f.table.leave(worker, departure::died, f.now);
      worker = f.join(8);
    }
    f.pass(50ms);
  }
  CHECK(rests == std::vector<double>{0, 1, 2, 4, 4});
}

TEST_CASE("what is in flight when its chain is quarantined gets no second copy") {
  quarantined_chain f;
  const auto w = f.join(8);
  f.submit(1, true);
  const auto copy = f.only();
  CHECK(copy.suspect);
  f.table.hold_back(f.key(1), f.now);
  f.join(8);
  f.pass(1s);
  CHECK(f.table.assign(f.now).empty());
  f.table.retire(w);
  CHECK(f.answer(copy, attempt_end::done));
}
