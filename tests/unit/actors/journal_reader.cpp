#include "catch.hpp"

#include "writer_fixture.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

TEST_CASE("the reader passes on what the journal holds") {
  virtual_system system;
  auto journal = std::make_shared<memory_journal>();
  const reader_actor tested = system.spawn(reader, std::shared_ptr<store::journal>{journal});
  const auto shard = store::shard_handle{1};

  answered<std::optional<store::stored_message>> by_position;
  system.send(tested, ask_message{shard, position{5}, "", by_position.reply()});
  REQUIRE(by_position.get());
  REQUIRE(by_position.get()->has_value());
  CHECK((*by_position.get())->at == position{5});

  answered<std::optional<store::stored_message>> by_id;
  system.send(tested, ask_message{shard, std::nullopt, "m-17", by_id.reply()});
  REQUIRE(by_id.get());
  REQUIRE(by_id.get()->has_value());
  CHECK((*by_id.get())->message->id() == "m-17");

  answered<std::optional<store::stored_message>> unknown;
  system.send(tested, ask_message{shard, std::nullopt, "nobody", unknown.reply()});
  REQUIRE(unknown.get());
  CHECK_FALSE(unknown.get()->has_value());

  answered<std::vector<store::dead_letter>> letters;
  system.send(tested, ask_dead_letters{shard, std::nullopt, 3, letters.reply()});
  REQUIRE(letters.get());
  CHECK(letters.get()->size() == 3);

  answered<store::recorded_end> end;
  system.send(tested, ask_end{shard, {destination_id{1}, sequence{1}}, end.reply()});
  CHECK(end.get() == store::recorded_end::skipped);

  answered<epoch> current;
  system.send(tested, ask_epoch{shard, current.reply()});
  CHECK(current.get() == epoch{101});

  journal->failing = true;
  answered<std::optional<store::stored_message>> away;
  system.send(tested, ask_message{shard, std::nullopt, "m-17", away.reply()});
  REQUIRE_FALSE(away.get());
  CHECK(away.get().error().code == errc::unavailable);
}

TEST_CASE("a backlog goes to the shard that asked, and so does the news that it cannot be read") {
  virtual_system system;
  auto journal = std::make_shared<memory_journal>();
  auto mail = std::make_shared<shard_mail>();
  const shard_actor owner = system.spawn(fake_shard, mail);
  const reader_actor tested = system.spawn(reader, std::shared_ptr<store::journal>{journal});
  const read_backlog wanted{store::shard_handle{1}, {destination_id{4}, sequence{10}, 2, 1000}};
  system.send(tested, wanted, owner);
  REQUIRE(mail->backlogs.size() == 1);
  CHECK(mail->backlogs[0].destination == destination_id{4});
  REQUIRE(mail->backlogs[0].items);
  REQUIRE(mail->backlogs[0].items->size() == 2);
  CHECK(mail->backlogs[0].items->at(1).seq == sequence{11});

  journal->failing = true;
  system.send(tested, wanted, owner);
  REQUIRE(mail->backlogs.size() == 2);
  CHECK(mail->backlogs[1].destination == destination_id{4});
  CHECK_FALSE(mail->backlogs[1].items);
}

TEST_CASE("what a search for keys finds goes to the shard that asked") {
  virtual_system system;
  auto journal = std::make_shared<memory_journal>();
  auto mail = std::make_shared<shard_mail>();
  const shard_actor owner = system.spawn(fake_shard, mail);
  const reader_actor tested = system.spawn(reader, std::shared_ptr<store::journal>{journal});
  core::read_request what{destination_id{4}, {}, 2, 1000};
  what.keys = {{"k", sequence{10}}};
  what.until = sequence{20};
  system.send(tested, read_backlog{store::shard_handle{1}, what}, owner);
  REQUIRE(mail->searches.size() == 1);
  CHECK(mail->searches[0].destination == destination_id{4});
  REQUIRE(mail->searches[0].found);
  CHECK(mail->searches[0].found->searched == sequence{20});
  CHECK(mail->searches[0].found->items.at(0).seq == sequence{10});
  CHECK(mail->backlogs.empty());

  journal->failing = true;
  system.send(tested, read_backlog{store::shard_handle{1}, what}, owner);
  REQUIRE(mail->searches.size() == 2);
  CHECK_FALSE(mail->searches[1].found);
}
