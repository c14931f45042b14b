#include "reseq/store/group_commit.hpp"

#include <memory>
#include <string>

#include "catch.hpp"

using namespace reseq;
using namespace reseq::store;

namespace {

using step = group_commit::step;
using health = group_commit::health;

constexpr shard_handle first_shard{1};
constexpr shard_handle second_shard{2};

struct fixture {
  explicit fixture(group_limits limits = {1000, 100, 0}) : tested(limits) {
    tested.add(first_shard);
    tested.add(second_shard);
  }

  void submit(const std::string& id, std::size_t bytes = 10, shard_handle shard = first_shard) {
    submission wanted;
    wanted.message = std::make_shared<const message>(id, "", content{std::string(bytes - id.size(), 'x'), "", {}});
    tested.submit(shard, {std::move(wanted)}, [this, id](const group_commit::receipts& got) {
      told.push_back(id + (got ? " " + std::to_string(got->front()->at.value()) : ": " + got.error().what));
    });
  }

  /// As a journal that accepts everything.
  static shard_committed accept(const shard_commit& wanted, std::uint64_t& last) {
    shard_committed done;
    for (const auto& s : wanted.submissions) {
      done.receipts.emplace_back(receipt{s.message->id(), false, position{++last}});
      done.accepted.push_back({position{last}, s.message, {}});
    }
    return done;
  }

  group_commit::outcome commit() {
    std::vector<shard_committed> done;
    written = tested.begin();
    for (const auto& wanted : written) done.push_back(accept(wanted, last));
    return tested.finish(std::move(done));
  }
  group_commit::outcome fail_commit(errc code) {
    written = tested.begin();
    return tested.finish(fail(code, "it fails"));
  }

  void answer(group_commit::outcome& outcome) {
    for (auto& news : outcome.shards)
      for (auto& [to, what] : news.receipts) to(what);
  }

  group_commit tested;
  std::uint64_t last = 0;
  std::vector<shard_commit> written;
  std::vector<std::string> told;
};

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("what is on its way joins the batch, which is committed once") {
  fixture f;
  CHECK(f.tested.next() == step::nothing);
  f.submit("a");
  CHECK(f.tested.next() == step::soon);
  f.submit("b");
  f.tested.save(first_shard, {});
  f.submit("c", 10, second_shard);
  CHECK(f.tested.next() == step::nothing);
  f.tested.flushed();
  REQUIRE(f.tested.next() == step::now);
  auto outcome = f.commit();
  REQUIRE(f.written.size() == 2);
  CHECK(f.written[0].submissions.size() == 2);
  CHECK(outcome.how == health::works);
  REQUIRE(outcome.shards.size() == 2);
  CHECK(outcome.shards[0].saved == true);
  CHECK(outcome.shards[0].accepted.size() == 2);
  CHECK(outcome.shards[0].bytes == 20);
  CHECK_FALSE(outcome.shards[1].saved);
  f.answer(outcome);
  CHECK(f.told == texts{"a 1", "b 2", "c 3"});
  CHECK(f.tested.next() == step::nothing);
}

TEST_CASE("a large batch is committed without waiting for more, when there is room for it") {
  fixture f;
  f.submit("a", 99);
  CHECK(f.tested.next() == step::soon);
  f.submit("b", 901);
  REQUIRE(f.tested.next() == step::now);
  f.commit();
  f.submit("c", 1);
  CHECK(f.tested.next() == step::nothing); // it is full: a and b have not been taken in
  f.tested.flushed();
  f.submit("d", 2000);
  CHECK(f.tested.next() == step::nothing);
  f.tested.taken(1000);
  CHECK(f.tested.next() == step::now);
}

TEST_CASE("a failed commit fails everything in it, and its trouble is told once") {
  fixture f;
  f.submit("a");
  f.tested.save(second_shard, {});
  auto outcome = f.fail_commit(errc::no_space);
  CHECK(outcome.how == health::fails_now);
  REQUIRE(outcome.shards.size() == 2);
  CHECK(outcome.shards[1].saved == false);
  f.answer(outcome);
  CHECK(f.told == texts{"a: it fails"});
  f.submit("b");
  CHECK(f.fail_commit(errc::no_space).how == health::failed);
  f.submit("c");
  CHECK(f.commit().how == health::works_again);
}

TEST_CASE("a commit in doubt is looked after until one of its shards works, though nobody commits anything") {
  fixture f;
  f.submit("a", 10, second_shard);
  f.fail_commit(errc::in_doubt);
  CHECK(f.tested.wants_look());
  CHECK_FALSE(f.tested.wants_look());
  f.tested.look_again();
  CHECK(f.tested.next() == step::soon);
  f.tested.flushed();
  REQUIRE(f.tested.next() == step::now);
  f.fail_commit(errc::in_doubt);
  REQUIRE(f.written.size() == 1);
  CHECK(f.written[0].shard == second_shard);
  CHECK(f.tested.wants_look());
  f.tested.look_again();
  f.commit();
  CHECK(f.tested.wants_look());
  f.tested.look_again(); // it is known now
  CHECK_FALSE(f.tested.wants_look());
  CHECK(f.tested.next() == step::nothing);
}

TEST_CASE("after a failure only what failed, or an empty commit, shows that all works again") {
  fixture f;
  core::journal_change change;
  change.unheld.push_back({destination_id{1}, sequence{1}});
  f.tested.save(first_shard, change);
  f.fail_commit(errc::unavailable);
  f.submit("a");
  CHECK(f.commit().how == health::works_in_part);
  f.tested.look_again();
  CHECK(f.commit().how == health::works_again);
}

TEST_CASE("with all shards let go, a look asks the journal alone") {
  fixture f;
  f.submit("a");
  f.fail_commit(errc::unavailable);
  CHECK(f.tested.let_go(first_shard).receipts.empty());
  CHECK(f.tested.let_go(second_shard).receipts.empty());
  f.tested.look_again();
  REQUIRE(f.tested.next() == step::now);
  f.commit();
  CHECK(f.written.empty());
}

TEST_CASE("what was to be written for a shard that is let go is refused, and the others' is not") {
  fixture f;
  f.submit("a");
  f.submit("b", 10, second_shard);
  auto left = f.tested.let_go(first_shard);
  for (auto& [to, what] : left.receipts) to(what);
  CHECK(f.told == texts{"a: its pipeline is being recovered"});
  f.commit();
  REQUIRE(f.written.size() == 1);
  CHECK(f.written[0].shard == second_shard);
}

TEST_CASE("a shard of which the journal has gone back says so, and others only that they were written with it") {
  fixture f;
  f.submit("a");
  f.submit("b", 10, second_shard);
  REQUIRE(f.tested.begin().size() == 2);
  const gone_back found[]{{first_shard, "it ends at 3"}};
  f.tested.refuse(found);
  auto outcome = f.tested.finish(fail(errc::diverged, "it has gone back"));
  CHECK(outcome.how == health::works_in_part);
  f.answer(outcome);
  CHECK(f.told ==
        texts{"a: has diverged: it ends at 3", "b: was to be written together with a shard that has diverged"});
  REQUIRE(f.tested.refusal(first_shard) != nullptr);
  CHECK(f.tested.refusal(second_shard) == nullptr);
}
