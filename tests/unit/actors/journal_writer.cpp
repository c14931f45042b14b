#include "catch.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/journal_reader.hpp"
#include "actors/journal_writer.hpp"
#include "actors/system.hpp"
#include "fakes.hpp"
#include "virtual_system.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

namespace {

using receipts = std::vector<result<receipt>>;
using numbers = std::vector<std::uint64_t>;

/// Remembers each commit, gives positions, and refuses on demand: all of a commit, or the messages called "refused".
class memory_journal final : public store::journal {
public:
  struct written {
    numbers shards;
    std::vector<std::string> ids;
    std::size_t held_changes = 0;
  };

  result<store::shard_state> open(const shard_id&, const store::definition&,
                                  std::span<const store::destination_spec>) override {
    return store::shard_state{};
  }

  result<std::vector<store::shard_committed>> commit(std::span<const store::shard_commit> batch, wall_time) override {
    written now;
    for (const auto& part : batch) {
      now.shards.push_back(part.shard.value());
      for (const auto& s : part.submissions) now.ids.push_back(s.message->id());
      now.held_changes += part.change.unheld.size();
    }
    commits.push_back(now);
    if (failing) return fail(errc::no_space, "the disk is full");
    if (away) return fail(errc::unavailable, "it is away");
    if (no_messages && (!now.ids.empty() || now.held_changes == 0)) return fail(errc::unavailable, "not messages");
    std::vector<store::shard_committed> done;
    for (const auto& part : batch) done.push_back(store(part));
    if (doubtful) {
      late = std::exchange(done, {}).at(0).accepted;
      return fail(errc::in_doubt, "the connection broke");
    }
    auto& accepted = done.at(0).accepted;
    accepted.insert(accepted.begin(), late.begin(), late.end());
    late.clear();
    return done;
  }

  result<std::vector<core::backlog_item>> read(store::shard_handle, destination_id destination, sequence from,
                                               std::uint32_t max_messages, std::uint64_t) override {
    if (failing) return fail(errc::unavailable, "it is away");
    std::vector<core::backlog_item> items;
    for (std::uint32_t i = 0; i < max_messages; ++i)
      items.push_back({from + i, position{destination.value()}, make_message("m")});
    return items;
  }

  result<core::key_backlog> read_keys(store::shard_handle, destination_id destination,
                                      std::span<const core::key_cursor> keys, sequence until, std::uint32_t,
                                      std::uint64_t) override {
    if (failing) return fail(errc::unavailable, "it is away");
    return core::key_backlog{{{keys[0].from, position{destination.value()}, make_message("m")}}, until};
  }

  result<std::optional<store::stored_message>> find(store::shard_handle, position at) override {
    if (at == position{404}) return std::nullopt;
    return store::stored_message{at, make_message("m-" + std::to_string(at.value())), {}, {}};
  }
  result<std::optional<position>> find_id(store::shard_handle, const std::string& id) override {
    if (failing) return fail(errc::unavailable, "it is away");
    if (id == "m-17") return position{17};
    return std::nullopt;
  }
  result<std::vector<store::dead_letter>> dead_letters(store::shard_handle, std::optional<core::enrolment>,
                                                       std::uint32_t limit) override {
    return std::vector<store::dead_letter>(limit);
  }
  result<store::recorded_end> end_of(store::shard_handle, core::enrolment) override {
    return store::recorded_end::skipped;
  }
  result<std::vector<store::left_behind>> left_behind_elsewhere() override { return std::vector<store::left_behind>{}; }
  result<epoch> current_epoch(store::shard_handle shard) override { return epoch{100 + shard.value()}; }

  result<store::recovery_findings> findings(store::shard_handle) override { return found; }
  result<void> recover(store::shard_handle shard, const store::recovery& how, wall_time) override {
    if (failing) return fail(errc::unavailable, "it is away");
    recovered.emplace_back(shard.value(), how);
    return {};
  }
  result<std::uint64_t> expire(store::shard_handle shard, wall_time, wall_time, std::uint32_t max_messages) override {
    expired.push_back(shard.value());
    if (failing || away) return fail(errc::unavailable, "it is away");
    const auto gone = std::min<std::uint64_t>(expirable, max_messages);
    expirable -= gone;
    return gone;
  }

  store::recovery_findings found;
  std::vector<std::pair<std::uint64_t, store::recovery>> recovered;
  bool failing = false;     ///< the disk is full, and nothing can be read
  bool away = false;        ///< nothing can be written
  bool no_messages = false; ///< only changes can be written, and an empty commit tells
  bool doubtful = false;    ///< everything is done, and nobody told so
  std::vector<core::accepted_message> late;
  std::vector<written> commits;
  numbers expired;
  std::uint64_t expirable = 0;

private:
  store::shard_committed store(const store::shard_commit& part) {
    store::shard_committed done;
    for (const auto& s : part.submissions) {
      const auto& id = s.message->id();
      if (id == "refused") {
        done.receipts.emplace_back(fail(errc::full, "the backlog is full"));
        continue;
      }
      const bool known = positions_.contains(id);
      const auto at = known ? positions_.at(id) : positions_.emplace(id, ++last_).first->second;
      done.receipts.emplace_back(receipt{id, known, at});
      if (!known) done.accepted.push_back({at, s.message, {}});
    }
    return done;
  }

  std::map<std::string, position> positions_;
  position last_;
};

struct fixture {
  explicit fixture(writer_options with = {std::chrono::hours{1}, 1U << 20U, 1U << 20U})
    : writer(system.spawn(
        become<writer_state, journal_actor, std::shared_ptr<store::journal>, writer_options, std::shared_ptr<metrics>>,
        std::shared_ptr<store::journal>{journal}, with, counted)) {
    system.send(writer, one, owner);
  }

  /// Only puts it into the mailbox: nothing runs.
  answered<receipts> post(const std::vector<std::string>& ids, std::size_t bytes = 10,
                          store::shard_handle shard = store::shard_handle{1}) {
    answered<receipts> to;
    submit request{shard, {}, to.reply()};
    for (const auto& id : ids) request.submissions.push_back({make_message(id, std::string(bytes, 'x')), {}, {}});
    caf::anon_send(writer, std::move(request));
    return to;
  }

  void post_save(store::shard_handle shard = store::shard_handle{1}) {
    save change{shard, {}};
    change.change.unheld.push_back({destination_id{1}, sequence{1}});
    caf::anon_send(writer, std::move(change));
  }

  [[nodiscard]] std::vector<std::vector<std::string>> commits() const {
    std::vector<std::vector<std::string>> all;
    for (const auto& one_commit : journal->commits) all.push_back(one_commit.ids);
    return all;
  }

  static constexpr store::shard_handle one{1};
  virtual_system system;
  std::shared_ptr<memory_journal> journal = std::make_shared<memory_journal>();
  std::shared_ptr<metrics> counted = std::make_shared<metrics>();
  std::shared_ptr<shard_mail> mail = std::make_shared<shard_mail>();
  shard_actor owner = system.spawn(fake_shard, mail);
  journal_actor writer;
};

using groups = std::vector<std::vector<std::string>>;

} // namespace

TEST_CASE("what arrives before the flush joins one commit") {
  fixture f;
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
  fixture f;
  f.post({"a"});
  f.system.run();
  f.post({"b"});
  f.system.run();
  f.system.pass(std::chrono::minutes{5});
  CHECK(f.commits() == groups{{"a"}, {"b"}});
}

TEST_CASE("each submitter gets its own receipts, in order") {
  fixture f;
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
  fixture f;
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

TEST_CASE("a failed commit fails every promise in it, tells the shard, and nothing of it is tried again") {
  fixture f;
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
  fixture f;
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
  fixture f;
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
  fixture f;
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
  fixture f;
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

TEST_CASE("a full disk is trouble until something was written: an empty commit would say nothing about it") {
  fixture f;
  f.journal->failing = true;
  const auto refused = f.post({"a"});
  f.system.pass(std::chrono::seconds{10});
  CHECK(f.journal->commits.size() == 1);
  CHECK_FALSE(refused.get());
  CHECK(f.counted->journal.look(f.system.now()));
  f.journal->failing = false;
  f.post({"b"});
  f.system.run();
  CHECK_FALSE(f.counted->journal.look(f.system.now()));
}

TEST_CASE("a server that went away in a quiet hour is noticed by retention") {
  fixture f;
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

TEST_CASE("shards share a commit, and each hears of its own part") {
  fixture f;
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
  fixture f{{std::chrono::hours{1}, 1U << 20U, 1000}};
  f.post({"a"}, 300);
  f.post({"b"}, 300);
  f.post({"c"}, 300);
  f.system.run();
  CHECK(f.commits() == groups{{"a", "b"}, {"c"}});
}

TEST_CASE("bytes that a shard has not taken in stop commits, and taking them resumes them") {
  fixture f{{std::chrono::hours{1}, 250, 1U << 20U}};
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
  fixture f{{std::chrono::hours{1}, 250, 1000}};
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
  fixture f{{std::chrono::hours{1}, 250, 1U << 20U}};
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
  fixture f;
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
  fixture f;
  f.journal->expirable = 10;
  f.system.send(f.writer, refuse{fixture::one, {errc::unavailable, "has diverged", {}}});
  f.system.pass(std::chrono::seconds{100});
  CHECK(f.journal->expired.empty());
}

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

TEST_CASE("for a shard that has diverged nothing is accepted, and others go on") {
  fixture f;
  f.system.send(f.writer, refuse{fixture::one, {errc::unavailable, "has diverged", "pipeline orders"}});
  const auto refused = f.post({"a"});
  const auto taken = f.post({"b"}, 10, store::shard_handle{2});
  f.system.run();
  REQUIRE_FALSE(refused.get());
  CHECK(refused.get().error().what == "has diverged");
  CHECK(taken.get());
  CHECK(f.commits() == groups{{"b"}});
}

TEST_CASE("a recovery is planned by what the journal has and what was seen, and done if that was wished") {
  fixture f;
  f.journal->found = {epoch{2}, {}, position{10}, {}, {{destination_id{1}, sequence{5}, {}}}};
  const auto recovery = [&f](bool dry_run) {
    answered<store::recovery> asked;
    f.system.send(
      f.writer,
      recover{fixture::one, dry_run, asked.reply(), "seen", {epoch{7}, {{destination_id{1}, sequence{8}}}, {}}});
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
  fixture f;
  f.journal->found = {
    epoch{2}, {}, position{10}, {}, {{destination_id{1}, sequence{5}, {}}, {destination_id{2}, sequence{4}, {}}}};
  answered<store::recovery> asked;
  recover wish{fixture::one, true, asked.reply(), "seen", {epoch{3}, {{destination_id{1}, sequence{8}}}, {}}};
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
  fixture f;
  f.journal->found = {epoch{2}, {}, position{10}, {}, {{destination_id{1}, sequence{5}, {}}}};
  answered<store::recovery> asked;
  recover wish{fixture::one, true, asked.reply(), "seen", {}};
  wish.received = {{destination_id{1}, {epoch{6}, sequence{7}, "m", position{30}}}};
  f.system.send(f.writer, std::move(wish));
  const auto how = asked.get();
  REQUIRE(how);
  CHECK(how->last == position{30});
  REQUIRE(how->missing.size() == 1);
  CHECK(how->missing[0].range == core::sequence_range{sequence{6}, sequence{7}});
}
