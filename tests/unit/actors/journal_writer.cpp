#include "catch.hpp"

#include "writer_fixture.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

TEST_CASE("what arrives before the flush joins one commit") {
  writer_fixture f;
  const auto a = f.post({"a1", "a2"});
  const auto b = f.post({"b1"});
  f.post_save();
  const auto c = f.post({"c1"});
  f.system.run();
  CHECK(f.commits() == groups{{"a1", "a2", "b1", "c1"}});
  CHECK(f.journal->commits[0].held_changes == 1);
  CHECK(f.mail->saved == std::vector<bool>{true});
  CHECK(f.counted->commits.Value() == 1);
}

TEST_CASE("what arrives after the flush goes into the next commit, and nothing is committed while nothing is there") {
  writer_fixture f;
  f.post({"a"});
  f.system.run();
  f.post({"b"});
  f.system.run();
  f.system.pass(std::chrono::minutes{5});
  CHECK(f.commits() == groups{{"a"}, {"b"}});
}

TEST_CASE("each submitter gets its own receipts, in order") {
  writer_fixture f;
  const auto a = f.post({"a1", "refused", "a2"});
  const auto none = f.post({});
  const auto b = f.post({"b1", "a1"});
  f.system.run();
  REQUIRE(a.get());
  const auto& first = *a.get();
  REQUIRE(first.size() == 3);
  CHECK(first[0] == receipt{"a1", false, position{1}});
  REQUIRE_FALSE(first[1]);
  CHECK(first[1].error().code == errc::full);
  CHECK(first[2] == receipt{"a2", false, position{2}});
  REQUIRE(none.get());
  CHECK(none.get()->empty());
  REQUIRE(b.get());
  const auto& second = *b.get();
  REQUIRE(second.size() == 2);
  CHECK(second[0] == receipt{"b1", false, position{3}});
  CHECK(second[1] == receipt{"a1", true, position{1}});
}

TEST_CASE("the shard is told of new messages only, in the order of their positions") {
  writer_fixture f;
  f.post({"a", "refused", "b"});
  f.post({"a", "c"});
  f.system.run();
  REQUIRE(f.mail->accepted.size() == 1);
  const auto& news = f.mail->accepted[0];
  REQUIRE(news.messages.size() == 3);
  CHECK(news.messages[0].message->id() == "a");
  CHECK(news.messages[1].message->id() == "b");
  CHECK(news.messages[2].message->id() == "c");
  CHECK(news.messages[2].at == position{3});
  std::uint64_t bytes = 0;
  for (const auto& m : news.messages) bytes += m.message->size_bytes();
  CHECK(news.bytes > bytes); // and some for what a message takes beside its own

  f.post({"a", "refused"});
  f.system.run();
  CHECK(f.mail->accepted.size() == 1);
}

TEST_CASE("shards share a commit, and each hears of its own part") {
  writer_fixture f;
  const auto other = store::shard_handle{2};
  auto other_mail = std::make_shared<shard_mail>();
  f.system.send(f.writer, other, f.system.spawn(fake_shard, other_mail));
  const auto b = f.post({"b"}, 10, other);
  const auto a = f.post({"a"});
  f.post_save(other);
  f.system.run();
  REQUIRE(f.journal->commits.size() == 1);
  CHECK(f.journal->commits[0].shards == numbers{1, 2});
  REQUIRE(a.get());
  REQUIRE(b.get());
  CHECK(a.get()->at(0)->id == "a");
  CHECK(b.get()->at(0)->id == "b");
  REQUIRE(f.mail->accepted.size() == 1);
  CHECK(f.mail->accepted[0].messages.at(0).message->id() == "a");
  CHECK(f.mail->saved.empty());
  REQUIRE(other_mail->accepted.size() == 1);
  CHECK(other_mail->accepted[0].messages.at(0).message->id() == "b");
  CHECK(other_mail->saved == std::vector<bool>{true});
}

TEST_CASE("a large batch is committed without waiting for more") {
  writer_fixture f{{std::chrono::hours{1}, 1U << 20U, 1000}};
  f.post({"a"}, 300);
  f.post({"b"}, 300);
  f.post({"c"}, 300);
  f.system.run();
  CHECK(f.commits() == groups{{"a", "b"}, {"c"}});
}

TEST_CASE("bytes that a shard has not taken in stop commits, and taking them resumes them") {
  writer_fixture f{{std::chrono::hours{1}, 250, 1U << 20U}};
  f.post({"a"}, 300);
  f.system.run();
  REQUIRE(f.commits() == groups{{"a"}});
  const auto b = f.post({"b"});
  f.post_save();
  const auto c = f.post({"c"});
  f.system.run();
  CHECK(f.commits() == groups{{"a"}});
  CHECK(b.empty());

  f.system.send(f.writer, accepted_taken{f.mail->accepted.at(0).bytes});
  CHECK(f.commits() == groups{{"a"}, {"b", "c"}});
  CHECK(b.get());
  CHECK(c.get());
  CHECK(f.mail->saved == std::vector<bool>{true});
}

TEST_CASE("a flush that was on its way when the bytes became too many commits nothing") {
  writer_fixture f{{std::chrono::hours{1}, 250, 1000}};
  f.post({"a"}, 10);   // asks for a flush
  f.post({"b"}, 1000); // too large to wait for it
  const auto c = f.post({"c"}, 10);
  f.system.run();
  CHECK(f.commits() == groups{{"a", "b"}});
  CHECK(c.empty());
  f.system.send(f.writer, accepted_taken{f.mail->accepted.at(0).bytes});
  CHECK(f.commits() == groups{{"a", "b"}, {"c"}});
}

TEST_CASE("promises that a writer takes with it when it ends are answered") {
  writer_fixture f{{std::chrono::hours{1}, 250, 1U << 20U}};
  f.post({"a"}, 300);
  f.system.run();
  const auto b = f.post({"b"});
  f.system.run();
  REQUIRE(b.empty());
  f.system.kill(f.writer);
  REQUIRE_FALSE(b.get());
  CHECK(b.get().error().code == errc::unavailable);
}

TEST_CASE("retention runs every half minute, at once again while there is more, and not less after an error") {
  writer_fixture f;
  f.journal->expirable = 4500; // two full transactions and a part of one
  f.system.pass(std::chrono::seconds{29});
  CHECK(f.journal->expired.empty());
  f.system.pass(std::chrono::seconds{2});
  CHECK(f.journal->expired == numbers{1, 1, 1});
  CHECK(f.journal->expirable == 0);
  f.journal->failing = true;
  f.system.pass(std::chrono::seconds{30});
  CHECK(f.journal->expired.size() == 4);
  f.system.pass(std::chrono::seconds{30});
  CHECK(f.journal->expired.size() == 5);
}

TEST_CASE("retention leaves a shard alone that has diverged: a recovery may need what it has") {
  writer_fixture f;
  f.journal->expirable = 10;
  f.system.send(f.writer, refuse{writer_fixture::one, {errc::unavailable, "has diverged", {}}});
  f.system.pass(std::chrono::seconds{100});
  CHECK(f.journal->expired.empty());
}
