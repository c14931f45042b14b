// Connections that break at the worst moment, owners that come and go, and a server that is away.

#include <chrono>
#include <csignal>
#include <fstream>
#include <future>
#include <thread>
#include <utility>

#include "cut_place.hpp"

namespace reseq::test {

TEST_CASE("a commit that the server did before the connection broke has its receipts, and the next goes on") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  at.proxy.next_commit(cut::after_commit);
  const auto done = must(shard.commit({submit("b"), submit("a"), submit("c")}));
  CHECK(done.receipts[0] == receipt{"b", false, position{2}});
  CHECK(done.receipts[1] == receipt{"a", true, position{1}});
  CHECK(ids(done.accepted) == std::vector<std::string>{"b", "c"});
  CHECK(must(shard.commit({submit("d")})).receipts[0] == receipt{"d", false, position{4}});
  CHECK(shard.read(1, 1).size() == 4);
  for (int i = 0; i < 100; ++i) must(shard.commit({submit("more" + std::to_string(i))}));
  CHECK(
    at.sql("SELECT FROM pg_stat_activity WHERE application_name = 'reseq' AND datname = current_database()").size() ==
    2);
  CHECK(at.news.find("broke in happened") != std::string::npos);
}

TEST_CASE("a commit that the server never heard of did not happen, and can be done again") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  at.proxy.next_commit(cut::before_commit);
  core::journal_change change;
  change.progress.push_back({destination_id{1}, sequence{1}, {}, sequence{1}, 0, false});
  change.operations.push_back({"pause", destination_id{1}, {}, at_ms(5)});
  CHECK(code_of(shard.commit({submit("b")}, change)) == errc::unavailable);
  CHECK(at.news.find("did not happen") != std::string::npos);
  CHECK(at.sql("SELECT FROM reseq.operation").empty());
  CHECK(must(shard.commit({submit("b")}, change)).receipts[0] == receipt{"b", false, position{2}});
  CHECK(at.sql("SELECT FROM reseq.operation").size() == 1);
}

TEST_CASE("while somebody has the messages' table locked, what the last partition has room for is accepted") {
  place at;
  at.options.partition_messages = 64; // the next one is due 8 before its end
  opened shard(must(at.open()), specs(1));
  const auto partitions = [&] { return at.sql("SELECT FROM reseq.message_partition").size(); };
  {
    auto [holder, lock] = at.lock_messages();
    for (int i = 1; i < 64; ++i) REQUIRE(must(shard.commit({submit(std::to_string(i))})).receipts.size() == 1);
    const auto refused = shard.commit({submit("64"), submit("65")});
    REQUIRE(code_of(refused) == errc::unavailable);
    CHECK(refused.error().what.find("reseq.message cannot be added") != std::string::npos);
    CHECK(partitions() == 1);
  }
  must(shard.commit({submit("64"), submit("65")}));
  CHECK(partitions() == 2);
}

TEST_CASE("what a commit in doubt did while the server was away is reported once it is back") {
  place at;
  at.options.doubt_patience = 50ms;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  at.proxy.refuse(true);
  at.proxy.next_commit(cut::after_commit);
  CHECK(code_of(shard.commit({submit("b")})) == errc::in_doubt);
  const auto started = std::chrono::steady_clock::now();
  CHECK(code_of(shard.commit({submit("c")})) == errc::unavailable);
  CHECK(shard->read(shard.state.handle, destination_id{1}, sequence{1}, 1, 1).has_value()); // its session is another
  CHECK(std::chrono::steady_clock::now() - started < 5s);

  at.proxy.refuse(false);
  auto back = shard.commit({});
  while (!back) back = shard.commit({});
  CHECK(ids(back->accepted) == std::vector<std::string>{"b"});
  const auto more = must(shard.commit({submit("b"), submit("c")}));
  CHECK(more.receipts[0] == receipt{"b", true, position{2}});
  CHECK(ids(more.accepted) == std::vector<std::string>{"c"});
}

TEST_CASE("a session that is still committing when its connection breaks is waited for") {
  place at;
  at.options.takeover_patience = 30s;
  at.options.doubt_patience = 30s;
  opened shard(must(at.open()), specs(1));
  auto holder = at.hold_commits();
  at.proxy.next_commit(cut::at_commit);
  auto committing = std::async(std::launch::async, [&] { return shard.commit({submit("a")}); });
  at.wait_until_held();
  while (at.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")[0][0].as<int>() < 2)
    std::this_thread::yield(); // the new session waits for the old one
  holder.reset();
  CHECK(must(committing.get()).receipts[0] == receipt{"a", false, position{1}});
  CHECK(at.news.find("broke in happened") != std::string::npos);
}

TEST_CASE("a lost transaction whose number somebody else got did not happen") {
  const bool accepts = GENERATE(true, false);
  const std::string table = accepts ? "reseq.message" : "reseq.operation";
  CAPTURE(table);
  postgres_server server;
  place at(server);
  at.options.doubt_patience = 30s;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  core::journal_change change;
  change.progress.push_back({destination_id{1}, sequence{1}, {}, sequence{1}, 0, false});
  change.operations.push_back({"pause", destination_id{1}, {}, at_ms(5)});
  const auto commit = [&] { return accepts ? shard.commit({submit("b")}) : shard.commit({}, change); };
  auto holder = at.hold_commits(table);
  // Numbers that stand only in what was not written yet are given again after a crash.
  {
    pqxx::connection db(server.url());
    pqxx::nontransaction tx(db);
    tx.exec("ALTER SYSTEM SET wal_writer_delay = '10s'");
    tx.exec("SELECT pg_reload_conf()");
  }
  auto committing = std::async(std::launch::async, commit);
  at.wait_until_held();
  at.proxy.refuse(true);
  server.stop(SIGKILL);
  holder.reset();
  server.start();
  for (int i = 0; i < 50; ++i) at.sql("SELECT pg_current_xact_id()");
  at.proxy.refuse(false);
  CHECK(code_of(committing.get()) == errc::unavailable);
  CHECK(at.news.find("did not happen") != std::string::npos);
  at.sql("DROP TRIGGER wait ON " + table);
  must(commit());
  CHECK(at.sql("SELECT FROM reseq.operation").size() == (accepts ? 0 : 1));
  CHECK(must(shard.commit({submit("c")})).receipts[0]->at == position{accepts ? 3U : 2U});
}

TEST_CASE("a commit whose wait for a standby is cancelled has its receipts once the standby has it") {
  postgres_server server;
  place at(server);
  at.options.doubt_patience = 30s;
  opened shard(must(at.open()), specs(1));
  const auto configure = [&](const std::string& how) {
    pqxx::connection db(server.url());
    pqxx::nontransaction tx(db);
    tx.exec("ALTER SYSTEM " + how);
    tx.exec("SELECT pg_reload_conf()");
  };
  const auto waiting = [&] {
    const auto rows = at.sql("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    return rows.empty() ? std::string() : std::string(rows[0][0].c_str());
  };
  configure("SET synchronous_standby_names = 'away'");
  std::future<result<store::shard_committed>> committing;
  std::string cancelled;
  for (int i = 1; cancelled.empty(); ++i) { // those before the server has noticed do not wait
    committing = std::async(std::launch::async, [&, i] { return shard.commit({submit("m" + std::to_string(i))}); });
    while (cancelled.empty() && committing.wait_for(0s) != std::future_status::ready) cancelled = waiting();
    if (cancelled.empty()) must(committing.get());
  }
  at.sql("SELECT pg_cancel_backend(" + cancelled + ")");
  for (std::string again = cancelled; again.empty() || again == cancelled; again = waiting())
    REQUIRE(committing.wait_for(0s) != std::future_status::ready);
  configure("RESET synchronous_standby_names");
  CHECK_FALSE(must(committing.get()).receipts[0]->duplicate);
  CHECK(at.news.find("canceling wait for synchronous replication") != std::string::npos);
  CHECK(at.news.find("broke in happened") != std::string::npos);
}

TEST_CASE("a save that the server did before the connection broke is not done again") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  core::journal_change change;
  change.progress.push_back({destination_id{1}, sequence{1}, {}, sequence{1}, 0, false});
  change.operations.push_back({"pause", destination_id{1}, {}, at_ms(5)});
  for (std::size_t saves = 1; saves < 4; ++saves) {
    at.proxy.next_commit(saves == 2 ? cut::before_commit : cut::after_commit);
    CHECK(shard.commit({}, change).has_value() == (saves != 2));
    if (saves == 2) must(shard.commit({}, change));
    CHECK(static_cast<std::size_t>(at.sql("SELECT FROM reseq.operation").size()) == saves);
  }
}

TEST_CASE("a session of ours that never ends its commit is ended, and nothing of it happened") {
  place at;
  opened shard(must(at.open()), specs(1));
  auto holder = at.hold_commits();
  at.proxy.next_commit(cut::at_commit);
  CHECK(code_of(shard.commit({submit("a")})) == errc::unavailable);
  CHECK(at.news.find("did not happen") != std::string::npos);
  holder.reset();
  CHECK(must(shard.commit({submit("a")})).receipts[0] == receipt{"a", false, position{1}});
}

TEST_CASE("an owner in the middle of a commit does not keep the next one out, and is none any more") {
  place at;
  opened first(must(at.open()), specs(1));
  auto holder = at.hold_commits();
  auto committing = std::async(std::launch::async, [&] { return first.commit({submit("a")}); });
  at.wait_until_held();
  opened second(must(at.open()), specs(1));
  CHECK(second.state.owner == first.state.owner + 1);
  CHECK(second.state.last == position{});
  // Whose connection was ended looks what became of the commit, before or after the other has taken over.
  const auto told = code_of(committing.get());
  CHECK((told == errc::fenced || told == errc::unavailable));
  holder.reset();
  CHECK(must(second.commit({submit("b")})).receipts[0] == receipt{"b", false, position{1}});
  CHECK(code_of(first.commit({submit("c")})) == errc::fenced);
  CHECK(first->expire(first.state.handle, at_ms(1), at_ms(10'000), 10).error().code == errc::fenced);
}

TEST_CASE(
  "what is written while somebody takes the shard over waits for that, whatever it saw before, and is refused") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  core::journal_change change;
  change.progress.push_back({destination_id{1}, sequence{1}, {}, sequence{1}, 0, false});
  pqxx::connection other(postgres_server::shared().url(at.sql("SELECT current_database()")[0][0].c_str()));
  pqxx::work takeover(other);
  takeover.exec("SELECT FROM reseq.shard FOR UPDATE");
  takeover.exec("UPDATE reseq.shard SET epoch = epoch + 1");

  const bool saves = GENERATE(false, true);
  CAPTURE(saves);
  auto writing =
    std::async(std::launch::async, [&] { return saves ? shard.commit({}, change) : shard.commit({submit("b")}); });
  const auto waits = [&] {
    return at.sql("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
             .size() > 0;
  };
  while (writing.wait_for(0s) != std::future_status::ready && !waits()) std::this_thread::yield();
  takeover.commit();
  CHECK(code_of(writing.get()) == errc::fenced);
  CHECK(at.sql("SELECT FROM reseq.message").size() == 1);
  CHECK(at.sql("SELECT FROM reseq.progress WHERE watermark > 0").size() == 0);
}

TEST_CASE("who owns a shard is not known where a commit would wait for a standby, and backlogs are read meanwhile") {
  postgres_server server;
  place at(server);
  at.options.longest_silence = 500ms;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  const auto owner = [&] { return shard->current_epoch(shard.state.handle); };
  REQUIRE(must(owner()) == shard.state.owner);
  at.wait_for_standby(server, "away");
  const auto sessions = [&] { return at.sql("SELECT FROM pg_stat_activity WHERE application_name = 'reseq'").size(); };
  for (const auto until = std::chrono::steady_clock::now() + 3s; std::chrono::steady_clock::now() < until;) {
    const auto unknown = owner();
    REQUIRE_FALSE(unknown.has_value());
    REQUIRE(unknown.error().code == errc::unavailable);
    REQUIRE(shard.read(1, 1).size() == 1);
    REQUIRE(sessions() <= 4); // writing, reading, asking, and one that asked before
  }
  CHECK(at.news.empty());
  at.wait_for_standby(server, "");
  auto known = owner();
  while (!known) known = owner();
  CHECK(*known == shard.state.owner);
}

TEST_CASE("who owns a shard is not said while somebody takes it over") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard->current_epoch(shard.state.handle));
  pqxx::connection other(postgres_server::shared().url(at.sql("SELECT current_database()")[0][0].c_str()));
  pqxx::work takeover(other);
  takeover.exec("SELECT FROM reseq.shard FOR UPDATE");
  takeover.exec("UPDATE reseq.shard SET epoch = epoch + 1");
  auto asking = std::async(std::launch::async, [&] { return shard->current_epoch(shard.state.handle); });
  while (at.sql("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()").empty())
    REQUIRE(asking.wait_for(0s) != std::future_status::ready);
  takeover.commit();
  auto known = asking.get();
  while (!known) known = shard->current_epoch(shard.state.handle);
  CHECK(*known == shard.state.owner + 1);
}

TEST_CASE("a session that ended while nobody used it is another one's before anybody hears of it") {
  place at;
  at.options.reconnect_patience = 30s;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  at.sql("SELECT pg_terminate_backend(owner_pid, 10000) FROM reseq.shard");
  CHECK(must(shard.commit({submit("b")})).receipts[0] == receipt{"b", false, position{2}});
  CHECK(at.news.find("connection is back") != std::string::npos);
}

TEST_CASE("of a session that ended while nobody used it is said that it ended") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  at.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'reseq' AND datname = "
         "current_database() AND pid <> (SELECT owner_pid FROM reseq.shard)");
  const auto found = shard->find(shard.state.handle, position{1});
  REQUIRE_FALSE(found.has_value());
  CHECK(found.error().text().find("the session has ended") != std::string::npos);
}

TEST_CASE("a writing session that has lost its statements is another one's before anybody hears of it") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  core::journal_change change;
  change.progress.push_back({destination_id{1}, sequence{1}, {}, sequence{1}, 0, false});
  change.operations.push_back({"pause", destination_id{1}, {}, at_ms(5)});
  at.proxy.reset_sessions();
  const auto done = must(shard.commit({submit("b"), submit("a")}, change));
  CHECK(done.receipts[0] == receipt{"b", false, position{2}});
  CHECK(done.receipts[1] == receipt{"a", true, position{1}});
  CHECK(ids(done.accepted) == std::vector<std::string>{"b"});
  CHECK(at.sql("SELECT FROM reseq.operation").size() == 1);
  CHECK(at.news.find("pool_mode = transaction") != std::string::npos);
  CHECK(at.news.find("the writing connection is back") != std::string::npos);
}

TEST_CASE("a writing session that has lost its statements is away while it cannot be replaced, and says why") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  at.proxy.refuse(true);
  at.proxy.reset_sessions();
  for (int i = 0; i < 3; ++i) REQUIRE(code_of(shard.commit({submit("b")})) == errc::unavailable);
  CHECK(at.news.find("pool_mode = transaction") != std::string::npos);
  at.proxy.refuse(false);
  auto done = shard.commit({submit("b")});
  while (!done) done = shard.commit({submit("b")});
  CHECK(done->receipts[0] == receipt{"b", false, position{2}});
}

TEST_CASE("a reading session that has lost its statements is away, says why, and is back with the next one") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  REQUIRE(shard.read(1, 1).size() == 1);
  at.proxy.reset_sessions();
  const auto read = [&] { return shard->read(shard.state.handle, destination_id{1}, sequence{1}, 1, 1); };
  auto found = read();
  REQUIRE_FALSE(found.has_value());
  CHECK(found.error().code == errc::unavailable);
  CHECK(found.error().text().find("pool_mode = transaction") != std::string::npos);
  while (!found) {
    REQUIRE(found.error().code == errc::unavailable);
    found = read();
  }
  CHECK(found->size() == 1);
}

TEST_CASE("a journal whose server is away is closed without waiting for it") {
  place at;
  at.options.doubt_patience = 50ms;
  auto shard = std::make_unique<opened>(must(at.open()), specs(1));
  at.proxy.refuse(true);
  at.proxy.next_commit(cut::before_commit);
  CHECK_FALSE(shard->commit({submit("a")}).has_value());
  CHECK(code_of(shard->commit({submit("b")})) == errc::unavailable); // it is connecting again now
  std::promise<void> closed;
  std::thread([&closed, owned = std::move(shard)]() mutable {
    owned.reset();
    closed.set_value();
  }).detach();
  REQUIRE(closed.get_future().wait_for(5s) == std::future_status::ready);
}

TEST_CASE("what somebody else keeps locked is an error that says so") {
  place at;
  at.options.takeover_patience = 20ms;
  opened(must(at.open()), specs(1));
  const auto url = postgres_server::shared().url(at.sql("SELECT current_database()")[0][0].c_str());
  pqxx::connection other(url);
  pqxx::work tx(other);
  std::string pipeline = "orders";
  SECTION("a pipeline's row") { tx.exec("SELECT FROM reseq.shard FOR UPDATE"); }
  SECTION("the table that a new pipeline's first partition is for") {
    tx.exec("LOCK TABLE reseq.message IN SHARE UPDATE EXCLUSIVE MODE");
    pipeline = "invoices";
  }
  const auto refused = must(at.open())->open({pipeline, 0}, {"{}"}, specs(1));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::unavailable);
  CHECK(refused.error().text().find("pg_stat_activity") != std::string::npos);
  tx.abort();
  CHECK(must(at.open())->open({pipeline, 0}, {"{}"}, specs(1)).has_value());
}

TEST_CASE("a journal that lacks a privilege, a table or its schema is away until it has them again, and says so") {
  place at;
  const auto name = std::string(at.sql("SELECT current_database()")[0][0].c_str());
  const auto role = "keeper_" + name;
  at.sql("CREATE ROLE " + role + "; GRANT CREATE ON DATABASE " + name + " TO " + role + "; ALTER DATABASE " + name +
         " SET role = " + role);
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  std::string taken;
  std::string given;
  std::string said = "the schema reseq is not there, or not as it was";
  SECTION("a privilege") {
    taken = "ALTER TABLE reseq.message OWNER TO CURRENT_USER";
    given = "ALTER TABLE reseq.message OWNER TO " + role;
    said = "the role of store.postgres lacks a privilege";
  }
  SECTION("a privilege on the schema") {
    taken = "ALTER SCHEMA reseq OWNER TO CURRENT_USER";
    given = "ALTER SCHEMA reseq OWNER TO " + role;
    said = "the role of store.postgres lacks a privilege";
  }
  SECTION("a table") {
    taken = "ALTER TABLE reseq.message RENAME TO elsewhere";
    given = "ALTER TABLE reseq.elsewhere RENAME TO message";
  }
  SECTION("its schema") {
    taken = "ALTER SCHEMA reseq RENAME TO elsewhere";
    given = "ALTER SCHEMA elsewhere RENAME TO reseq";
  }
  at.sql("SET ROLE NONE; " + taken);
  for (int i = 0; i < 3; ++i) {
    const auto refused = shard.commit({submit("b")});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == errc::unavailable);
    CHECK(refused.error().what.starts_with(said));
  }
  at.sql("SET ROLE NONE; " + given);
  CHECK(must(shard.commit({submit("b")})).receipts[0] == receipt{"b", false, position{2}});
  CHECK(at.news.empty());
}

TEST_CASE("a journal is not opened by a role that may not create its schema, and that is said") {
  place at;
  const auto name = std::string(at.sql("SELECT current_database()")[0][0].c_str());
  at.sql("CREATE ROLE guest_" + name + "; ALTER DATABASE " + name + " SET role = guest_" + name);
  const auto made = at.open();
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().what.starts_with("the role of store.postgres lacks a privilege"));
}

TEST_CASE("a message whose row is missing is a read that failed, and never another key's or one past retention") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard.commit(submit_many("m", 1, 10)));
  at.sql("DELETE FROM reseq.message WHERE position = " + std::to_string(GENERATE(3, 10)));
  const auto read = shard->read(shard.state.handle, destination_id{1}, sequence{1}, 10, 1U << 20U);
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error().code == errc::unavailable);
  const std::vector<core::key_cursor> keys{{"key-m5", sequence{1}}, {"no other has it", sequence{1}}};
  for (const auto* begin = keys.data(); begin != keys.data() + keys.size(); ++begin) {
    const auto searched = shard->read_keys(shard.state.handle, destination_id{1}, {begin, 1}, sequence{10}, 10, 1000);
    REQUIRE_FALSE(searched.has_value());
    CHECK(searched.error().code == errc::unavailable);
    CHECK(searched.error().what.find("is not in the journal") != std::string::npos);
  }
}

TEST_CASE("a journal neither writes to a standby nor reads from one, and goes on when it has been promoted") {
  postgres_server server;
  place at(server);
  if (GENERATE(false, true)) at.options.url += "&target_session_attrs=any";
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  const auto read = [&] { return shard->read(shard.state.handle, destination_id{1}, sequence{1}, 1, 1); };
  server.stop(SIGINT);
  std::ofstream(server.socket_directory() / "data" / "standby.signal").close();
  server.start();
  result<std::vector<core::backlog_item>> found = read();
  while (found.has_value() || found.error().what.find("standby") == std::string::npos) {
    REQUIRE_FALSE(found.has_value());
    REQUIRE(found.error().code == errc::unavailable);
    REQUIRE(code_of(shard.commit({submit("b")})) == errc::unavailable);
    found = read();
  }
  at.sql("SELECT pg_promote()");
  auto done = shard.commit({submit("b")});
  while (!done) done = shard.commit({submit("b")});
  CHECK(done->receipts[0] == receipt{"b", false, position{2}});
  while (!read()) std::this_thread::yield();
}

} // namespace reseq::test
