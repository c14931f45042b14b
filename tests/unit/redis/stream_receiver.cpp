// Streams as transactional destinations: the contract suite over a real Redis, and what a Redis can do to one.

#include <csignal>
#include <sstream>
#include <string>
#include <vector>

#include "catch.hpp"
#include "receiver_contract.hpp"
#include "redis_server.hpp"
#include "reseq/store/redis/stream_receiver.hpp"

namespace reseq::test {

using store::redis::command;
using store::redis::parse_stream_url;
using store::redis::stream_receiver;

namespace {

constexpr auto timeout = std::chrono::seconds{10};
constexpr const char* record = "reseq:{ledger}:receiver:orders:ledger";

class stream_place final : public receiver_place {
public:
  explicit stream_place(std::vector<std::string> more = {}) : server(std::move(more)) {}

  std::unique_ptr<store::transactional_receiver> access(const store::receiver_owner& owner) override {
    return access(owner, "");
  }
  std::unique_ptr<store::transactional_receiver> access(const store::receiver_owner& owner, const std::string& user) {
    auto to = parse_stream_url(server.url_text(user) + "?stream=ledger");
    REQUIRE(to.has_value());
    return std::make_unique<stream_receiver>(std::move(*to), owner, timeout);
  }

  std::vector<seen_message> seen() override {
    std::vector<seen_message> out;
    const auto entries = server.ask(command("XRANGE").add("ledger").add("-").add("+"));
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto entry = entries[i];
      const auto fields = entry[1];
      REQUIRE(fields.size() == 12);
      CHECK(entry[0].text() == std::string(fields[1].text()) + "-0");
      out.push_back({std::stoull(std::string(fields[1].text())), std::stoull(std::string(fields[3].text())),
                     std::string(fields[5].text()), std::string(fields[7].text()), std::string(fields[9].text()),
                     std::string(fields[11].text())});
    }
    return out;
  }

  void lose_all() override { server.ask(command("FLUSHALL")); }
  void forget_journal() override { server.ask(command("HDEL").add(record).add("journal").add("written")); }
  void forget_record() override { server.ask(command("DEL").add(record)); }
  void run(const std::string& claim) override {
    std::istringstream words(claim);
    std::string word;
    words >> word;
    command call(word);
    while (words >> word) call.add(word);
    server.ask(std::move(call));
  }

  redis_server server;
};

receiver_factory stream_places() {
  return [] { return std::make_unique<stream_place>(); };
}

} // namespace

TEST_CASE("a stream holds each message once") { check_receiving(stream_places()); }
TEST_CASE("a stream refuses a stale owner") { check_receiver_fencing(stream_places()); }
TEST_CASE("a stream that is ahead of its journal tells the position, too") { check_positions(stream_places()); }
TEST_CASE("a stream that has other messages is not taken to have ours") { check_other_history(stream_places()); }
TEST_CASE("a stream belongs to one installation") { check_installations(stream_places()); }
TEST_CASE("a stream that says nothing of whose it is, is nobody's who does not know") {
  check_unclaimed(stream_places());
}
TEST_CASE("a stream that has gone back, or whose journal has, is left as it is") { check_going_back(stream_places()); }

TEST_CASE("a Redis that is killed and comes back with its log has each message once") {
  stream_place at({"--appendonly", "yes", "--appendfsync", "always"});
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1, 2}, 0))) == "confirmed");
  at.server.restart();
  const auto again = messages(range_of(2, 4), 1);
  for (int tries = 0; said(receiver->deliver(again)) != "confirmed"; ++tries) REQUIRE(tries < 5);
  CHECK(sequences_of(at.seen()) == range_of(1, 4));
}

TEST_CASE("a Redis that may lose what it has confirmed is told of") {
  const auto risk = [](std::vector<std::string> settings) {
    stream_place at(std::move(settings));
    return at.access(owner_with(1))->durability_risk();
  };
  const std::string on_end =
    "may lose what it has confirmed when it ends: set `appendonly yes` and `appendfsync always`";
  CHECK(risk({"--appendonly", "no"}) == on_end);
  CHECK(risk({"--appendonly", "yes", "--appendfsync", "everysec"}) ==
        "may lose what it has confirmed when its machine crashes: set `appendfsync always`");
  CHECK(risk({"--appendonly", "yes", "--appendfsync", "always"}).empty());
  CHECK(risk({"--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "100mb", "--maxmemory-policy",
              "volatile-lru"})
          .empty());
  CHECK(risk({"--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "100mb", "--maxmemory-policy",
              "allkeys-lru"}) == "may evict what it has confirmed: set `maxmemory-policy noeviction`");
  CHECK(risk({"--appendonly", "no", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}) ==
        on_end + "; and it may evict what it has confirmed: set `maxmemory-policy noeviction`");
}

TEST_CASE("a Redis that does not say what it keeps is used without a word") {
  stream_place at({"--appendonly", "no"});
  at.server.ask(command("ACL").add("SETUSER").add("default").add("-config"));
  CHECK(at.access(owner_with(1))->durability_risk().empty());
}

TEST_CASE("what was trimmed or deleted is not taken twice") {
  stream_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages(range_of(1, 5), 0))) == "confirmed");
  at.server.ask(command("XTRIM").add("ledger").add("MAXLEN").add("0"));
  auto next = at.access(owner_with(2));
  SECTION("trimmed") {}
  SECTION("and its record was evicted: whoever knows that the last one is its own") {
    at.forget_record();
    next = at.access(owner_knowing(2, 5));
  }
  CHECK(said(next->deliver(messages(range_of(4, 6), 3))) == "confirmed");
  CHECK(sequences_of(at.seen()) == range_of(6, 6));
  CHECK(said(receiver->deliver(messages({7}, 6))) == "stale 2");
}

TEST_CASE("a stream that is gone, or is another one, while its record is not, has gone back") {
  stream_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages(range_of(1, 5), 0))) == "confirmed");
  const auto change = std::string(GENERATE("deleted", "expired", "made anew by a consumer", "restored"));
  CAPTURE(change);
  std::uint64_t has = 0;
  if (change == "expired") {
    at.server.ask(command("PEXPIREAT").add("ledger").add("1"));
  } else {
    at.server.ask(command("DEL").add("ledger"));
  }
  if (change == "made anew by a consumer")
    at.server.ask(command("XGROUP").add("CREATE").add("ledger").add("readers").add("$").add("MKSTREAM"));
  if (change == "restored") {
    const auto other = at.access(owner_with(1));
    at.server.ask(command("RENAME").add(record).add("kept"));
    CHECK(said(other->deliver(messages(range_of(1, 3), 0))) == "confirmed");
    at.server.ask(command("RENAME").add("kept").add(record));
    has = 3;
  }
  const auto next = GENERATE(false, true) ? at.access(owner_with(2)) : at.access(owner_with(1));
  const auto answer = said((GENERATE(false, true) ? next : receiver)->deliver(messages({6}, 5)));
  CHECK(answer.starts_with("failing: it has nothing of this") == (has == 0));
  CHECK(answer.ends_with(
    ", but sequence 5 was delivered there: the receiver has gone back in time, or is another one than before"));
  const auto known = must(next->open());
  CHECK(known.last == sequence{has});
  CHECK(known.last_message == (has == 0 ? "" : "m3"));
  CHECK(is_ours(known));
  CHECK(sequences_of(at.seen()) == range_of(1, has));
  CHECK(said(next->deliver(messages(range_of(has + 1, 6), has))) == "confirmed");
  CHECK(sequences_of(at.seen()) == range_of(1, 6));
  CHECK(must(at.access(owner_with(3))->open()).last == sequence{6});
}

TEST_CASE("a stream from which everything was trimmed or deleted has not gone back") {
  stream_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages(range_of(1, 2), 0))) == "confirmed");
  if (GENERATE(false, true)) {
    at.server.ask(command("XTRIM").add("ledger").add("MAXLEN").add("0"));
  } else {
    at.server.ask(command("XDEL").add("ledger").add("1-0").add("2-0"));
  }
  CHECK(must(at.access(owner_with(1))->open()).last_message == "m2");
  CHECK(said(receiver->deliver(messages({3}, 2))) == "confirmed");
  CHECK(sequences_of(at.seen()) == range_of(3, 3));
}

TEST_CASE("what was trimmed is nobody's any more once the record is gone with it, and nothing counts as delivered") {
  stream_place at;
  CHECK(said(at.access(owner_with(1))->deliver(messages(range_of(1, 5), 0))) == "confirmed");
  at.server.ask(command("XTRIM").add("ledger").add("MAXLEN").add("0"));
  at.forget_record();
  const auto next = at.access(owner_with(2));
  for (const auto& first : {messages({3}, 2), messages(range_of(4, 6), 3), messages({6}, 5)})
    CHECK(
      said(next->deliver(first)) ==
      "failing: the receiver has messages up to sequence 5, and reseq:{ledger}:receiver:orders:ledger, the record "
      "beside the stream ledger (which has come to 5-0), does not say whose they are. This is journal "
      "journal-of-orders, epoch 2: if it has delivered them, let the record say so and start again: HSET "
      "reseq:{ledger}:receiver:orders:ledger journal journal-of-orders. Else give this one another table or stream; "
      "or, if whose they are is gone for good, `reseqctl recover PIPELINE --take-over` shows how this one goes on "
      "behind them");
  CHECK(at.seen().empty());
  CHECK(at.server.ask_number(command("EXISTS").add(record)) == 0);
  CHECK(must(next->open()).last_message.empty());
}

TEST_CASE("a stream that somebody else writes to is not taken for one of ours") {
  stream_place at;
  at.server.ask(command("XADD").add("ledger").add("*").add("a").add("b"));
  const auto receiver = at.access(owner_with(1));
  CHECK_FALSE(receiver->open().has_value());
  const auto answer = said(receiver->deliver(messages({1}, 0)));
  CHECK(answer.starts_with("failing: "));
  CHECK(answer.find("name another stream") != std::string::npos);
}

TEST_CASE("a user who may not write the record for a while appends nothing meanwhile, and each message once then") {
  stream_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  const auto taken = std::string(GENERATE("hset", "xadd", "xrange"));
  at.server.ask(command("ACL").add("SETUSER").add("default").add("-" + taken));
  const auto answer = said(receiver->deliver(messages(range_of(2, 4), 1)));
  CHECK((taken == "xrange" || answer.starts_with("failing: ")));
  at.server.ask(command("ACL").add("SETUSER").add("default").add("+@all"));
  CHECK(sequences_of(at.seen()) == (taken == "xrange" ? range_of(1, 4) : range_of(1, 1)));
  CHECK(said(receiver->deliver(messages(range_of(2, 5), 1))) == "confirmed");
  CHECK(sequences_of(at.seen()) == range_of(1, 5));
}

TEST_CASE("a user needs no more rights than the README of this folder names") {
  stream_place at;
  command user("ACL");
  user.add("SETUSER").add("writer").add("on").add(">hush").add("~ledger").add("~reseq:*");
  for (const auto* right :
       {"+evalsha", "+script|load", "+hmget", "+hset", "+exists", "+xlen", "+xadd", "+xinfo", "+xrange", "+xrevrange"})
    user.add(right);
  at.server.ask(user);
  const auto receiver = at.access(owner_with(1), "writer:hush");
  CHECK(said(receiver->deliver(messages(range_of(1, 2), 0))) == "confirmed");
  at.server.ask(command("XTRIM").add("ledger").add("MAXLEN").add("0"));
  CHECK(said(receiver->deliver(messages(range_of(2, 3), 1))) == "confirmed");
  at.server.ask(command("HSET").add(record).add("last").add("2").add("message").add("m2"));
  CHECK(said(at.access(owner_with(2), "writer:hush")->deliver(messages(range_of(3, 4), 2))) == "confirmed");
  at.forget_record();
  CHECK(must(at.access(owner_knowing(3, 4), "writer:hush")->open()).last_message == "m4");
}

TEST_CASE("what is in the stream already, and not in its record, is not appended again") {
  stream_place at;
  CHECK(said(at.access(owner_with(1))->deliver(messages(range_of(1, 4), 0))) == "confirmed");
  at.server.ask(command("HSET").add(record).add("last").add("1").add("message").add("m1"));
  const auto next = at.access(owner_with(2));
  if (GENERATE(false, true)) CHECK(said(next->deliver(messages({2}, 1))) == "confirmed");
  CHECK(said(next->deliver(messages(range_of(2, 5), 1))) == "confirmed");
  CHECK(sequences_of(at.seen()) == range_of(1, 5));
  CHECK(must(next->open()).last == sequence{5});
}

TEST_CASE("later entries of somebody else stop a destination, which says what helps") {
  stream_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages(range_of(1, 2), 0))) == "confirmed");
  const auto id = std::string(GENERATE("3-0", "*"));
  const auto entry = std::string(at.server
                                   .ask(command("XADD")
                                          .add("ledger")
                                          .add(id)
                                          .add("sequence")
                                          .add("3")
                                          .add("position")
                                          .add("9")
                                          .add("message_id")
                                          .add("x"))
                                   .text());
  const auto answer = said(receiver->deliver(messages({3}, 2)));
  CHECK(answer.starts_with("failing: "));
  CHECK(answer.find(", " + entry + ": name another stream") != std::string::npos);
  CHECK(at.server.ask_number(command("XLEN").add("ledger")) == 3);
  const auto version = at.server.ask_number(command("EVAL").add("return redis.REDIS_VERSION_NUM or 0").add("0"));
  if (version >= 0x070200) {
    CHECK(answer.ends_with("name another stream")); // XSETID would be refused
    return;
  }
  at.server.ask(command("XDEL").add("ledger").add(entry));
  CHECK(answer.ends_with("XSETID the stream to 2-0"));
  at.server.ask(command("XSETID").add("ledger").add("2-0"));
  CHECK(said(receiver->deliver(messages({3}, 2))) == "confirmed");
  CHECK(sequences_of(at.seen()) == range_of(1, 3));
}

TEST_CASE("a Redis that forgets its scripts is told them again") {
  stream_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  at.server.ask(command("SCRIPT").add("FLUSH"));
  CHECK(said(receiver->deliver(messages({2}, 1))) == "confirmed");
  CHECK(sequences_of(at.seen()) == range_of(1, 2));
}

TEST_CASE("a key of another type, or a Redis that is away, is said without a password") {
  stream_place at;
  at.server.ask(command("SET").add("ledger").add("text"));
  CHECK(said(at.access(owner_with(1))->deliver(messages({1}, 0))).find("WRONGTYPE") != std::string::npos);
  const auto away = parse_stream_url("redis://u:hush@127.0.0.1:1/0?stream=s");
  REQUIRE(away.has_value());
  stream_receiver receiver(*away, owner_with(1), timeout);
  const auto answer = said(receiver.deliver(messages({1}, 0)));
  CHECK(answer.starts_with("failing: "));
  CHECK(answer.find("127.0.0.1:1") != std::string::npos);
  CHECK(answer.find("hush") == std::string::npos);
}

TEST_CASE("a stream's URL names the stream, and the rest is the server's") {
  CHECK(parse_stream_url("unix:///run/r.sock?db=3&stream={a}b")->server.database == 3);
  CHECK(parse_stream_url("redis://h/2?stream=s")->server.database == 2);
  CHECK(parse_stream_url("redis://h/2?stream=s")->stream == "s");
  for (const auto* wrong : {"redis://h/2", "redis://h/2?stream=", "http://h?stream=s", "redis://h?x=1&stream=s"})
    CHECK_FALSE(parse_stream_url(wrong).has_value());
}

} // namespace reseq::test
