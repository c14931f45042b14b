// A server whose machine answers, and which itself does not: a backend that is stopped, storage that hangs, a
// synchronous standby that is away.

#include <chrono>
#include <csignal>
#include <future>
#include <thread>

#include "cut_place.hpp"
#include "table_place.hpp"

namespace reseq::test {

namespace {

using hanging = cutting_proxy::hanging;
using std::chrono::steady_clock;

constexpr auto patience = 500ms;
constexpr auto far_longer = 10s;

/// What `ask` answers; where it waits for ever, after `release`.
template <class F, class Release>
auto in_time(F ask, Release release) {
  auto asking = std::async(std::launch::async, ask);
  const bool answers = asking.wait_for(far_longer) == std::future_status::ready;
  CHECK(answers);
  if (!answers) release();
  return asking.get();
}

template <class F>
auto in_time(cutting_proxy& proxy, F ask) {
  return in_time(ask, [&] { proxy.hang_no_more(); });
}

/// A commit of one more message works again, once the connection is back.
std::vector<result<receipt>> commits_again(opened& shard, const std::vector<submission>& what) {
  auto done = shard.commit(what);
  for (; !done; done = shard.commit(what))
    REQUIRE((code_of(done) == errc::unavailable || code_of(done) == errc::in_doubt));
  return done->receipts;
}

} // namespace

TEST_CASE("a commit that a server never answers is in doubt, and is found when the server is back") {
  const auto when = GENERATE(hanging::before, hanging::after);
  place at;
  at.options.longest_silence = patience;
  at.options.doubt_patience = 50ms;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  at.proxy.refuse(true);
  at.proxy.hang_at("COMMIT", when);
  CHECK(code_of(in_time(at.proxy, [&] { return shard.commit({submit("b")}); })) == errc::in_doubt);
  CHECK(at.news.find("connection broke: the server has not answered a COMMIT for 0.5 s") != std::string::npos);

  at.proxy.hang_no_more();
  at.proxy.refuse(false);
  const auto receipts = commits_again(shard, {submit("b"), submit("c")});
  CHECK(receipts[0] == receipt{"b", when == hanging::after, position{2}});
  CHECK(receipts[1] == receipt{"c", false, position{3}});
}

TEST_CASE("a commit of which a server does not answer the beginning is given up, and another session does it") {
  place at;
  at.options.longest_silence = patience;
  at.options.reconnect_patience = 30s;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  const auto writer = at.sql("SELECT owner_pid FROM reseq.shard")[0][0].as<pid_t>();
  kill(writer, SIGSTOP);
  const auto done = in_time([&] { return shard.commit({submit("b")}); }, [&] { kill(writer, SIGCONT); });
  kill(writer, SIGCONT);
  CHECK(must(done).receipts[0] == receipt{"b", false, position{2}});
}

TEST_CASE("a commit that hangs in one of its statements did not happen, and can be done again") {
  place at;
  at.options.longest_silence = patience;
  at.options.reconnect_patience = 0ms;
  opened shard(must(at.open()), specs(1));
  at.proxy.hang_at("INSERT INTO reseq.message");
  const auto failed = in_time(at.proxy, [&] { return shard.commit({submit("a")}); });
  CHECK(code_of(failed) == errc::unavailable);
  CHECK(failed.error().what.find("is away") != std::string::npos);
  CHECK(failed.error().what.find("has not answered a statement for 0.5 s") != std::string::npos);
  at.proxy.hang_no_more();
  CHECK(commits_again(shard, {submit("a")})[0] == receipt{"a", false, position{1}});
}

TEST_CASE("a read that a server does not answer is given up, and the next one works") {
  place at;
  at.options.longest_silence = patience;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  const auto read = [&] { return shard->read(shard.state.handle, destination_id{1}, sequence{1}, 1, 1); };
  at.proxy.hang_at("FROM reseq.message");
  auto found = in_time(at.proxy, read);
  REQUIRE_FALSE(found.has_value());
  CHECK(found.error().code == errc::unavailable);
  at.proxy.hang_no_more();
  while (!found) found = read();
  CHECK(found->size() == 1);
}

TEST_CASE("a session that a server lets wait while it is set up is given up, and made anew") {
  place at;
  at.options.longest_silence = patience;
  opened shard(must(at.open()), specs(1));
  must(shard.commit({submit("a")}));
  at.proxy.hang_at("SET synchronous_commit");
  at.sql("SELECT pg_terminate_backend(owner_pid, 10000) FROM reseq.shard");
  const auto until = steady_clock::now() + far_longer;
  auto failed = shard.commit({submit("b")});
  while (failed || failed.error().what.find("has not answered") == std::string::npos) {
    REQUIRE_FALSE(failed.has_value());
    if (steady_clock::now() > until) at.proxy.hang_no_more();
    REQUIRE(steady_clock::now() < until);
    failed = shard.commit({submit("b")});
  }
  at.proxy.hang_no_more();
  CHECK(commits_again(shard, {submit("b")})[0] == receipt{"b", false, position{2}});
}

TEST_CASE("a commit that waits for a standby that is away is in doubt, and happened once it is back") {
  postgres_server server;
  place at(server);
  at.options.longest_silence = patience;
  at.options.doubt_patience = 50ms;
  opened shard(must(at.open()), specs(1));
  at.wait_for_standby(server, "away");
  CHECK(code_of(in_time([&] { return shard.commit({submit("a")}); }, [&] { at.wait_for_standby(server, ""); })) ==
        errc::in_doubt);
  at.wait_for_standby(server, "");
  CHECK(commits_again(shard, {submit("a")})[0] == receipt{"a", true, position{1}});
}

TEST_CASE("statements that each take a while are not given up, however long they take together") {
  place at;
  at.options.longest_silence = 1s;
  opened shard(must(at.open()), specs(1));
  at.sql(
    "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END$$;"
    "CREATE TRIGGER wait AFTER INSERT ON reseq.message FOR EACH STATEMENT EXECUTE FUNCTION wait();"
    "CREATE CONSTRAINT TRIGGER wait_again AFTER INSERT ON reseq.message DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
    "EXECUTE FUNCTION wait()");
  CHECK(must(shard.commit({submit("a")})).receipts[0] == receipt{"a", false, position{1}});
}

TEST_CASE("a destination whose server does not answer is failing, and goes on when it does") {
  table_place at;
  const auto [where, when] = GENERATE(std::pair{"INSERT INTO", hanging::before}, std::pair{"COMMIT", hanging::before},
                                      std::pair{"COMMIT", hanging::after});
  CAPTURE(where);
  at.timeout = at.grace = patience / 2;
  const auto receiver = at.access(owner_with(1));
  REQUIRE(receiver->open());
  at.proxy.hang_at(where, when);
  const auto answer = said(in_time(at.proxy, [&] { return receiver->deliver(messages({1}, 0)); }));
  CHECK(answer.starts_with("failing: "));
  CHECK(answer.find("has not answered") != std::string::npos);
  at.proxy.hang_no_more();
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  CHECK(sequences_of(at.seen()) == range_of(1, 1));
}

TEST_CASE("a destination's function may take longer than a server that hangs, and its statements may not") {
  table_place at;
  at.timeout = at.grace = patience / 2;
  at.sql("CREATE TABLE public.ledger (sequence bigint PRIMARY KEY, position bigint, message_id text, key text, headers "
         "jsonb, payload bytea)");
  at.function = [&](transaction& tx, const delivery& d) {
    std::this_thread::sleep_for(patience * 5 / 4);
    tx.execute("INSERT INTO public.ledger VALUES ($1, $2, $3, $4, '{}', '')",
               {d.seq.value(), d.at.value(), d.message_id, d.key});
    std::this_thread::sleep_for(patience * 5 / 4);
  };
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  at.proxy.hang_at("INSERT INTO public.ledger");
  const auto answer = said(in_time(at.proxy, [&] { return receiver->deliver(messages({2}, 1)); }));
  CHECK(answer.find("has not answered a statement") != std::string::npos);
  at.proxy.hang_no_more();
  CHECK(said(receiver->deliver(messages({2}, 1))) == "confirmed");
  CHECK(sequences_of(at.seen()) == range_of(1, 2));
}

} // namespace reseq::test
