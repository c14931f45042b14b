#include "catch.hpp"

#include "writer_fixture.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

TEST_CASE("for a shard that has diverged nothing is accepted, and others go on") {
  writer_fixture f;
  f.system.send(f.writer, refuse{writer_fixture::one, {errc::unavailable, "has diverged", "pipeline orders"}});
  const auto refused = f.post({"a"});
  const auto taken = f.post({"b"}, 10, store::shard_handle{2});
  f.system.run();
  REQUIRE_FALSE(refused.get());
  CHECK(refused.get().error().what == "has diverged");
  CHECK(taken.get());
  CHECK(f.commits() == groups{{"b"}});
}

TEST_CASE("a recovery is planned by what the journal has and what was seen, and done if that was wished") {
  writer_fixture f;
  f.journal->found = {epoch{2}, {}, position{10}, {}, {{destination_id{1}, sequence{5}, {}}}};
  const auto recovery = [&f](bool dry_run) {
    answered<store::recovery> asked;
    f.system.send(
      f.writer,
      recover{writer_fixture::one, dry_run, asked.reply(), "seen", {epoch{7}, {{destination_id{1}, sequence{8}}}, {}}});
    return asked.get();
  };
  const auto shown = recovery(true);
  REQUIRE(shown);
  CHECK(shown->owner == epoch{8});
  CHECK(shown->last == position{13});
  REQUIRE(shown->missing.size() == 1);
  CHECK(shown->missing[0].range == core::sequence_range{sequence{6}, sequence{8}});
  CHECK(f.journal->recovered.empty());

  f.journal->failing = true;
  CHECK(recovery(false).error().code == errc::unavailable);
  f.journal->failing = false;
  REQUIRE(recovery(false));
  REQUIRE(f.journal->recovered.size() == 1);
  CHECK(f.journal->recovered[0].second.why == "seen");
}

TEST_CASE("a recovery goes past what receivers remember, and puts back those that have gone back") {
  writer_fixture f;
  f.journal->found = {
    epoch{2}, {}, position{10}, {}, {{destination_id{1}, sequence{5}, {}}, {destination_id{2}, sequence{4}, {}}}};
  answered<store::recovery> asked;
  recover wish{writer_fixture::one, true, asked.reply(), "seen", {epoch{3}, {{destination_id{1}, sequence{8}}}, {}}};
  wish.received = {{destination_id{1}, {epoch{6}, sequence{9}, ""}}, {destination_id{2}, {epoch{1}, sequence{2}, ""}}};
  wish.back.progress = {{destination_id{2}, sequence{2}, {}, sequence{2}}};
  wish.back.missing = {{destination_id{2}, {sequence{3}, sequence{3}}}};
  f.system.send(f.writer, std::move(wish));
  const auto how = asked.get();
  REQUIRE(how);
  CHECK(how->owner == epoch{7});
  CHECK(how->last == position{14});
  REQUIRE(how->missing.size() == 2);
  CHECK(how->missing[0].range == core::sequence_range{sequence{3}, sequence{3}});
  CHECK(how->missing[1].range == core::sequence_range{sequence{6}, sequence{9}});
  REQUIRE(how->rewound.size() == 1);
  CHECK(how->rewound[0].watermark == sequence{2});
}

TEST_CASE("a recovery goes past the positions of what receivers have") {
  writer_fixture f;
  f.journal->found = {epoch{2}, {}, position{10}, {}, {{destination_id{1}, sequence{5}, {}}}};
  answered<store::recovery> asked;
  recover wish{writer_fixture::one, true, asked.reply(), "seen", {}};
  wish.received = {{destination_id{1}, {epoch{6}, sequence{7}, "m", position{30}}}};
  f.system.send(f.writer, std::move(wish));
  const auto how = asked.get();
  REQUIRE(how);
  CHECK(how->last == position{30});
  REQUIRE(how->missing.size() == 1);
  CHECK(how->missing[0].range == core::sequence_range{sequence{6}, sequence{7}});
}

TEST_CASE("nothing is written for a shard that was recovered, or may have been, and what asks for it is told so") {
  writer_fixture f;
  f.system.send(f.writer, store::shard_handle{2}, f.owner);
  f.system.run();
  f.journal->found = {epoch{2}, {}, position{10}, {}, {{destination_id{1}, sequence{5}, {}}}};
  f.journal->doubtful = true;
  f.post({"a"});
  f.system.run();
  f.system.send(f.writer, refuse{writer_fixture::one, {errc::unavailable, "has diverged", "pipeline orders"}});
  f.system.run();
  f.journal->doubtful = false;
  const bool in_doubt = GENERATE(true, false);
  f.journal->failing = in_doubt;
  f.post_save();
  const auto recovery = [&f] {
    answered<store::recovery> asked;
    f.system.send(f.writer, recover{writer_fixture::one, false, asked.reply(), "seen", {epoch{7}, {}, {}}});
    return asked.get();
  };
  CHECK(recovery().has_value() != in_doubt);
  const auto commits = f.journal->commits.size();
  CHECK(f.mail->saved == std::vector<bool>{false});
  f.journal->failing = false;
  f.post({"b"}, 10, store::shard_handle{2});
  f.system.pass(std::chrono::seconds{40});
  REQUIRE(f.journal->commits.size() > commits);
  for (std::size_t i = commits; i < f.journal->commits.size(); ++i) CHECK(f.journal->commits[i].shards == numbers{2});
  if (in_doubt) REQUIRE(recovery());
  CHECK(recovery().error().code == errc::conflict);
  CHECK(f.journal->recovered.size() == 1);
}

TEST_CASE("a shard of which the journal has gone back is told so and is written for no more, and others go on") {
  writer_fixture f;
  f.system.send(f.writer, store::shard_handle{2}, f.owner);
  f.journal->back = {{writer_fixture::one, "position 20 was durable"}};
  const auto lost = f.post({"a"});
  const auto other = f.post({"b"}, 10, store::shard_handle{2});
  f.post_save();
  f.system.run();
  CHECK(f.mail->gone_back == std::vector<std::string>{"position 20 was durable"});
  CHECK(f.mail->saved == std::vector<bool>{false});
  CHECK(lost.get().error().what.find("position 20 was durable") != std::string::npos);
  CHECK(other.get().error().code == errc::unavailable);
  CHECK(other.get().error().what.find("position 20") == std::string::npos);
  f.system.pass(std::chrono::seconds{20}); // as long as a commit does not take
  CHECK_FALSE(f.counted->journal.look(f.system.now()));
  const auto late = f.post({"c"});
  const auto more = f.post({"d"}, 10, store::shard_handle{2});
  f.system.pass(std::chrono::seconds{15});
  CHECK(late.get().error().what.find("has diverged") != std::string::npos);
  CHECK(more.get());
  CHECK(f.commits() == groups{{"a", "b"}, {"d"}});
  CHECK(f.journal->expired == numbers{2});
}

TEST_CASE("a recovery that may have been done is asked for again as it was, where nothing is behind any more") {
  writer_fixture f;
  f.journal->found = {epoch{1}, epoch{1}, position{10}, position{20}, {}};
  const auto recovery = [&f] {
    answered<store::recovery> asked;
    f.system.send(f.writer, recover{writer_fixture::one, false, asked.reply(), "seen"});
    return asked.get();
  };
  f.journal->failing = true;
  CHECK(recovery().error().code == errc::unavailable);
  f.journal->failing = false;
  f.journal->found = {epoch{2}, epoch{1}, position{20}, position{20}, {}};
  const auto done = recovery();
  REQUIRE(done);
  CHECK(done->owner == epoch{2});
  CHECK(done->last == position{20});
  CHECK(f.journal->recovered.size() == 1);
}
