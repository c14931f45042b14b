#include "catch.hpp"
#include "shard_fixture.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace reseq::core::test;

namespace {

constexpr destination_id one{1};

destination_setup dead_lettering(std::uint32_t most_in_a_row) {
  auto d = setup(1);
  d.settings.on_refused = give_up::dead_letter;
  d.settings.max_dead_letters = most_in_a_row;
  d.settings.batch = 1;
  return d;
}

/// Two messages, the first exhausted and durably held.
shard_fixture with_exhausted_head() {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.accept({1});
  f.give_up_at(1);
  f.save();
  return f;
}

} // namespace

TEST_CASE("an exhausted head is shown as held once that is durable") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.accept({1});
  f.give_up_at(1);
  REQUIRE(f.todo.save);
  REQUIRE(f.todo.save->held.size() == 1);
  CHECK(f.todo.save->held[0] == held_record{one, sequence{1}, position{1}, hold_reason::exhausted, 5, "boom", f.wall});
  CHECK(f.todo.save->progress.empty());
  CHECK(f.phase() == "saving");
  CHECK(f.status().held.empty());
  CHECK(f.status().state == lane_state::running);
  f.save();
  CHECK(f.phase() == "held");
  CHECK(f.find(1) == "held");
  CHECK(f.status().state == lane_state::held);
  f.work(2);
  CHECK(f.todo.sends.empty());
  CHECK(f.status().head->ready_behind == 1);
}

TEST_CASE("work given up for one lane's head starts anew for a lane that is not there yet") {
  shard_fixture f({setup(1), setup(2)});
  f.accept({2});
  f.accept({1, 2});
  f.give_up_at(2);
  REQUIRE(f.asked() == numbers{2});
  CHECK_FALSE(f.todo.work[0].head);
  CHECK(f.find(1, 2) == "pending");
  f.save();
  CHECK(f.find(1, 1) == "held");
}

TEST_CASE("a retried message is tried anew although another lane waits for what is worked out of it") {
  shard_fixture f({setup(1), setup(2)});
  f.accept({2});
  f.accept({1, 2});
  f.give_up_at(2);
  f.save();
  f.tested.retry(7, one, sequence{1}, t0, f.wall);
  f.take();
  REQUIRE(f.asked() == numbers{2});
  CHECK(f.todo.work[0].head);
  CHECK(f.todo.work[0].asked == asking{4});
  REQUIRE(f.todo.withdrawn == std::vector{work_key{position{2}, chain_index{0}}});
  f.work(2);
  CHECK(f.sent() == numbers{1});
  CHECK(f.find(2, 2) == "ready");
}

TEST_CASE("all that wait for a retried message are asked for at once") {
  shard_fixture f({setup(1), setup(2)});
  f.accept({1, 2});
  f.give_up_at(1);
  f.save();
  f.tested.retry(7, one, std::nullopt, t0, f.wall);
  f.tested.retry(8, destination_id{2}, std::nullopt, t0, f.wall);
  f.take();
  CHECK(f.asked() == numbers{1});
  CHECK(f.todo.withdrawn.empty());
}

TEST_CASE(
  "a retried exhausted message is worked out again as the head, and its operator answered when that is durable") {
  auto f = with_exhausted_head();
  f.tested.retry(7, one, sequence{1}, t0, f.wall);
  f.take();
  REQUIRE(f.asked() == numbers{1});
  CHECK(f.todo.work[0].head);
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->unheld[0].seq == sequence{1});
  CHECK(f.todo.save->operations[0].kind == "retry");
  CHECK(f.todo.answers.empty());
  f.save();
  REQUIRE(f.todo.answers.size() == 1);
  CHECK(f.todo.answers[0].token == 7);
  CHECK(f.todo.answers[0].outcome == 1);
  f.work(2);
  f.work(1);
  CHECK(f.sent() == numbers{1, 2});
}

TEST_CASE("a skipped message is settled, and what follows goes once that is durable") {
  auto f = with_exhausted_head();
  f.work(2);
  f.tested.skip(7, one, sequence{1}, t0, f.wall);
  f.take();
  CHECK(f.todo.sends.empty());
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->progress[0].watermark == sequence{1});
  CHECK(f.todo.save->unheld.size() == 1);
  CHECK(f.todo.save->operations[0].kind == "skip");
  f.save();
  CHECK(f.todo.answers[0].outcome == 1);
  REQUIRE(f.sent() == numbers{2});
  CHECK(f.todo.sends[0].items[0].previous == sequence{0});
}

TEST_CASE("a destination that is resumed, paused or not, is asked at once, however long its receiver was to rest") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.work(1);
  f.answer(f.todo.sends[0], failing{"503", std::chrono::minutes{30}});
  CHECK(f.status().state == lane_state::failing);
  f.tested.resume(1, one, after(1), f.wall);
  f.take();
  REQUIRE(f.sent() == numbers{1});
  f.answer(f.todo.sends[0], failing{"503", std::chrono::minutes{30}}, after(2));
  f.tested.pause(2, one, after(3), f.wall);
  f.tick(after(3'600'000));
  CHECK(f.todo.sends.empty());
  f.tested.resume(3, one, after(4), f.wall);
  f.take();
  CHECK(f.sent() == numbers{1});
}

TEST_CASE("a receiver that is being asked again is shown as asked, with what it failed of before") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.work(1);
  CHECK(f.status().head->asked_at == t0);
  f.answer(f.todo.sends[0], failing{"503", {}}, after(1));
  CHECK_FALSE(f.status().head->asked_at);
  f.tick(after(1000));
  REQUIRE(f.sent() == numbers{1});
  CHECK(f.status().head->asked_at == after(1000));
  CHECK(f.status().head->last_error == "503");
  CHECK_FALSE(f.status().head->next_attempt);
}

TEST_CASE("where all keys that wait have failed the destination does, though nobody knows that its receiver is away") {
  auto by_key = setup(1);
  by_key.settings.order = delivery_order::key;
  by_key.settings.connections = 4;
  shard_fixture f({by_key});
  f.accept({1});
  f.work(1);
  CHECK(f.status().state == lane_state::running);
  f.answer(f.todo.sends[0], failing{"503", {}});
  CHECK(f.status().state == lane_state::failing);
  f.tick(after(200));
  CHECK(f.status().state == lane_state::failing);
  f.answer(f.todo.sends[0], confirmed{}, after(201));
  CHECK(f.status().state == lane_state::running);
}

TEST_CASE("a destination with order by key that is resumed sends every key that rested") {
  auto by_key = setup(1);
  by_key.settings.order = delivery_order::key;
  by_key.settings.connections = 4;
  by_key.settings.batch = 1;
  shard_fixture f({by_key});
  f.accept({1});
  f.work(1);
  REQUIRE(f.sent() == numbers{1});
  f.answer(f.todo.sends[0], failing{"503", std::chrono::minutes{30}});
  REQUIRE(f.status().head->next_attempt > after(1000));
  f.tested.resume(1, one, after(1), f.wall);
  f.take();
  CHECK(f.sent() == numbers{1});
}

TEST_CASE("retry and skip of what is not held are refused, and unknown destinations are not found") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.tested.retry(1, one, sequence{1}, t0, f.wall);
  f.tested.skip(2, one, sequence{1}, t0, f.wall);
  f.tested.retry(3, one, std::nullopt, t0, f.wall);
  f.tested.skip(4, destination_id{9}, sequence{1}, t0, f.wall);
  f.tested.pause(5, destination_id{9}, t0, f.wall);
  f.take();
  REQUIRE(f.todo.answers.size() == 5);
  CHECK(f.todo.answers[0].outcome.error().code == errc::conflict);
  CHECK(f.todo.answers[1].outcome.error().code == errc::conflict);
  CHECK(f.todo.answers[2].outcome == 0);
  CHECK(f.todo.answers[3].outcome.error().code == errc::not_found);
  CHECK(f.todo.answers[4].outcome.error().code == errc::not_found);
  CHECK_FALSE(f.todo.save);
}

TEST_CASE("a retry of what was delivered says so") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.work(1);
  f.answer(f.todo.sends[0], confirmed{});
  f.save();
  f.tested.retry(1, one, sequence{1}, t0, f.wall);
  f.take();
  REQUIRE(f.todo.answers.size() == 1);
  CHECK(f.todo.answers[0].outcome.error().text() ==
        "sequence 1: is not held at d1, but settled: delivered, given up, lost or a dead letter");
}

TEST_CASE("a refused message of a batch is found singly and held, and delivered again when retried") {
  shard_fixture f({setup(1)});
  for (int i = 0; i < 3; ++i) f.accept({1});
  for (std::uint64_t at = 3; at >= 1; --at) f.work(at);
  REQUIRE(f.sent() == numbers{1, 2, 3});
  f.answer(f.todo.sends[0], refused{"422"});
  REQUIRE(f.sent() == numbers{1});
  f.answer(f.todo.sends[0], confirmed{});
  REQUIRE(f.sent() == numbers{2});
  f.answer(f.todo.sends[0], refused{"422"});
  CHECK(f.todo.sends.empty());
  f.save();
  f.save();
  REQUIRE(f.status().held.size() == 1);
  CHECK(f.status().held[0].reason == hold_reason::refused);
  CHECK(f.status().held[0].last_error == "422");
  f.tested.retry(1, one, std::nullopt, t0, f.wall);
  f.take();
  CHECK(f.asked().empty());
  REQUIRE(f.sent() == numbers{2, 3});
  CHECK(f.todo.sends[0].items[0].attempt == 3);
  CHECK(f.todo.sends[0].items[0].previous == sequence{1});
}

TEST_CASE("a dead-lettered message is recorded with its outcome, and its lane goes on once that is durable") {
  shard_fixture f({dead_lettering(100)});
  f.accept({1});
  f.accept({1});
  f.work(1);
  f.work(2);
  f.tested.answered(one, request_id{1}, refused{"400"}, t0, f.wall);
  f.take();
  CHECK(f.todo.sends.empty());
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->dead_letters[0].reason == hold_reason::refused);
  CHECK(f.todo.save->progress[0].watermark == sequence{1});
  CHECK(f.todo.save->progress[0].last_delivered == sequence{0});
  CHECK(f.todo.save->progress[0].dead_letters_in_a_row == 1);
  f.save();
  CHECK(f.sent() == numbers{2});
}

TEST_CASE("once it has diverged, that is the reason for what is not held as well") {
  auto f = with_exhausted_head();
  f.tested.diverge("the journal has gone back");
  f.take();
  for (const auto seq : {1U, 2U, 9U}) {
    f.tested.skip(7, one, sequence{seq}, t0, f.wall);
    f.take();
    REQUIRE(f.todo.answers.size() == 1);
    REQUIRE_FALSE(f.todo.answers[0].outcome.has_value());
    CHECK(f.todo.answers[0].outcome.error().what.find("the journal has gone back") != std::string::npos);
  }
}

TEST_CASE("what is given up is told with its place, its id and the reason, and whether it is held") {
  shard_fixture f({setup(1)});
  f.tested.accepted({{position{1}, std::make_shared<message>("m-1", "", content{}), {{one, sequence{1}}}}}, t0);
  f.take();
  f.tested.gave_up({position{1}, chain_index{}, 1, "no such order", f.asked(1), true}, t0, f.wall);
  f.take();
  REQUIRE(f.todo.abandoned.size() == 1);
  const auto& told = f.todo.abandoned[0];
  CHECK(told.why == held_record{one, sequence{1}, position{1}, hold_reason::permanent, 1, "no such order", f.wall});
  CHECK(told.message_id == "m-1");
  CHECK(told.held);
}

TEST_CASE("exhausted messages are dead-lettered when that is the policy") {
  shard_fixture f({setup(1)}, give_up::dead_letter);
  f.accept({1});
  f.give_up_at(1);
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->dead_letters[0].reason == hold_reason::exhausted);
  CHECK(f.todo.save->held.empty());
  CHECK(f.find(1) == "settled");
}

TEST_CASE("more dead letters in a row than allowed hold the lane, also across a start, until a delivery") {
  auto d = dead_lettering(2);
  d.progress.dead_letters_in_a_row = 1;
  shard_fixture f({d});
  for (int i = 0; i < 2; ++i) f.accept({1});
  f.work(1);
  f.work(2);
  f.tested.answered(one, request_id{1}, refused{"400"}, t0, f.wall);
  f.take();
  f.save();
  f.answer(f.todo.sends[0], refused{"400"});
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->dead_letters.empty());
  CHECK(f.todo.save->held[0].reason == hold_reason::dead_letters);
  f.save();
  f.tested.retry(1, one, std::nullopt, t0, f.wall);
  f.take();
  f.answer(f.todo.sends[0], confirmed{});
  f.save();
  CHECK(f.todo.save->progress[0].dead_letters_in_a_row == 0);
}

TEST_CASE("a paused destination sends nothing while its window fills, and says so when nothing is under way") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.work(1);
  const auto request = f.todo.sends[0];
  f.tested.pause(5, one, t0, f.wall);
  f.take();
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->progress[0].paused);
  f.save();
  CHECK(f.todo.answers.empty());
  f.answer(request, confirmed{});
  REQUIRE(f.todo.answers.size() == 1);
  CHECK(f.todo.answers[0].token == 5);
  f.save();
  f.accept({1});
  CHECK(f.asked() == numbers{2});
  f.work(2);
  CHECK(f.todo.sends.empty());
  CHECK(f.status().state == lane_state::paused);
  f.tested.resume(6, one, t0, f.wall);
  f.take();
  CHECK(f.sent() == numbers{2});
  REQUIRE(f.todo.save);
  CHECK_FALSE(f.todo.save->progress[0].paused);
  CHECK(f.todo.save->operations[0].kind == "resume");
  f.save();
  CHECK(f.todo.answers[0].token == 6);
}

TEST_CASE("a pause survives a start") {
  auto d = setup(1);
  d.progress.paused = true;
  shard_fixture f({d});
  f.accept({1});
  f.work(1);
  CHECK(f.todo.sends.empty());
  CHECK(f.status().state == lane_state::paused);
}

TEST_CASE("a pause that is overtaken by a resume is told so") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.work(1);
  f.tested.pause(5, one, t0, f.wall);
  f.take();
  f.save();
  f.tested.resume(6, one, t0, f.wall);
  f.take();
  REQUIRE(f.todo.answers.size() == 1);
  CHECK(f.todo.answers[0].outcome.error().code == errc::conflict);
}

TEST_CASE("a shard that has diverged refuses operators, those that wait, too, and keeps its first reason") {
  auto f = with_exhausted_head();
  const auto refused = [&] {
    numbers tokens;
    for (const auto& answer : f.todo.answers) {
      REQUIRE_FALSE(answer.outcome.has_value());
      CHECK(answer.outcome.error().code == errc::conflict);
      CHECK(answer.outcome.error().what.find("the copy is an old one") != std::string::npos);
      tokens.push_back(answer.token);
    }
    return tokens;
  };
  f.tested.resume(1, one, t0, f.wall);
  f.take();
  REQUIRE(f.todo.save); // it may still become durable
  f.tested.pause(2, one, t0, f.wall);
  f.tested.retry(3, one, {}, t0, f.wall);
  f.tested.diverge("the copy is an old one");
  f.take();
  CHECK(refused() == numbers{3, 2});
  f.tested.save_failed(t0);
  f.take();
  CHECK(refused() == numbers{1});
  f.tested.diverge("something else");
  f.tested.pause(4, one, t0, f.wall);
  f.tested.resume(5, one, t0, f.wall);
  f.tested.retry(6, one, {}, t0, f.wall);
  f.take();
  CHECK(refused() == numbers{4, 5, 6});
  CHECK_FALSE(f.todo.diverged);
  CHECK_FALSE(f.todo.save);
}

TEST_CASE("an operator's change whose save failed is saved again, and answered only then") {
  auto f = with_exhausted_head();
  f.tested.skip(7, one, sequence{1}, t0, f.wall);
  f.take();
  f.tested.save_failed(t0);
  f.tick(after(100));
  REQUIRE(f.todo.save);
  CHECK(f.todo.answers.empty());
  CHECK(f.todo.save->unheld.size() == 1);
  CHECK(f.todo.save->operations.size() == 1);
  CHECK(f.todo.save->progress.size() == 1);
  f.save();
  CHECK(f.todo.answers.size() == 1);
}
