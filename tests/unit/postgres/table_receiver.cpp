// Tables, and functions that fill them, as transactional destinations: the contract suite, refused rows, and
// connections that break in a commit.

#include <csignal>
#include <string>
#include <vector>

#include "catch.hpp"
#include "postgres_server.hpp"
#include "reseq/model/permanent_error.hpp"
#include "reseq/store/postgres/server_message.hpp"
#include "table_place.hpp"

namespace reseq::test {

using cut = cutting_proxy::cut;
using store::postgres::parse_table_url;
using store::postgres::table_receiver;

namespace {

receiver_factory table_places() {
  return [] { return std::make_unique<table_place>(); };
}

/// Does what the table would do by itself.
void insert(transaction& tx, const delivery& d) {
  tx.execute("INSERT INTO public.ledger VALUES ($1, $2, $3, $4, $5, $6)",
             {d.seq.value(), d.at.value(), d.message_id, d.key, d.headers, parameter::bytes(d.body->payload)});
}

/// The same for a payload column that holds no bytes.
void insert_as_text(transaction& tx, const delivery& d) {
  tx.execute("INSERT INTO public.ledger VALUES ($1, $2, $3, $4, $5, $6)",
             {d.seq.value(), d.at.value(), d.message_id, d.key, d.headers, d.body->payload});
}

std::unique_ptr<table_place> function_place(delivery_function f = insert) {
  auto place = std::make_unique<table_place>();
  place->sql("CREATE TABLE public.ledger (sequence bigint PRIMARY KEY, position bigint, message_id text, key text, "
             "headers jsonb, payload bytea)");
  place->function = std::move(f);
  return place;
}

receiver_factory function_places() {
  return [] { return function_place(); };
}

} // namespace

TEST_CASE("a table holds each message once") { check_receiving(table_places()); }
TEST_CASE("a table refuses a stale owner") { check_receiver_fencing(table_places()); }
TEST_CASE("a table that is ahead of its journal tells the position, too") { check_positions(table_places()); }
TEST_CASE("a table that has other messages is not taken to have ours") { check_other_history(table_places()); }
TEST_CASE("a table that has gone back, or whose journal has, is left as it is") { check_going_back(table_places()); }

TEST_CASE("a table that says nothing of whose it is, is nobody's who does not know") {
  check_unclaimed(table_places());
}
TEST_CASE("a table belongs to one installation") { check_installations(table_places()); }

TEST_CASE("what a function does is done once for each message") { check_receiving(function_places()); }
TEST_CASE("a function is not called for a stale owner") { check_receiver_fencing(function_places()); }
TEST_CASE("a function is not called where the database, or the journal, has gone back") {
  check_going_back(function_places());
}

TEST_CASE("a commit that the connection broke in is done once, whether the server had done it or not") {
  const auto place = GENERATE(false, true) ? function_place() : std::make_unique<table_place>();
  auto& at = *place;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  std::uint64_t last = 1;
  for (const auto where : {cut::before_commit, cut::at_commit, cut::after_commit}) {
    at.proxy.next_commit(where);
    const auto batch = messages({last + 1, last + 2}, last);
    for (int tries = 0; said(receiver->deliver(batch)) != "confirmed"; ++tries) REQUIRE(tries < 5);
    last += 2;
    CHECK(sequences_of(at.seen()) == range_of(1, last));
  }
}

TEST_CASE("a backend that is killed in the middle takes nothing along, and the next call connects anew") {
  table_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  at.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
         "current_database()");
  for (int tries = 0; said(receiver->deliver(messages({2}, 1))) != "confirmed"; ++tries) REQUIRE(tries < 5);
  CHECK(sequences_of(at.seen()) == range_of(1, 2));
}

TEST_CASE("a row that violates a constraint is refused and nothing of its batch is there; others go on") {
  table_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  SECTION("at once") { at.sql("ALTER TABLE public.ledger ADD CHECK (message_id <> 'm3')"); }
  SECTION("at the end of the transaction") {
    at.sql("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
           "$$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'; END$$;"
           "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON public.ledger DEFERRABLE INITIALLY DEFERRED "
           "FOR EACH ROW WHEN (NEW.message_id = 'm3') EXECUTE FUNCTION no()");
  }
  const auto refusal = said(receiver->deliver(messages({2, 3, 4}, 1)));
  CHECK(refusal.starts_with("refused: "));
  CHECK(refusal.find("(23514)") != std::string::npos);
  CHECK(refusal.find("Failing row") == std::string::npos);
  CHECK(sequences_of(at.seen()) == range_of(1, 1));
  CHECK(said(receiver->deliver(messages({2}, 1))) == "confirmed");
  CHECK(said(receiver->deliver(messages({3}, 2))).starts_with("refused: "));
  CHECK(said(receiver->deliver(messages({4}, 2))) == "confirmed");
  CHECK(sequences_of(at.seen()) == std::vector<std::uint64_t>{1, 2, 4});
}

TEST_CASE("a row for which a trigger raises an exception is refused, unless it raises one that says to try again") {
  table_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  at.sql("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
         "$$BEGIN IF NEW.message_id = 'm2' THEN RAISE EXCEPTION 'm2 is not for us'; END IF; "
         "IF NEW.message_id = 'm3' THEN "
         "RAISE EXCEPTION 'not now' USING ERRCODE = 'object_not_in_prerequisite_state'; END IF; RETURN NEW; END$$;"
         "CREATE TRIGGER no BEFORE INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION no()");
  CHECK(said(receiver->deliver(messages({2}, 1))) == "refused: ERROR:  m2 is not for us (P0001)");
  CHECK(said(receiver->deliver(messages({3}, 1))).starts_with("failing: PostgreSQL: ERROR:  not now"));
  CHECK(said(receiver->deliver(messages({4}, 1))) == "confirmed");
  CHECK(sequences_of(at.seen()) == std::vector<std::uint64_t>{1, 4});
}

TEST_CASE("a message that goes past a limit of the server's is refused, and the others of its batch get in") {
  const bool by_function = GENERATE(false, true);
  const auto place = by_function ? function_place(insert_as_text) : std::make_unique<table_place>();
  auto& at = *place;
  at.sql("DROP TABLE IF EXISTS public.ledger; CREATE TABLE public.ledger (sequence bigint, position bigint, message_id "
         "text, key text, headers jsonb, payload jsonb, delivered_at timestamptz)");
  const auto receiver = at.access(owner_with(1));
  constexpr std::size_t too_deep = 100'000;
  auto batch = messages({1, 2, 3}, 0);
  for (auto& one : batch) {
    const bool is_bad = one.item.seq == sequence{2};
    one.item.body = std::make_shared<const content>(
      content{is_bad ? std::string(too_deep, '[') + std::string(too_deep, ']') : "[]", "", {}});
  }
  const auto refusal = said(receiver->deliver(batch));
  CHECK(refusal.starts_with("refused: ERROR:  stack depth limit exceeded"));
  CHECK(refusal.ends_with("(54001)"));
  CHECK(said(receiver->deliver(std::span(batch).subspan(0, 1))) == "confirmed");
  CHECK(said(receiver->deliver(std::span(batch).subspan(1, 1))).starts_with("refused: "));
  batch[2].item.previous = sequence{1};
  CHECK(said(receiver->deliver(std::span(batch).subspan(2, 1))) == "confirmed");
  CHECK(at.sql("SELECT FROM public.ledger WHERE sequence IN (1, 3)").size() == 2);
}

TEST_CASE("a row that the code of a trigger, or the number of rows it finds, keeps out is refused") {
  const std::string state = GENERATE("54000", "38000", "21000");
  table_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  at.sql("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.message_id = 'm2' THEN "
         "RAISE EXCEPTION 'no' USING ERRCODE = '" +
         state + "'; END IF; RETURN NEW; END$$;" +
         "CREATE TRIGGER no BEFORE INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION no()");
  CHECK(said(receiver->deliver(messages({2, 3}, 1))) == "refused: ERROR:  no (" + state + ")");
  CHECK(said(receiver->deliver(messages({3}, 1))) == "confirmed");
}

TEST_CASE("a table that has no partition for a message is failing until it has one; the message is not to blame") {
  const bool by_function = GENERATE(false, true);
  const auto place = by_function ? function_place() : std::make_unique<table_place>();
  auto& at = *place;
  at.sql("DROP TABLE IF EXISTS public.ledger; CREATE TABLE public.ledger (sequence bigint, position bigint, message_id "
         "text CONSTRAINT short CHECK (length(message_id) < 3), key text, headers jsonb, payload bytea, delivered_at "
         "timestamptz) PARTITION BY RANGE (sequence); "
         "CREATE TABLE public.low PARTITION OF public.ledger FOR VALUES FROM (1) TO (3)");
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  const auto answer = said(receiver->deliver(messages({2, 3}, 1)));
  CHECK(answer.starts_with("failing: ERROR:  no partition of relation \"ledger\" found for row"));
  CHECK(answer.ends_with("(23514)"));
  at.sql("CREATE TABLE public.high PARTITION OF public.ledger FOR VALUES FROM (3) TO (1000)");
  CHECK(said(receiver->deliver(messages({2, 3}, 1))) == "confirmed");
  CHECK(said(receiver->deliver(messages({100}, 3)))
          .starts_with("refused: ERROR:  new row for relation \"high\" violates check constraint \"short\""));
}

TEST_CASE("a column that nothing gives a value is the table's trouble; one that gets none from a message is not") {
  table_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  at.sql("ALTER TABLE public.ledger ADD more int NOT NULL DEFAULT 1, ADD half bigint NOT NULL GENERATED ALWAYS AS "
         "(nullif(sequence, 4)) STORED; ALTER TABLE public.ledger ALTER more DROP DEFAULT");
  CHECK(
    said(receiver->deliver(messages({2}, 1))) ==
    "failing: the column more of the table \"public\".\"ledger\" must not be null, and needs a default: ERROR:  null "
    "value in column \"more\" of relation \"ledger\" violates not-null constraint (23502)");
  at.sql("ALTER TABLE public.ledger ALTER more SET DEFAULT 7");
  CHECK(said(receiver->deliver(messages({2}, 1))) == "confirmed");
  SECTION("because the message has no key") {
    at.sql("UPDATE public.ledger SET key = 'none' WHERE key IS NULL; ALTER TABLE public.ledger ALTER key SET NOT NULL");
    CHECK(said(receiver->deliver(messages({3}, 2))).starts_with("refused: ERROR:  null value in column \"key\""));
  }
  SECTION("because it is worked out from the message") {
    CHECK(said(receiver->deliver(messages({4}, 2))).starts_with("refused: ERROR:  null value in column \"half\""));
  }
  SECTION("because a trigger finds nothing in the message") {
    at.sql("ALTER TABLE public.ledger ALTER more DROP DEFAULT;"
           "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS "
           "$$BEGIN NEW.more := nullif(NEW.sequence, 4); RETURN NEW; END$$;"
           "CREATE TRIGGER fill BEFORE INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION fill()");
    CHECK(said(receiver->deliver(messages({3}, 2))) == "confirmed");
    CHECK(said(receiver->deliver(messages({4}, 3))).starts_with("refused: ERROR:  null value in column \"more\""));
  }
}

TEST_CASE("a message whose sequence the table has from another destination is not to blame") {
  table_place at;
  const std::string columns = "position bigint, message_id text, key text, headers jsonb, payload bytea, delivered_at "
                              "timestamptz)";
  std::string which = "sequence 1 already, of message m1,";
  SECTION("by the key of a table that was made for it") {}
  SECTION("by any index") {
    at.sql("CREATE TABLE public.ledger (sequence text, " + columns +
           "; CREATE UNIQUE INDEX once ON public.ledger (sequence)");
  }
  SECTION("in a partition") {
    at.sql("CREATE TABLE public.ledger (sequence bigint PRIMARY KEY, " + columns +
           " PARTITION BY RANGE (sequence); CREATE TABLE public.low PARTITION OF public.ledger DEFAULT");
  }
  SECTION("behind a view") {
    at.sql("CREATE TABLE public.kept (sequence bigint PRIMARY KEY, " + columns +
           "; CREATE VIEW public.ledger AS SELECT * FROM public.kept");
  }
  SECTION("for a role that may not read it") {
    REQUIRE(at.access(owner_with(1))->open());
    at.become_writer();
    which = "a sequence already,";
  }
  auto renamed = owner_with(1);
  renamed.destination = "books";
  const auto second = at.access(renamed);
  REQUIRE(second->open());
  REQUIRE(said(at.access(owner_with(1))->deliver(messages({1, 2}, 0))) == "confirmed");
  const auto answer = said(second->deliver(messages({1}, 0, "other")));
  CAPTURE(answer);
  CHECK(answer.starts_with("failing: the table \"public\".\"ledger\" has " + which));
  CHECK(answer.find("a table of its own: ERROR:  duplicate key value") != std::string::npos);
  CHECK(answer.ends_with("(23505)"));
}

TEST_CASE("a message that a unique constraint of the table's owner keeps out is refused") {
  table_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  std::string constraint;
  SECTION("on the id") {
    at.sql("ALTER TABLE public.ledger ADD CONSTRAINT one_id UNIQUE (message_id); INSERT INTO public.ledger SELECT 900, "
           "position, 'm2', key, headers, payload, delivered_at FROM public.ledger");
    constraint = "one_id";
  }
  SECTION("on more than the sequence") {
    at.sql("ALTER TABLE public.ledger DROP CONSTRAINT ledger_pkey; ALTER TABLE public.ledger ADD CONSTRAINT pair "
           "UNIQUE (sequence, message_id); INSERT INTO public.ledger SELECT 2, position, 'm2', key, headers, payload, "
           "delivered_at FROM public.ledger");
    constraint = "pair";
  }
  SECTION("on sequences in another table") {
    at.sql("CREATE TABLE public.audit (sequence bigint CONSTRAINT audited UNIQUE); INSERT INTO public.audit VALUES (2);"
           "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS "
           "$$BEGIN INSERT INTO public.audit VALUES (NEW.sequence); RETURN NEW; END$$;"
           "CREATE TRIGGER audit AFTER INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION audit()");
    constraint = "audited";
  }
  CHECK(said(receiver->deliver(messages({2}, 1))) ==
        "refused: ERROR:  duplicate key value violates unique constraint \"" + constraint + "\" (23505)");
}

TEST_CASE("what a server quotes in its message is not taken for what it says itself") {
  using store::postgres::read_message;
  const auto plain = read_message(pqxx::check_violation(
    "ERROR:  23514: no\nDETAIL:  x\nCONSTRAINT NAME:  y\nTABLE NAME:  t\nLOCATION:  f, f.c:1\n", "", "23514"));
  CHECK(plain.text == "ERROR:  no\nDETAIL:  x\nCONSTRAINT NAME:  y\n");
  CHECK(plain.table == "t");
  CHECK(plain.constraint.empty());
  CHECK(lacks_partition(plain));
  const auto brief = read_message(pqxx::sql_error("ERROR:  no: 42000: or so", "", "42000"));
  CHECK(brief.text == "ERROR:  no: 42000: or so");
  CHECK(read_message(std::runtime_error("")).text.empty());
}

TEST_CASE("what is too long for its column is refused, and not cut off") {
  table_place at;
  at.sql("CREATE TABLE public.ledger (sequence bigint, position bigint, message_id varchar(2), key char(1), "
         "headers jsonb, payload bytea, delivered_at timestamptz)");
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  CHECK(said(receiver->deliver(messages({2}, 1))).find("(22001)") != std::string::npos);  // its key is
  CHECK(said(receiver->deliver(messages({11}, 1))).find("(22001)") != std::string::npos); // its id is
  CHECK(sequences_of(at.seen()) == range_of(1, 1));
}

TEST_CASE("a column of a domain gets what one of the type below it would") {
  table_place at;
  SECTION("bytes") {
    at.sql("CREATE DOMAIN bytes AS bytea; CREATE DOMAIN few AS bytes CHECK (length(VALUE) < 9)");
    at.sql("CREATE TABLE public.ledger (sequence bigint, position bigint, message_id text, key text, headers jsonb, "
           "payload few, delivered_at timestamptz)");
    const auto receiver = at.access(owner_with(1));
    CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
    REQUIRE(at.seen().size() == 1);
    CHECK(at.seen().front().payload == std::string("body\0 1", 7));
    CHECK(said(receiver->deliver(messages({100}, 1))).find("(23514)") != std::string::npos);
  }
  SECTION("text, which is not cut off") {
    at.sql("CREATE DOMAIN short AS varchar(2)");
    at.sql("CREATE TABLE public.ledger (sequence bigint, position bigint, message_id short, key text, headers jsonb, "
           "payload bytea, delivered_at timestamptz)");
    const auto receiver = at.access(owner_with(1));
    CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
    CHECK(said(receiver->deliver(messages({11}, 1))).find("(22001)") != std::string::npos);
  }
}

TEST_CASE("bytes are bytes for a role that has all names quoted") {
  table_place at;
  at.sql("ALTER DATABASE " + std::string(at.sql("SELECT current_database()")[0][0].c_str()) +
         " SET quote_all_identifiers = on");
  CHECK(said(at.access(owner_with(1))->deliver(messages({1}, 0))) == "confirmed");
  REQUIRE(at.seen().size() == 1);
  CHECK(at.seen().front().payload == std::string("body\0 1", 7));
}

TEST_CASE("what a function throws decides what becomes of the message, and nothing of it is there") {
  std::function<void(transaction&)> trouble;
  const auto place = function_place([&](transaction& tx, const delivery& d) {
    insert(tx, d);
    if (d.message_id == "m3") trouble(tx);
  });
  struct expectation {
    std::function<void(transaction&)> trouble;
    std::string answer;
  };
  const auto [how, answer] = GENERATE(values<expectation>({
    {[](transaction&) { throw permanent_error("never"); }, "refused: never"},
    {[](transaction&) { throw std::runtime_error("not now"); }, "failing: not now"},
    {[](transaction&) { throw 7; }, "failing: the destination's function threw what is no std::exception"},
    {[](transaction& tx) { tx.execute("SELECT 1 / $1::int", {0}); }, "refused: ERROR:  division by zero"},
    {[](transaction& tx) { tx.execute("SELEKT"); }, "failing: ERROR:  syntax error"},
    {[](transaction& tx) {
       try {
         tx.execute("SELECT nothing");
       } catch (const sql_error&) { // cannot be made good
       }
     },
     "failing: ERROR:  column \"nothing\" does not exist"},
    {[](transaction& tx) { tx.execute(" /* so far /* so good */ */ -- done\nCommit"); },
     "failing: a destination's function neither begins nor ends transactions: commit"},
  }));
  trouble = how;
  const auto receiver = place->access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1, 2}, 0))) == "confirmed");
  CHECK(said(receiver->deliver(messages({3, 4}, 2))).starts_with(answer));
  CHECK(sequences_of(place->seen()) == range_of(1, 2));
  trouble = [](transaction&) {};
  CHECK(said(receiver->deliver(messages({3, 4}, 2))) == "confirmed");
  CHECK(sequences_of(place->seen()) == range_of(1, 4));
}

TEST_CASE("a function reads what it wrote, and gets values, nothing and counts") {
  std::vector<std::string> seen;
  const auto place = function_place([&](transaction& tx, const delivery& d) {
    insert(tx, d);
    CHECK(tx.execute("UPDATE public.ledger SET key = $1 WHERE sequence = $2", {nullptr, d.seq.value()}).affected == 1);
    const auto found =
      tx.execute("SELECT count(*), max(key), $1::float8, $2::bool, $3::bytea = payload FROM public.ledger "
                 "GROUP BY payload",
                 {0.1, true, parameter::bytes(d.body->payload)});
    for (const auto& value : found.rows.back()) seen.push_back(value.value_or("nothing"));
  });
  CHECK(said(place->access(owner_with(1))->deliver(messages({1}, 0))) == "confirmed");
  CHECK(seen == std::vector<std::string>{"1", "nothing", "0.1", "t", "t"});
}

TEST_CASE("what a function gives a statement is never cut off at a byte 0, but refused, whoever catches that") {
  std::string key("a\0b", 3);
  bool catches = false;
  const auto place = function_place([&](transaction& tx, const delivery& d) {
    insert(tx, d);
    try {
      tx.execute("UPDATE public.ledger SET key = $2 WHERE sequence = $1", {d.seq.value(), key});
    } catch (const sql_error&) {
      if (!catches) throw;
    }
  });
  const auto receiver = place->access(owner_with(1));
  catches = GENERATE(false, true);
  CHECK(said(receiver->deliver(messages({1}, 0))) ==
        "refused: parameter $2 has a byte 0, after 1 other, which no text in PostgreSQL can have "
        "(parameter::bytes is for a bytea) (22021)");
  CHECK(place->seen().empty());
  key = "ab";
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  CHECK(place->seen().front().key == "ab");
}

TEST_CASE("a statement of a function's is never cut off at a byte 0") {
  const auto place = function_place([&](transaction& tx, const delivery& d) {
    insert(tx, d);
    tx.execute(std::string_view("UPDATE public.ledger SET key = 'a'\0 WHERE false", 47));
  });
  CHECK(said(place->access(owner_with(1))->deliver(messages({1}, 0)))
          .starts_with("refused: the statement has a byte 0, after 34 others, "));
  CHECK(place->seen().empty());
}

TEST_CASE("commands about transactions are told from others, behind whatever comments") {
  using store::postgres::ends_transaction;
  for (const auto* one :
       {"COMMIT", "end;", " rollback to a", "ABORT", "begin", "START TRANSACTION", ";commit", "savepoint a",
        "release a", "prepare transaction 'a'", "--\n/* /* */ */commit", "PREPARE /**/ TRANSACTION 'x'"})
    CHECK(ends_transaction(one));
  for (const auto* one :
       {"SELECT 'commit'", "", "/* commit", "-- commit", "prepare a as select 1", "committed", "endless"})
    CHECK_FALSE(ends_transaction(one));
}

TEST_CASE("a table without a schema is public's, and whoever's search path leads to another is told") {
  table_place at;
  at.sql("CREATE SCHEMA sales; CREATE TABLE sales.ledger (sequence bigint); ALTER DATABASE " +
         std::string(at.sql("SELECT current_database()")[0][0].c_str()) + " SET search_path = sales, public");
  const auto first = said(at.access(owner_with(1))->deliver(messages({1}, 0)));
  CHECK(
    first.starts_with("failing: the destination's url: table=ledger means public.ledger, which is not there, and the "
                      "role's search_path leads to sales.ledger: write table=sales.ledger if that is meant, else "
                      "table=public.ledger"));
  CHECK(at.told.empty());
  at.table = "public.ledger";
  CHECK(said(at.access(owner_with(1))->deliver(messages({1}, 0))) == "confirmed");
  CHECK(at.told == std::vector<std::string>{"made the table public.ledger, which was not there"});
  at.table = "ledger";
  CHECK(said(at.access(owner_with(1))->deliver(messages({2}, 1))) == "confirmed");
  REQUIRE(at.told.size() == 2);
  CHECK(at.told[1].starts_with("table=ledger is public.ledger, and the role's search_path leads to sales.ledger"));
}

TEST_CASE(
  "a role that may not alter an older reseq.delivered uses it as it is until its owner does, and that is said") {
  table_place at;
  CHECK(said(at.access(owner_with(1))->deliver(messages({1}, 0))) == "confirmed");
  at.forget_journal();
  at.become_writer();
  const auto writer = at.access(owner_with(2));
  at.told.clear();
  CHECK(said(writer->deliver(messages({2}, 1))) == "confirmed");
  CHECK(said(writer->deliver(messages({3}, 2))) == "confirmed");
  CHECK(writer->open()->foreign.empty());
  CHECK(writer->take_over({})->last == sequence{3});
  REQUIRE(at.told.size() == 1);
  CHECK(at.told[0].find("Let its owner run: ALTER TABLE reseq.delivered ADD COLUMN") != std::string::npos);
  CHECK(said(at.access(owner_with(1))->deliver(messages({4}, 3))) == "stale 2");

  at.sql("SET ROLE NONE; ALTER TABLE reseq.delivered ADD journal text NOT NULL DEFAULT '', ADD written timestamptz");
  const auto others = owner_with(9, 1000, "journal-of-others");
  CHECK_FALSE(is_ours(must(at.access(others)->open())));
  CHECK(said(writer->deliver(messages({4}, 3))) == "confirmed");
  CHECK(must(at.access(others)->open()).foreign == "journal-of-orders");
}

TEST_CASE("a role that may make nothing is told which rights it needs") {
  table_place at;
  const auto role = "maker_" + std::string(at.sql("SELECT pg_backend_pid()")[0][0].c_str());
  at.sql("CREATE ROLE " + role + " LOGIN; ALTER DATABASE " +
         std::string(at.sql("SELECT current_database()")[0][0].c_str()) + " SET role = " + role);
  const auto answer = said(at.access(owner_with(1))->deliver(messages({1}, 0)));
  CHECK(answer.find("lacks a privilege") != std::string::npos);
  CHECK(answer.find("conf/sql/roles.sql") != std::string::npos);
}

TEST_CASE("what a trigger raises is shown as the server says it, whatever the state") {
  for (const std::string state : {"40003", "08006", "26000", "42P05", "55000"}) {
    CAPTURE(state);
    table_place at;
    const auto receiver = at.access(owner_with(1));
    CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
    at.sql("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'boom' USING ERRCODE = '" +
           state + "'; END$$;" + "CREATE TRIGGER no BEFORE INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION no()");
    const auto answer = said(receiver->deliver(messages({2}, 1)));
    CHECK(answer.starts_with("failing: PostgreSQL: ERROR:  boom"));
    CHECK(answer.find("LOCATION") == std::string::npos);
    CHECK(answer.find("pooler") == std::string::npos);
  }
}

TEST_CASE("a role that may only write does") {
  table_place at;
  CHECK(said(at.access(owner_with(1))->deliver(messages({1}, 0))) == "confirmed");
  const auto role = at.become_writer();
  const auto writer = at.access(owner_with(2));
  CHECK(said(writer->deliver(messages({2}, 1))) == "confirmed");
  at.sql("SET ROLE NONE; REVOKE INSERT ON public.ledger FROM " + role);
  CHECK(said(writer->deliver(messages({3}, 2)))
          .starts_with("failing: PostgreSQL: the role of the destination's url lacks a privilege"));
}

TEST_CASE("a role that row level security keeps from inserting is told so, and by which table") {
  table_place at;
  CHECK(said(at.access(owner_with(1))->deliver(messages({1}, 0))) == "confirmed");
  const auto role = at.become_writer();
  const auto as_owner = [&](const std::string& what) { at.sql("SET ROLE NONE; " + what); };
  const auto writer = at.access(owner_with(2));
  const auto answer =
    "failing: the row security policies of the table \"public\".\"ledger\" (pg_class.relrowsecurity is "
    "set) apply to the role " +
    role + ", and do not let it insert this";
  as_owner("ALTER TABLE public.ledger ENABLE ROW LEVEL SECURITY");
  const auto denied = said(writer->deliver(messages({2, 3}, 1)));
  CHECK(
    denied.starts_with(answer + ": add a policy FOR INSERT that does, or give the role BYPASSRLS; the server says: "));
  CHECK(denied.ends_with("(42501)"));
  as_owner("CREATE POLICY most ON public.ledger FOR INSERT WITH CHECK (message_id <> 'm3')");
  CHECK(said(writer->deliver(messages({2}, 1))) == "confirmed");
  CHECK(said(writer->deliver(messages({3}, 2))).starts_with(answer));
  as_owner("CREATE POLICY all_others ON public.ledger FOR INSERT WITH CHECK (true)");
  CHECK(said(writer->deliver(messages({3}, 2))) == "confirmed");

  as_owner("GRANT SELECT ON public.ledger TO " + role +
           "; CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;"
           "CREATE TRIGGER look BEFORE INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION look()");
  const auto reader = at.access(owner_with(2));
  CHECK(said(reader->deliver(messages({4}, 3)))
          .starts_with(answer + ", or see what it has inserted: add a policy FOR INSERT, and one FOR SELECT,"));
  as_owner("CREATE POLICY to_see ON public.ledger FOR SELECT USING (true)");
  CHECK(said(reader->deliver(messages({4}, 3))) == "confirmed");
  as_owner("REVOKE INSERT ON public.ledger FROM " + role);
  CHECK(said(reader->deliver(messages({5}, 4)))
          .starts_with("failing: PostgreSQL: the role of the destination's url lacks a privilege"));
}

TEST_CASE("a server that takes no writes is the destination's") {
  const auto place = function_place([](transaction& tx, const delivery&) { tx.execute("SET TRANSACTION READ ONLY"); });
  CHECK(said(place->access(owner_with(1))->deliver(messages({1}, 0)))
          .starts_with("failing: PostgreSQL: the server takes no writes: is it a standby that the destination's url"));
}

TEST_CASE("a function may take as long between two statements as one may take") {
  std::string idle;
  const auto place = function_place([&](transaction& tx, const delivery&) {
    idle = *tx.execute("SHOW idle_in_transaction_session_timeout").rows[0][0];
  });
  CHECK(said(place->access(owner_with(1))->deliver(messages({1}, 0))) == "confirmed");
  CHECK(idle == "30s"); // 10 s more than the timeout
}

TEST_CASE("a function hears of every SQLSTATE") {
  for (const std::string state : {"42501", "40001", "40P01", "40000", "42P01", "57014", "55000", "P0001"}) {
    std::string heard;
    const auto place = function_place([&](transaction& tx, const delivery&) {
      try {
        tx.execute("DO $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '" + state + "'; END$$");
      } catch (const sql_error& e) {
        heard = e.state();
        throw;
      }
    });
    const std::string becomes = state == "P0001" ? "refused" : "failing";
    CHECK(said(place->access(owner_with(1))->deliver(messages({1}, 0))).starts_with(becomes + ": ERROR:  no"));
    CHECK(heard == state);
  }
}

TEST_CASE("a table's URL names the table, and the rest is libpq's") {
  const auto plain = parse_table_url("postgresql://u:hush@h/db?table=sales.Orders&sslmode=require&x=y");
  REQUIRE(plain.has_value());
  CHECK(plain->server == "postgresql://u:hush@h/db?sslmode=require&x=y");
  CHECK(plain->quoted() == "\"sales\".\"Orders\"");
  CHECK(parse_table_url("postgresql://h/db?sslmode=require&table=t")->server == "postgresql://h/db?sslmode=require");
  for (const auto* wrong : {"postgresql://h/db", "postgresql://h/db?table=", "postgresql://h/db?table=a\"b",
                            "postgresql://h/db?table=a.b.c", "postgresql://h/db?table=.b"})
    CHECK_FALSE(parse_table_url(wrong).has_value());
}

TEST_CASE("a database that is away, or whose password is wrong, is named without the password") {
  const auto to = parse_table_url("postgresql://u:hush@127.0.0.1:1/db?table=t");
  table_receiver receiver(*to, owner_with(1), std::chrono::seconds{20});
  receiver.open();
  const auto answer = said(receiver.deliver(messages({1}, 0)));
  CHECK(answer.starts_with("failing: PostgreSQL: cannot connect"));
  CHECK(answer.find("hush") == std::string::npos);
}

} // namespace reseq::test
