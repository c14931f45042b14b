#include "catch.hpp"

#include "writer_fixture.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

namespace {

/// A reader, and a shard that keeps what it hears.
struct reader_fixture {
  virtual_system system;
  std::shared_ptr<memory_journal> journal = std::make_shared<memory_journal>();
  std::shared_ptr<shard_mail> mail = std::make_shared<shard_mail>();
  shard_actor owner = system.spawn(fake_shard, mail);
  reader_actor tested = system.spawn(reader, std::shared_ptr<store::journal>{journal});
};

} // namespace

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

  store::shard_state state;
  state.handle = shard;
  state.destinations.push_back({destination_id{4}, "ledger", sequence{9}, {}, {}, {}});
  answered<std::optional<std::string>> other;
  system.send(tested, ask_other_history{state, {{destination_id{4}, {epoch{1}, sequence{7}, "not-m"}}}, other.reply()});
  REQUIRE(other.get());
  CHECK(other.get()->value_or("").starts_with("the receiver of destination ledger has another history"));

  journal->failing = true;
  answered<std::optional<store::stored_message>> away;
  system.send(tested, ask_message{shard, std::nullopt, "m-17", away.reply()});
  REQUIRE_FALSE(away.get());
  CHECK(away.get().error().code == errc::unavailable);
}

TEST_CASE("a backlog goes to the shard that asked, and so does the news that it cannot be read") {
  reader_fixture f;
  const read_backlog wanted{store::shard_handle{1}, {destination_id{4}, sequence{10}, 2, 1000}};
  f.system.send(f.tested, wanted, f.owner);
  REQUIRE(f.mail->backlogs.size() == 1);
  CHECK(f.mail->backlogs[0].destination == destination_id{4});
  REQUIRE(f.mail->backlogs[0].items);
  REQUIRE(f.mail->backlogs[0].items->size() == 2);
  CHECK(f.mail->backlogs[0].items->at(1).seq == sequence{11});

  f.journal->failing = true;
  f.system.send(f.tested, wanted, f.owner);
  REQUIRE(f.mail->backlogs.size() == 2);
  CHECK(f.mail->backlogs[1].destination == destination_id{4});
  CHECK_FALSE(f.mail->backlogs[1].items);
}

TEST_CASE("what a search for keys finds goes to the shard that asked") {
  reader_fixture f;
  core::read_request what{destination_id{4}, {}, 2, 1000};
  what.keys = {{"k", sequence{10}}};
  what.until = sequence{20};
  f.system.send(f.tested, read_backlog{store::shard_handle{1}, what}, f.owner);
  REQUIRE(f.mail->searches.size() == 1);
  CHECK(f.mail->searches[0].destination == destination_id{4});
  REQUIRE(f.mail->searches[0].found);
  CHECK(f.mail->searches[0].found->searched == sequence{20});
  CHECK(f.mail->searches[0].found->items.at(0).seq == sequence{10});
  CHECK(f.mail->backlogs.empty());

  f.journal->failing = true;
  f.system.send(f.tested, read_backlog{store::shard_handle{1}, what}, f.owner);
  REQUIRE(f.mail->searches.size() == 2);
  CHECK_FALSE(f.mail->searches[1].found);
}
