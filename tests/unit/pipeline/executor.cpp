#include "catch.hpp"

#include <atomic>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "reseq/pipeline/executor.hpp"

using reseq::executor;

namespace {

/// Runs a job of which nothing is wanted, and waits until its slot is free again.
std::thread::id run_to_its_end(executor& pool) {
  struct shared {
    std::thread::id ran_on;
    std::promise<void> answered;
  };
  const auto s = std::make_shared<shared>(); // the answer may still be returning when this function has returned
  REQUIRE(pool.run([s] { s->ran_on = std::this_thread::get_id(); }, [s] { s->answered.set_value(); }));
  s->answered.get_future().wait();
  return s->ran_on;
}

} // namespace

TEST_CASE("an executor starts no thread before there is a job") {
  const executor pool(4);
  CHECK(pool.slots() == 4);
  CHECK(pool.threads() == 0);
  CHECK(pool.busy() == 0);
}

TEST_CASE("as many jobs as there are slots run at once, and no more are taken") {
  std::latch all_run(3);
  std::latch finish(1);
  executor pool(3);
  for (int i = 0; i < 3; ++i)
    REQUIRE(pool.run([&] {
      all_run.count_down();
      finish.wait();
    }));
  all_run.wait();
  CHECK(pool.busy() == 3);
  CHECK(pool.threads() == 3);
  CHECK(!pool.run([] {}));
  CHECK(pool.busy() == 3);
  finish.count_down();
}

TEST_CASE("whoever learns by an answer that a slot is free can fill it at once") {
  std::promise<int> refused;
  int left = 1000;
  std::function<void()> fill_again;
  executor pool(1);
  fill_again = [&] {
    if (--left == 0)
      refused.set_value(0);
    else if (!pool.run([] {}, fill_again))
      refused.set_value(left);
  };
  REQUIRE(pool.run([] {}, fill_again));
  CHECK(refused.get_future().get() == 0);
  CHECK(pool.threads() == 1);
}

TEST_CASE("threads are reused") {
  executor pool(2);
  std::set<std::thread::id> seen;
  for (int i = 0; i < 200; ++i) seen.insert(run_to_its_end(pool));
  CHECK(seen.size() <= 2);
  CHECK(pool.threads() <= 2);
}

TEST_CASE("a job that blocks does not keep the others from running") {
  std::latch finish(1);
  executor pool(2);
  REQUIRE(pool.run([&] { finish.wait(); }));
  for (int i = 0; i < 200; ++i) run_to_its_end(pool);
  CHECK(pool.busy() == 1);
  finish.count_down();
}

TEST_CASE("destruction waits for what was taken") {
  std::atomic<int> done{0};
  {
    executor pool(8);
    for (int i = 0; i < 8; ++i) REQUIRE(pool.run([&] { ++done; }, [&] { ++done; }));
  }
  CHECK(done == 16);
}

TEST_CASE("what a job captured is gone before its answer is given") {
  auto captured = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = captured;
  std::promise<bool> gone;
  executor pool(1);
  REQUIRE(pool.run([kept = std::move(captured)] {}, [&] { gone.set_value(watched.expired()); }));
  CHECK(gone.get_future().get());
}

TEST_CASE("abandoned jobs are not waited for, and nothing is taken any more") {
  struct shared {
    std::promise<void> begun;
    std::promise<void> finish;
    std::promise<void> ended;
  };
  const auto s = std::make_shared<shared>();
  {
    executor pool(2);
    REQUIRE(pool.run(
      [s] {
        s->begun.set_value();
        s->finish.get_future().wait();
      },
      [s] { s->ended.set_value(); }));
    s->begun.get_future().wait();
    pool.abandon();
    CHECK(!pool.run([] {}));
    CHECK(pool.busy() == 1);
  }
  s->finish.set_value();
  s->ended.get_future().wait();
}

TEST_CASE("many threads share an executor") {
  constexpr int threads = 4;
  constexpr int rounds = 300;
  std::atomic<int> most{0};
  std::atomic<int> running{0};
  std::atomic<int> ran{0};
  executor pool(4);
  const auto job = [&] {
    const auto now = ++running;
    for (auto seen = most.load(); now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    ++ran;
    --running;
  };
  std::vector<std::jthread> all;
  for (int t = 0; t < threads; ++t)
    all.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) {
        const auto answered = std::make_shared<std::promise<void>>();
        if (pool.run(job, [answered] { answered->set_value(); })) answered->get_future().wait();
      }
    });
  all.clear();
  CHECK(ran == threads * rounds);
  CHECK(most <= 4);
}
