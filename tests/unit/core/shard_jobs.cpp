#include "reseq/core/shard_jobs.hpp"

#include <memory>

#include "catch.hpp"

using namespace reseq;
using namespace reseq::core;

namespace {

constexpr work_key common{position{5}, chain_index{0}};
constexpr asking first{1};
constexpr job_waiter first_lane{0, sequence{1}};
constexpr job_waiter second_lane{1, sequence{8}};

} // namespace

TEST_CASE("work that several lanes want is asked for once") {
  shard_jobs jobs;
  CHECK(jobs.want(common, first_lane).ask);
  CHECK_FALSE(jobs.want(common, second_lane).ask);
  CHECK(jobs.want({position{5}, chain_index{2}}, second_lane).ask);
  const auto waiting = jobs.finish(common, first, {std::make_shared<content>(), {}});
  REQUIRE(waiting.size() == 2);
  CHECK(waiting[1].seq == sequence{8});
}

TEST_CASE("a result stays known while somebody uses it, and no longer") {
  shard_jobs jobs;
  const auto body = std::make_shared<content>();
  jobs.want(common, first_lane);
  jobs.finish(common, first, {body, {}});
  const auto later = jobs.want(common, second_lane);
  REQUIRE(later.known);
  CHECK(later.known->body == body);
  CHECK_FALSE(jobs.release(common, first_lane).forgotten);
  CHECK(jobs.size() == 1);
  CHECK(jobs.release(common, second_lane).forgotten);
  CHECK(jobs.size() == 0);
  CHECK(jobs.want(common, first_lane).ask);
}

TEST_CASE("a second answer finds nobody waiting") {
  shard_jobs jobs;
  jobs.want(common, first_lane);
  CHECK(jobs.finish(common, first, {}).size() == 1);
  CHECK(jobs.finish(common, first, {}).empty());
  CHECK(jobs.give_up(common, first).empty());
  CHECK(jobs.finish({position{6}, chain_index{0}}, first, {}).empty());
}

TEST_CASE("work is withdrawn when the last that waits for it leaves") {
  shard_jobs jobs;
  jobs.want(common, first_lane);
  jobs.want(common, second_lane);
  CHECK_FALSE(jobs.release(common, first_lane).withdraw);
  CHECK(jobs.release(common, second_lane).withdraw);
  CHECK(jobs.size() == 0);
}

TEST_CASE("work that was given up is asked for again by those who still want it") {
  shard_jobs jobs;
  jobs.want(common, first_lane);
  jobs.want(common, second_lane);
  CHECK(jobs.give_up(common, first).size() == 2);
  CHECK_FALSE(jobs.release(common, first_lane).withdraw);
  CHECK(jobs.wait_again(common, second_lane) == asking{2});
  CHECK(jobs.finish(common, first, {}).empty());
  CHECK(jobs.finish(common, asking{2}, {}).size() == 1);
}

TEST_CASE("what was withdrawn and asked for again waits for the later answer") {
  shard_jobs jobs;
  CHECK(jobs.want(common, first_lane).ask == first);
  CHECK(jobs.release(common, first_lane).withdraw);
  CHECK(jobs.want(common, second_lane).ask == asking{2});
  CHECK(jobs.finish(common, first, {}).empty());
  CHECK(jobs.give_up(common, first).empty());
  CHECK(jobs.finish(common, asking{2}, {}).size() == 1);
}
