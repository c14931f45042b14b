#include "catch.hpp"

#include "writer_fixture.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

TEST_CASE("a failed commit fails every promise in it, tells the shard, and nothing of it is tried again") {
  writer_fixture f;
  f.journal->failing = true;
  const auto a = f.post({"a"});
  f.post_save();
  const auto b = f.post({"b1", "b2"});
  f.system.run();
  for (const auto* promise : {&a, &b}) {
    REQUIRE_FALSE(promise->get());
    CHECK(promise->get().error().code == errc::no_space);
  }
  CHECK(f.mail->saved == std::vector<bool>{false});
  CHECK(f.mail->accepted.empty());

  f.journal->failing = false;
  const auto c = f.post({"c"});
  f.system.run();
  CHECK(c.get());
  CHECK(f.commits() == groups{{"a", "b1", "b2"}, {"c"}});
  CHECK(f.journal->commits[1].held_changes == 0);
}

TEST_CASE("a commit in doubt is refused and looked up until it is known, and the shard hears of what it did") {
  writer_fixture f;
  f.journal->doubtful = true;
  const auto a = f.post({"a"});
  f.post_save();
  f.system.run();
  REQUIRE_FALSE(a.get());
  CHECK(a.get().error().code == errc::in_doubt);
  CHECK(f.mail->saved == std::vector<bool>{false});
  f.journal->doubtful = false;
  f.journal->failing = true;
  f.system.pass(std::chrono::seconds{10});
  CHECK(f.mail->accepted.empty());
  f.journal->failing = false;
  f.system.pass(std::chrono::seconds{1});
  REQUIRE(f.mail->accepted.size() == 1);
  CHECK(f.mail->accepted[0].messages.at(0).message->id() == "a");
  const auto commits = f.journal->commits.size();
  CHECK(commits > 3);
  f.system.pass(std::chrono::seconds{10});
  CHECK(f.journal->commits.size() == commits);
}

TEST_CASE("a server that is away is looked for until it is back, and whoever asks is told that it is away") {
  writer_fixture f;
  const auto trouble = [&] { return f.counted->journal.look(f.system.now()); };
  CHECK_FALSE(trouble());
  f.journal->away = true;
  const auto began = f.system.now();
  const auto refused = f.post({"a"});
  f.system.run();
  CHECK_FALSE(refused.get());
  REQUIRE(trouble());
  CHECK(trouble()->since == began);
  CHECK(trouble()->what.find("it is away") != std::string::npos);
  f.system.pass(std::chrono::seconds{10});
  const auto commits = f.journal->commits.size();
  CHECK(commits > 10);
  CHECK(commits < 30);
  CHECK(trouble()->since == began);
  f.journal->away = false;
  f.system.pass(std::chrono::seconds{1});
  CHECK_FALSE(trouble());
  const auto all = f.journal->commits.size();
  f.system.pass(std::chrono::seconds{10});
  CHECK(f.journal->commits.size() == all);
}

TEST_CASE("a submission that was refused while it waited is left out, and one that was taken up is not to be refused") {
  writer_fixture f;
  const auto post = [&](const std::string& id, bool refused) {
    answered<receipts> to;
    submit request{store::shard_handle{1}, {{make_message(id), {}, {}}}, to.reply()};
    request.decided = std::make_shared<std::atomic<bool>>(refused);
    auto decided = request.decided;
    caf::anon_send(f.writer, std::move(request));
    return std::pair{to, decided};
  };
  const auto [first, first_decided] = post("a", false);
  const auto [refused, refused_decided] = post("b", true);
  const auto [last, last_decided] = post("c", false);
  f.system.run();
  CHECK(f.commits() == groups{{"a", "c"}});
  CHECK(first_decided->load());
  CHECK(first.get()->front()->id == "a");
  CHECK(last.get()->front()->id == "c");
  REQUIRE_FALSE(refused.get().has_value()); // its only copy is gone: who refused it has answered before
}

TEST_CASE("trouble with one kind of commit lasts while the other kind works, and until an empty one does") {
  writer_fixture f;
  const auto trouble = [&] { return f.counted->journal.look(f.system.now()); };
  f.journal->no_messages = true;
  f.post({"a"});
  f.system.run();
  const auto began = f.system.now();
  for (int second = 0; second < 10; ++second) {
    f.post_save();
    f.system.pass(std::chrono::seconds{1});
    REQUIRE(trouble());
    CHECK(trouble()->since == began);
  }
  CHECK(f.mail->saved == std::vector<bool>(10, true));
  f.journal->no_messages = false;
  f.system.pass(std::chrono::seconds{1});
  CHECK_FALSE(trouble());
}

TEST_CASE("a full disk is looked at until there is room, whether or not somebody has something to write") {
  writer_fixture f;
  f.journal->failing = true;
  const auto refused = f.post({"a"});
  f.system.pass(std::chrono::seconds{10});
  CHECK(f.journal->commits.size() > 10);
  CHECK(f.journal->commits.size() < 30);
  CHECK_FALSE(refused.get());
  CHECK(f.counted->journal.look(f.system.now()));
  f.journal->failing = false;
  f.system.pass(std::chrono::seconds{1});
  CHECK_FALSE(f.counted->journal.look(f.system.now()));
}

TEST_CASE("a server that went away in a quiet hour is noticed by retention") {
  writer_fixture f;
  f.journal->away = true;
  f.system.pass(std::chrono::seconds{32});
  CHECK(f.counted->journal.look(f.system.now()));
}

TEST_CASE("a commit that hangs is trouble after five seconds, and none once it is done") {
  journal_health health;
  const time_point start{std::chrono::hours{1}};
  health.began(start);
  CHECK_FALSE(health.look(start + journal_health::longest_commit));
  const auto hangs = health.look(start + std::chrono::seconds{8});
  REQUIRE(hangs);
  CHECK(hangs->since == start);
  CHECK(hangs->what == "a commit has been under way for 8 s");
  health.worked();
  CHECK_FALSE(health.look(start + std::chrono::seconds{9}));
}
