#include "catch.hpp"

#include <atomic>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <set>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "reseq/pipeline/executor.hpp"

using reseq::executor;

namespace {

class job : public executor::task {
public:
  explicit job(std::function<void()> work, std::function<void()> finish = {})
    : work_(std::move(work)), finish_(std::move(finish)) {}

  void work() override { work_(); }
  void finish() override {
    if (finish_) finish_();
  }

private:
  std::function<void()> work_;
  std::function<void()> finish_;
};

/// Whether it was taken.
bool run(executor& pool, std::function<void()> work, std::function<void()> finish = {}) {
  std::unique_ptr<executor::task> made = std::make_unique<job>(std::move(work), std::move(finish));
  return pool.run({&made, 1}) == 1;
}

/// Runs a job of which nothing is wanted, and waits until its slot is free again.
std::thread::id run_to_its_end(executor& pool) {
  struct shared {
    std::thread::id ran_on;
    std::promise<void> answered;
  };
  const auto s = std::make_shared<shared>(); // the answer may still be returning when this function has returned
  REQUIRE(run(
    pool, [s] { s->ran_on = std::this_thread::get_id(); }, [s] { s->answered.set_value(); }));
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
    REQUIRE(run(pool, [&] {
      all_run.count_down();
      finish.wait();
    }));
  all_run.wait();
  CHECK(pool.busy() == 3);
  CHECK(pool.threads() == 3);
  CHECK(!run(pool, [] {}));
  CHECK(pool.busy() == 3);
  finish.count_down();
}

TEST_CASE("whoever learns at its finish that a slot is free can fill it at once") {
  std::promise<int> refused;
  int left = 1000;
  std::function<void()> fill_again;
  executor pool(1);
  fill_again = [&] {
    if (--left == 0)
      refused.set_value(0);
    else if (!run(
               pool, [] {}, fill_again))
      refused.set_value(left);
  };
  REQUIRE(run(
    pool, [] {}, fill_again));
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
  REQUIRE(run(pool, [&] { finish.wait(); }));
  for (int i = 0; i < 200; ++i) run_to_its_end(pool);
  CHECK(pool.busy() == 1);
  finish.count_down();
}

TEST_CASE("destruction waits for what was taken") {
  std::atomic<int> done{0};
  {
    executor pool(8);
    for (int i = 0; i < 8; ++i)
      REQUIRE(run(
        pool, [&] { ++done; }, [&] { ++done; }));
  }
  CHECK(done == 16);
}

TEST_CASE("of many jobs at once as many are taken as there are slots, and the others are left to their owner") {
  std::latch finish(1);
  std::promise<void> all_ran;
  std::atomic<int> ran{0};
  std::vector<std::unique_ptr<executor::task>> jobs;
  executor pool(3);
  for (int i = 0; i < 5; ++i)
    jobs.push_back(std::make_unique<job>([&] {
      if (++ran == 3) all_ran.set_value();
      finish.wait();
    }));
  CHECK(pool.run(jobs) == 3);
  all_ran.get_future().wait();
  CHECK(pool.busy() == 3);
  for (std::size_t i = 0; i < jobs.size(); ++i) CHECK((jobs[i] != nullptr) == (i >= 3));
  CHECK(pool.run(std::span{jobs}.subspan(3)) == 0);
  finish.count_down();
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
    REQUIRE(run(
      pool,
      [s] {
        s->begun.set_value();
        s->finish.get_future().wait();
      },
      [s] { s->ended.set_value(); }));
    s->begun.get_future().wait();
    pool.abandon();
    CHECK(!run(pool, [] {}));
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
  const auto counted = [&] {
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
        if (run(pool, counted, [answered] { answered->set_value(); })) answered->get_future().wait();
      }
    });
  all.clear();
  CHECK(ran == threads * rounds);
  CHECK(most <= 4);
}
