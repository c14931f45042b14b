#include "catch.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "dispatch_table_fixture.hpp"

using namespace dispatch_example;

namespace {

using numbers = std::vector<std::uint64_t>;

/// Workers that die of the messages in `poison`, and of nothing else.
struct pool : fixture {
  explicit pool(std::set<std::uint64_t> killers, const retry_settings& policy = prompt())
    : fixture(policy), poison(std::move(killers)) {}

  worker_id join(std::uint32_t slots) {
    workers.push_back(fixture::join(slots));
    return workers.back();
  }

  /// Dispatches, and lets every worker end what it has: by answers, or by its death, after which another one joins.
  /// Returns the positions that ran, by worker.
  std::map<worker_id, numbers> round(std::uint32_t slots) {
    std::map<worker_id, numbers> ran;
    std::map<worker_id, std::vector<dispatch>> copies;
    for (auto& d : table.assign(now)) {
      ran[d.worker].push_back(d.at.value());
      copies[d.worker].push_back(d);
    }
    for (const auto& [who, all] : copies) {
      if (std::ranges::any_of(all, [this](const dispatch& d) { return poison.contains(d.at.value()); })) {
        table.leave(who, ends_by, now);
        ++deaths;
        join(slots);
        continue;
      }
      for (const auto& d : all)
        if (answer(d, attempt_end::done)) done.insert(d.at.value());
    }
    return ran;
  }

  std::set<std::uint64_t> poison;
  std::set<std::uint64_t> done;
  std::vector<worker_id> workers;
  int deaths = 0;
  departure ends_by = departure::died;
};

} // namespace

TEST_CASE("what was in flight on two workers that died is a suspect") {
  fixture f;
  const auto first = f.join(8);
  f.submit(1);
  f.only();
  f.table.leave(first, departure::died, f.now);
  CHECK(f.table.suspects() == 0);
  const auto second = f.join(8);
  f.only();

  SECTION("when both were deaths") {
    f.table.leave(second, departure::died, f.now);
    CHECK(f.table.suspects() == 1);
    CHECK(f.table.counters().suspected == 1);
  }
  SECTION("but not when one of them was only lost") {
    f.table.leave(second, departure::lost, f.now);
    CHECK(f.table.suspects() == 0);
    CHECK(f.table.inspect(f.key(1))->history.back().outcome == "worker lost");
  }
  CHECK(f.table.inspect(f.key(1))->attempts == 0);
}

TEST_CASE("what was in flight on workers that fell silent, again and again, is a suspect, too") {
  fixture f;
  f.submit(1);
  const auto lose = [&f](departure how) {
    const auto worker = f.join(8);
    f.only();
    f.table.leave(worker, how, f.now);
    return f.table.suspects();
  };

  SECTION("from the second loss on that counts as a death") {
    for (int i = 0; i <= losses_borne; ++i) CHECK(lose(departure::lost) == 0);
    CHECK(lose(departure::lost) == 1);
    CHECK(f.table.inspect(f.key(1))->attempts == 0);
    CHECK(lose(departure::lost) == 1);
    CHECK(f.table.inspect(f.key(1))->attempts == 1);
  }
  SECTION("not when the workers took their leave") {
    for (int i = 0; i < 10; ++i) CHECK(lose(departure::left) == 0);
  }
  SECTION("nor when a worker survived it in between") {
    for (int i = 0; i <= losses_borne; ++i) CHECK(lose(departure::lost) == 0);
    const auto worker = f.join(8);
    f.answer(f.only(), attempt_end::failed);
    f.table.leave(worker, departure::left, f.now);
    f.pass(1min);
    for (int i = 0; i <= losses_borne; ++i) CHECK(lose(departure::lost) == 0);
  }
}

TEST_CASE("of suspects that silence their workers the one that does it is found, and the others are cleared") {
  pool p({40});
  p.ends_by = departure::lost;
  p.join(64);
  for (std::uint64_t at = 1; at <= 64; ++at) p.submit(at);
  for (int i = 0; i < 40 && p.done.size() < 63; ++i) {
    p.round(64);
    p.pass(1ms);
  }
  CHECK(p.done.size() == 63);
  CHECK(p.table.suspects() == 1);
  CHECK(p.deaths == losses_borne + 2 + 7);
}

TEST_CASE("a worker that is kept for a suspect is told from those that others may get") {
  fixture f;
  const auto first = f.join(8);
  f.submit(1);
  f.only();
  f.table.leave(first, departure::died, f.now);
  const auto second = f.join(8);
  f.only();
  f.table.leave(second, departure::died, f.now);
  f.join(8);
  f.submit(2);
  const auto suspect = f.only();
  CHECK(suspect.at == position{1});
  CHECK(f.table.inspect(f.key(2))->workers.workers == 1);
  CHECK(f.table.inspect(f.key(2))->workers.apart == 1);
  f.answer(suspect, attempt_end::done);
  CHECK(f.only().at == position{2});
  CHECK(f.table.inspect(f.key(2))->workers.apart == 0);
}

TEST_CASE("two chains of one message that die together have one death each, and a hung copy counts as well") {
  fixture f;
  const auto first = f.join(1);
  const auto second = f.join(1);
  f.submit(1);
  const auto hung = f.only();
  f.pass(2s);
  const auto again = f.only();
  REQUIRE(hung.worker != again.worker);
  f.table.leave(first, departure::died, f.now);
  f.table.leave(second, departure::died, f.now);
  CHECK(f.table.suspects() == 1);
  CHECK(f.table.inspect(f.key(1))->attempts == 1);
}

TEST_CASE("one message that kills its worker is found among sixty-four, and nobody else is blamed") {
  retry_settings policy = fixture::prompt();
  policy.give_up_after = 0s;
  policy.max_attempts = 3;
  pool p({17}, policy);
  for (std::uint64_t at = 1; at <= 200; ++at) p.submit(at, at == 17);
  p.join(64);
  std::vector<given_up> lost;
  for (int i = 0; i < 100 && lost.empty(); ++i) {
    p.round(64);
    lost = p.table.take_given_up();
    if (const auto next = p.table.next_deadline(); next && p.table.suspects() == 1) p.pass(*next - p.now);
  }
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].key.at == position{17});
  CHECK(lost[0].attempts == 3);
  CHECK(lost[0].last_error == "its worker died, and ran nothing else");
  CHECK(p.table.counters().crashed == 3);
  CHECK(p.deaths == 2 + 7 + 2); // until it is a suspect; 64, 32, … 1; its two other attempts
  for (int i = 0; i < 10; ++i) p.round(64);
  CHECK(p.done.size() == 199);
  CHECK(p.table.counters().failed == 0);
  CHECK(p.table.suspects() == 0);
}

TEST_CASE("suspects have a worker to themselves while another one goes on with the rest") {
  pool p({1});
  p.join(4);
  for (std::uint64_t at = 1; at <= 4; ++at) p.submit(at);
  p.round(4);
  p.round(4);
  REQUIRE(p.table.suspects() == 4);
  p.join(4);
  for (std::uint64_t at = 5; at <= 20; ++at) p.submit(at);
  const auto ran = p.round(4);
  REQUIRE(ran.size() == 2);
  for (const auto& [who, positions] : ran)
    CHECK((positions == numbers{1, 2, 3, 4} || positions == numbers{5, 6, 7, 8}));
}

TEST_CASE("a worker that is needed for suspects is given nothing more, and gets them when it has answered") {
  pool p({1});
  p.join(2);
  p.submit(1);
  p.round(2);
  p.round(2);
  REQUIRE(p.table.suspects() == 1);
  p.table.leave(p.workers.back(), departure::lost, p.now);
  const auto only = p.join(2);
  p.table.withdraw(p.key(1), p.now); // nothing is suspicious any more, and the room is for all
  p.submit(2);
  const auto busy = p.only();
  CHECK(busy.worker == only);
}

TEST_CASE("where there is one worker, suspects wait for what it has, and others for the suspects") {
  pool p({1, 2});
  p.join(2);
  for (const std::uint64_t at : {1, 2}) // of chains of their own, so that those are not quarantined
    p.table.submit(p.key(at, chain_index{static_cast<std::uint32_t>(at)}), false, p.now);
  p.round(2);
  p.round(2);
  REQUIRE(p.table.suspects() == 2);
  for (std::uint64_t at = 3; at <= 10; ++at) p.submit(at);
  CHECK(p.positions() == numbers{1, 2}); // a new worker has nothing else to do
  p.table.leave(p.workers.back(), departure::died, p.now);
  p.join(2);
  CHECK(p.positions() == numbers{1});
  p.table.leave(p.workers.back(), departure::died, p.now); // it is charged, and backs off
  p.join(2);
  CHECK(p.positions() == numbers{2});
  p.table.leave(p.workers.back(), departure::died, p.now);
  CHECK(p.table.counters().crashed == 2);
  p.join(2);
  p.now += 0s;
  const auto others = p.table.assign(p.now);
  REQUIRE(others.size() == 2);
  CHECK(others[0].at == position{3});
  p.pass(0s); // the suspects' next attempts are due: there is no jitter here
  CHECK(p.answer(others[0], attempt_end::done));
  CHECK(p.positions().empty()); // the worker gets nothing beside what it still has
  CHECK(p.answer(others[1], attempt_end::done));
  CHECK(p.positions() == numbers{1});
}

TEST_CASE("suspects without end do not keep the only worker from the others") {
  std::set<std::uint64_t> killers;
  for (std::uint64_t at = 1; at <= 40; ++at) killers.insert(at);
  pool p(killers);
  for (const auto at : killers) p.submit(at, true);
  p.join(8);
  for (int i = 0; i < 4; ++i) p.round(8); // all of the first are suspects
  p.submit(100);
  int rounds = 0;
  for (; !p.done.contains(100) && rounds < 200; ++rounds) {
    p.round(8);
    p.pass(0s);
  }
  CHECK(p.done.contains(100));
  CHECK(p.table.inspect(p.key(1))->attempts > 0);
}

TEST_CASE("a suspect that is answered is one no more, not even when it failed") {
  fixture f;
  f.submit(1);
  for (int death = 0; death < 2; ++death) {
    const auto w = f.join(1);
    f.only();
    f.table.leave(w, departure::died, f.now);
  }
  f.join(1);
  CHECK(f.answer(f.only(), attempt_end::failed, "no luck"));
  CHECK(f.table.suspects() == 0);
  CHECK(f.table.counters().crashed == 0);
  CHECK(f.table.inspect(f.key(1))->attempts == 1);
}

TEST_CASE("a suspect that hangs gives its worker back when its attempt is over, and stays a suspect") {
  fixture f;
  f.submit(1);
  for (int death = 0; death < 2; ++death) {
    const auto w = f.join(2);
    f.only();
    f.table.leave(w, departure::died, f.now);
  }
  f.join(2);
  f.only();
  f.submit(2);
  CHECK(f.positions().empty());
  f.table.tick(f.now + 2s);
  f.now += 2s;
  CHECK(f.table.suspects() == 1);
  CHECK(f.table.inspect(f.key(1))->history.back().outcome == "timed out");
}

TEST_CASE("a suspect that ran beside a hung copy is not charged for its worker's death") {
  fixture f;
  f.submit(1);
  for (int death = 0; death < 2; ++death) {
    const auto w = f.join(2);
    f.only();
    f.table.leave(w, departure::died, f.now);
  }
  f.table.withdraw(f.key(1), f.now);
  const auto w = f.join(2);
  f.submit(7);
  f.only();
  f.pass(2s); // 7 hangs, and is due again
  f.table.withdraw(f.key(7), f.now);
  f.submit(1); // anew
  f.only();
  f.table.leave(w, departure::died, f.now);
  const auto other = f.join(2);
  f.only();
  f.table.leave(other, departure::died, f.now);
  CHECK(f.table.suspects() == 1);
  CHECK(f.table.counters().crashed == 0);
}

TEST_CASE("a suspect that has used up its attempts is not tried again before it is the head, and then given up") {
  retry_settings policy = fixture::prompt();
  policy.give_up_after = 0s;
  policy.max_attempts = 2;
  pool p({5}, policy);
  p.submit(5);
  p.join(1);
  for (int i = 0; i < 6; ++i) {
    p.round(1);
    p.pass(0s);
  }
  CHECK(p.deaths == 2 + 2);
  CHECK(p.table.inspect(p.key(5))->attempts == 2);
  p.table.make_head(p.key(5), p.now);
  REQUIRE(p.table.take_given_up().size() == 1);
  CHECK(p.table.waiting() == 0);
}

TEST_CASE("pipelines that share a worker have their suspects told apart one after the other") {
  fixture f;
  const auto other = f.table.add_pipeline(fixture::prompt());
  for (int death = 0; death < 2; ++death) {
    const auto w = f.table.join(4, {f.main, other});
    f.submit(1);
    f.table.submit({other, position{1}, common}, true, f.now);
    REQUIRE(f.table.assign(f.now).size() == 2);
    f.table.leave(w, departure::died, f.now);
  }
  CHECK(f.table.suspects() == 2);
  f.table.join(4, {f.main, other});
  const auto first = f.only();
  CHECK(f.table.assign(f.now).empty());
  CHECK(f.answer(first, attempt_end::done));
  const auto second = f.only();
  CHECK(second.pipeline != first.pipeline);
  CHECK(f.answer(second, attempt_end::done));
  CHECK(f.table.assign(f.now).empty());
  CHECK(f.table.free_slots() == 4);
}

TEST_CASE("a pipeline whose suspects kill one worker after the other does not keep those of another pipeline waiting") {
  fixture f;
  const auto other = f.table.add_pipeline(fixture::prompt());
  auto worker = f.table.join(8, {f.main, other});
  const auto die = [&] {
    f.table.leave(worker, departure::died, f.now);
    worker = f.table.join(8, {f.main, other});
  };
  for (std::uint64_t at = 1; at <= 6; ++at) f.submit(at, true);
  const task_key innocent{other, position{1}, common};
  f.table.submit(innocent, true, f.now);
  for (int death = 0; death < 2; ++death) {
    REQUIRE(f.table.assign(f.now).size() == 7);
    die();
  }
  CHECK(f.table.suspects() == 7);
  // Each round runs one pipeline's suspects; those of the first kill it.
  for (int round = 0; round < 2 && f.table.inspect(innocent); ++round) {
    const auto copies = f.table.assign(f.now);
    REQUIRE_FALSE(copies.empty());
    if (copies.front().pipeline == f.main)
      die();
    else
      CHECK(f.answer(copies.front(), attempt_end::done));
  }
  CHECK_FALSE(f.table.inspect(innocent));
}

TEST_CASE("a worker that a pipeline's hung suspect gives back goes to another pipeline's at once") {
  fixture f;
  const auto other = f.table.add_pipeline(fixture::prompt());
  const auto join = [&] { f.table.join(4, {f.main, other}); };
  const auto become_suspect = [&](task_key key) {
    f.table.submit(key, true, f.now);
    for (int death = 0; death < 2; ++death) {
      f.table.leave(f.only().worker, departure::died, f.now);
      join();
    }
  };
  join();
  become_suspect(f.key(1)); // so that the other pipeline is looked at first from then on
  CHECK(f.answer(f.only(), attempt_end::done));
  CHECK(f.table.assign(f.now).empty());
  join();
  become_suspect(f.key(2));
  CHECK(f.only().at == position{2});
  become_suspect({other, position{1}, common});
  CHECK(f.table.assign(f.now).empty()); // of two workers one stays for those that are none
  f.pass(fixture::prompt().timeout);
  const auto next = f.only();
  CHECK(next.pipeline == other);
  CHECK(next.at == position{1});
}

TEST_CASE("a worker that retires while it runs suspects keeps what it has, and the rest go elsewhere") {
  fixture f;
  for (std::uint64_t at = 1; at <= 4; ++at) f.submit(at);
  for (int death = 0; death < 2; ++death) {
    const auto w = f.join(4);
    REQUIRE(f.positions().size() == 4);
    f.table.leave(w, departure::died, f.now);
  }
  const auto w = f.join(2);
  const auto running = f.table.assign(f.now);
  REQUIRE(running.size() == 2);
  f.table.retire(w);
  f.join(2);
  CHECK(f.positions() == numbers{3, 4});
  CHECK(f.answer(running[0], attempt_end::done));
  f.table.leave(w, departure::lost, f.now);
  CHECK(f.table.counters().crashed == 0);
}

TEST_CASE("a worker all of whose slots hang is told of once, after the longest timeout") {
  retry_settings policy = fixture::prompt();
  policy.max_timeout = 10s;
  fixture f(policy);
  const auto w = f.join(2);
  f.submit(1);
  f.submit(2);
  const auto copies = f.table.assign(f.now);
  f.pass(2s);
  CHECK(f.table.take_hung().empty());

  SECTION("and not when one of them is answered after all") {
    f.pass(9s);
    CHECK_FALSE(f.table.take_hung() == std::vector<worker_id>{w});
    f.answer(copies[0], attempt_end::failed);
    f.table.withdraw(f.key(1), f.now);
    f.table.withdraw(f.key(2), f.now);
    f.pass(100s);
    CHECK(f.table.take_hung().empty());
  }
  SECTION("else it is") {
    f.pass(10s);
    CHECK(f.table.take_hung() == std::vector<worker_id>{w});
    f.pass(100s);
    CHECK(f.table.take_hung().empty());
  }
}

namespace {

/// A worker with eight slots that serves two pipelines, of which the first one's messages hang.
struct shared_worker : fixture {
  explicit shared_worker(const retry_settings& policy) : fixture(policy), other(table.add_pipeline(policy)) {
    worker = table.join(8, {main, other});
  }
  void submit_other(std::uint64_t at) { table.submit({other, position{at}, common}, true, now); }
  std::size_t running(pipeline_index of) {
    std::size_t count = 0;
    for (auto& d : table.assign(now)) {
      if (d.pipeline == of) ++count;
      copies.push_back(std::move(d));
    }
    return count;
  }

  pipeline_index other;
  worker_id worker;
  std::vector<dispatch> copies;
};

} // namespace

TEST_CASE("messages that hang leave half of a worker's slots to its other pipelines") {
  retry_settings policy = fixture::prompt();
  policy.max_timeout = 10s;
  shared_worker f(policy);
  for (std::uint64_t n = 1; n <= 3; ++n) f.submit(n);
  CHECK(f.running(f.main) == 3);
  f.pass(2s); // all of them are due again
  CHECK(f.running(f.main) == 1);
  for (std::uint64_t n = 4; n <= 9; ++n) f.submit(n, true);
  CHECK(f.running(f.main) == 0);
  for (std::uint64_t n = 1; n <= 9; ++n) f.submit_other(n);
  CHECK(f.running(f.other) == 4);

  SECTION("they have them back when one is answered") {
    CHECK(f.answer(f.copies.front(), attempt_end::done));
    CHECK(f.running(f.main) == 1);
  }
  SECTION("the worker is told of once its share hangs for the longest timeout, and what others do changes nothing") {
    f.pass(4s);
    CHECK(f.answer(f.copies.back(), attempt_end::done));
    f.pass(9s);
    CHECK(f.table.take_hung().empty());
    f.pass(1s);
    CHECK(f.table.take_hung() == std::vector<worker_id>{f.worker});
  }
}

TEST_CASE("a shared worker all of whose slots hang is told of after one more timeout, and gets fewer the next time") {
  shared_worker f(fixture::prompt());
  for (std::uint64_t n = 1; n <= 20; ++n) f.submit(n);
  CHECK(f.running(f.main) == 8);
  f.submit_other(1);
  f.pass(2s);
  CHECK(f.running(f.other) == 0);
  f.pass(2s);
  CHECK(f.table.take_hung() == std::vector<worker_id>{f.worker});
  f.table.leave(f.worker, departure::lost, f.now);
  f.worker = f.table.join(8, {f.main, f.other});
  CHECK(f.running(f.main) == 4);
  CHECK(f.copies.size() == 8 + 4 + 1);
}

TEST_CASE("a pipeline whose messages time out has a worker of its own for itself") {
  fixture f;
  f.join(8);
  for (std::uint64_t n = 1; n <= 20; ++n) f.submit(n);
  CHECK(f.positions().size() == 8);
  f.pass(2s);
  f.join(8);
  CHECK(f.positions().size() == 8);
}
