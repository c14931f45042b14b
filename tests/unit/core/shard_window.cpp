#include "catch.hpp"
#include "shard_fixture.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace reseq::core::test;

namespace {

destination_setup with_backlog(std::uint64_t last, std::uint32_t window = 8) {
  auto d = setup(1);
  d.last = sequence{last};
  d.settings.window = window;
  return d;
}

} // namespace

TEST_CASE("what does not fit stays in the journal and is read when a quarter of the window is free") {
  auto d = setup(1);
  d.settings.window = 8;
  d.settings.batch = 1;
  shard_fixture f({d});
  for (int i = 0; i < 12; ++i) f.accept({1});
  CHECK(f.tested.messages_in_memory() == 8);
  CHECK(f.find(9) == "enrolled");
  CHECK(f.todo.reads.empty());
  f.work(1);
  f.answer(f.todo.sends[0], confirmed{});
  CHECK(f.todo.reads.empty());
  f.work(2);
  f.answer(f.todo.sends[0], confirmed{});
  REQUIRE(f.todo.reads.size() == 1);
  CHECK(f.todo.reads[0].from == sequence{9});
  CHECK(f.todo.reads[0].max_messages == 2);
  f.read_reply(1, 9, 10);
  CHECK(f.asked() == numbers{9, 10});
  CHECK(f.tested.messages_in_memory() == 8);
}

TEST_CASE("after a start the backlog is read from behind the watermark, one read at a time") {
  shard_fixture f({with_backlog(20)});
  REQUIRE(f.todo.reads.size() == 1);
  CHECK(f.todo.reads[0].from == sequence{1});
  CHECK(f.todo.reads[0].max_messages == 8);
  CHECK(f.phase() == "reading");
  f.last_sequence[1] = 20;
  f.last_position = 20;
  f.accept({1});
  CHECK(f.todo.reads.empty());
  CHECK(f.asked().empty());
  f.read_reply(1, 1, 8);
  CHECK(f.asked() == numbers{1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE("a reply that overlaps with an acceptance admits nothing twice") {
  shard_fixture f({with_backlog(2)});
  f.last_sequence[1] = 2;
  f.last_position = 2;
  f.read_reply(1, 1, 3); // the third was durable before the shard heard of it
  CHECK(f.asked() == numbers{1, 2, 3});
  f.accept({1});
  CHECK(f.asked().empty());
  CHECK(f.tested.messages_in_memory() == 3);
  f.accept({1});
  CHECK(f.asked() == numbers{4});
}

TEST_CASE("a read that failed, or brought nothing, is asked again after a backoff") {
  shard_fixture f({with_backlog(3)});
  f.tested.backlog_failed(destination_id{1}, t0);
  CHECK(f.tested.wakeup() == after(100));
  f.tick(after(100));
  REQUIRE(f.todo.reads.size() == 1);
  f.tested.backlog(destination_id{1}, {}, after(100));
  f.take();
  CHECK(f.todo.reads.empty());
  CHECK(f.tested.wakeup() == after(300));
  f.tick(after(300));
  CHECK(f.todo.reads.size() == 1);
}

TEST_CASE("a message larger than the window goes in as the head, and alone") {
  auto d = setup(1);
  d.settings.window_bytes = 100;
  shard_fixture f({d});
  f.accept({1}, 5000);
  CHECK(f.asked() == numbers{1});
  f.accept({1}, 1);
  CHECK(f.asked().empty());
  CHECK(f.todo.reads.empty());
  f.work(1);
  f.answer(f.todo.sends[0], confirmed{});
  REQUIRE(f.todo.reads.size() == 1);
  CHECK(f.todo.reads[0].from == sequence{2});
}

TEST_CASE("what a read brings and does not fit is not read again before there is room for it") {
  auto d = with_backlog(2);
  d.settings.window_bytes = 100;
  shard_fixture f({d});
  std::vector<backlog_item> items{{sequence{1}, position{1}, payload(10)}, {sequence{2}, position{2}, payload(500)}};
  f.tested.backlog(destination_id{1}, items, t0);
  f.take();
  CHECK(f.asked() == numbers{1});
  CHECK(f.todo.reads.empty());
  CHECK_FALSE(f.tested.wakeup());
  f.work(1, nullptr);
  CHECK(f.todo.reads.size() == 1);
}

TEST_CASE("a start passes over what is settled above the watermark") {
  auto d = with_backlog(4);
  d.progress.watermark = sequence{1};
  d.progress.above = {sequence{3}};
  d.progress.last_delivered = sequence{1};
  shard_fixture f({d});
  CHECK(f.todo.reads[0].from == sequence{2});
  f.read_reply(1, 2, 4);
  CHECK(f.asked() == numbers{2, 4});
  f.work(4);
  f.work(2);
  REQUIRE(f.sent() == numbers{2, 4});
  CHECK(f.todo.sends[0].items[0].previous == sequence{1});
  CHECK(f.todo.sends[0].items[1].previous == sequence{2});
}

TEST_CASE("a held message is held after a start, and its lane waits without work being asked for it") {
  auto d = with_backlog(2);
  d.held = {{d.id, sequence{1}, position{1}, hold_reason::refused, 3, "no", {}}};
  shard_fixture f({d});
  CHECK(f.find(1) == "held");
  const auto unread = f.status().head;
  REQUIRE(unread);
  CHECK((unread->phase == "held" && unread->at == position{1} && unread->attempts == 3 && unread->last_error == "no"));
  f.read_reply(1, 1, 2);
  CHECK(f.asked() == numbers{2});
  f.work(2);
  CHECK(f.todo.sends.empty());
  CHECK(f.status().state == lane_state::held);
  CHECK(f.status().head->ready_behind == 1);
  f.tested.retry(1, d.id, sequence{1}, t0, f.wall);
  f.take();
  CHECK(f.asked() == numbers{1});
  CHECK(f.todo.work[0].head);
}

TEST_CASE("a destination that lags shares a result that another window still holds") {
  auto slow = setup(2);
  slow.settings.window = 1;
  shard_fixture f({setup(1), slow});
  f.accept({1, 2});
  f.accept({1, 2});
  f.work(2, body("shared"));
  f.work(1, nullptr);
  f.save();
  REQUIRE(f.todo.sends.size() == 1);
  const auto request = f.todo.sends[0];
  f.tested.backlog(destination_id{2}, {{sequence{2}, position{2}, payload(10)}}, t0);
  f.take();
  CHECK(f.asked().empty());
  REQUIRE(f.sent() == numbers{2});
  CHECK(f.todo.sends[0].items[0].body == request.items[0].body);
}
