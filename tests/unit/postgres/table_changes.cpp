// Tables that their owners have made, altered, or given triggers and rules.

#include <string>
#include <vector>

#include "catch.hpp"
#include "table_place.hpp"

namespace reseq::test {

TEST_CASE("a table of one's own may have other types, and columns more; one that lacks a column is named") {
  table_place at;
  at.sql("CREATE TABLE public.ledger (delivered_at timestamp, extra int DEFAULT 7, sequence numeric, position int, "
         "message_id varchar(300), key text, headers text, payload bytea)");
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1, 2}, 0))) == "confirmed");
  CHECK(at.sql("SELECT count(*) FROM public.ledger WHERE extra = 7 AND delivered_at IS NOT NULL")[0][0].as<int>() == 2);
  at.sql("ALTER TABLE public.ledger DROP COLUMN headers");
  CHECK(said(receiver->deliver(messages({3}, 2))) ==
        "failing: table \"public\".\"ledger\": the table has no column headers");
  at.sql("ALTER TABLE public.ledger ADD headers json");
  CHECK(said(receiver->deliver(messages({3}, 2))) == "confirmed");
}

TEST_CASE("a table that is altered, or whose name another one takes, gets rows as it is then") {
  const auto [alteration, payload] = GENERATE(values<std::pair<std::string, std::string>>(
    {{"ALTER TABLE public.ledger ALTER COLUMN payload TYPE text USING convert_from(payload, 'UTF8')", "payload"},
     {"ALTER TABLE public.ledger RENAME TO old; CREATE TABLE public.ledger (sequence int, payload text, position text, "
      "message_id text, key text, headers text, delivered_at text)",
      "payload"},
     {"ALTER TABLE public.ledger RENAME TO old; CREATE VIEW public.ledger AS SELECT sequence, position, message_id, "
      "key, headers, payload, delivered_at FROM public.old",
      "encode(payload, 'escape')"},
     {"ALTER TABLE public.ledger ALTER COLUMN payload TYPE text USING 'x', ADD more int", "payload"},
     {"ALTER TABLE public.ledger ADD more int DEFAULT 7", "encode(payload, 'escape')"}}));
  CAPTURE(alteration);
  const auto message = [](std::uint64_t sequence, std::string body) {
    auto one = messages({sequence}, sequence - 1);
    one.front().item.body = std::make_shared<const content>(content{std::move(body), "", {}});
    return one;
  };
  table_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(message(1, "one"))) == "confirmed");
  at.sql(alteration);
  CHECK(said(receiver->deliver(message(2, "two"))) == "confirmed");
  CHECK(said(receiver->deliver(message(3, "three"))) == "confirmed");
  const auto rows = at.sql("SELECT " + payload + " FROM public.ledger WHERE sequence > 1 ORDER BY sequence");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0][0].c_str() == std::string("two"));
  CHECK(rows[1][0].c_str() == std::string("three"));
}

TEST_CASE("a message that a table refused is taken once the table was altered") {
  table_place at;
  at.sql("CREATE TABLE public.ledger (sequence bigint, position bigint, message_id text, key text, headers jsonb, "
         "payload bytea, delivered_at timestamptz)");
  const auto receiver = at.access(owner_with(1));
  SECTION("its id was no number") {
    at.sql("ALTER TABLE public.ledger ALTER COLUMN message_id TYPE integer USING 0");
    CHECK(said(receiver->deliver(messages({1}, 0))).find("(22P02)") != std::string::npos);
    at.sql("ALTER TABLE public.ledger ALTER COLUMN message_id TYPE text");
  }
  SECTION("its payload was no text") {
    at.sql("ALTER TABLE public.ledger ALTER COLUMN payload TYPE text USING ''");
    CHECK(said(receiver->deliver(messages({1}, 0))).find("(22021)") != std::string::npos);
    at.sql("ALTER TABLE public.ledger ALTER COLUMN payload TYPE bytea USING ''");
  }
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  CHECK(at.sql("SELECT FROM public.ledger").size() == 1);
}

TEST_CASE("a message whose row a trigger keeps out is refused, and nothing of its batch is there") {
  table_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  at.sql("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS "
         "$$BEGIN IF NEW.message_id = 'm3' THEN RETURN NULL; END IF; RETURN NEW; END$$;"
         "CREATE TRIGGER nothing BEFORE INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION nothing()");
  const auto refusal = R"(refused: a trigger of the table "public"."ledger" lets no row in (it returns NULL))";
  CHECK(said(receiver->deliver(messages({2, 3}, 1))) == refusal);
  CHECK(said(receiver->deliver(messages({2}, 1))) == "confirmed");
  CHECK(said(receiver->deliver(messages({3}, 2))) == refusal);
  CHECK(said(receiver->deliver(messages({4}, 2))) == "confirmed");
  CHECK(sequences_of(at.seen()) == std::vector<std::uint64_t>{1, 2, 4});
}

TEST_CASE("a message whose row a trigger puts into a table below, or a rule elsewhere, is taken") {
  table_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  SECTION("a table that inherits") {
    at.sql("CREATE TABLE public.part () INHERITS (public.ledger);"
           "CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS "
           "$$BEGIN INSERT INTO public.part VALUES (NEW.*); RETURN NULL; END$$;"
           "CREATE TRIGGER move BEFORE INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION move()");
  }
  SECTION("a rule") {
    at.sql("CREATE TABLE public.part (LIKE public.ledger);"
           "CREATE RULE move AS ON INSERT TO public.ledger DO INSTEAD INSERT INTO public.part VALUES (NEW.*)");
  }
  CHECK(said(receiver->deliver(messages({2, 3}, 1))) == "confirmed");
  CHECK(at.sql("SELECT FROM public.part").size() == 2);
}

TEST_CASE("a trigger that changes the sequence or the id of a single row is named, and nothing is taken meanwhile") {
  table_place at;
  const auto [change, told] = GENERATE(values<std::pair<std::string, std::string>>({
    {"NEW.sequence := 99", "changes sequence (of message m3 it is 99)"},
    {"NEW.sequence := 4", "changes sequence (of message m3 it is 4)"},
    {"NEW.message_id := 'M3'", "changes message_id (of sequence 3 it is M3)"},
    {"NEW.message_id := NULL", "changes message_id (of sequence 3 it is null)"},
    {"NEW.sequence := 2; NEW.message_id := 'm2'", "changes sequence and message_id (a row was not sent that has "
                                                  "sequence 2 and message_id m2)"},
  }));
  CAPTURE(change);
  constexpr const char* columns = "(sequence bigint, position bigint, message_id varchar(9), key text, headers jsonb, "
                                  "payload bytea, delivered_at timestamptz)";
  std::string who;
  SECTION("of a table") {
    at.sql("CREATE TABLE public.ledger " + std::string(columns));
    who = R"(a BEFORE INSERT trigger of the table "public"."ledger" )";
  }
  SECTION("of a table with partitions") {
    at.sql("CREATE TABLE public.ledger " + std::string(columns) + " PARTITION BY RANGE (position);" +
           "CREATE TABLE public.low PARTITION OF public.ledger DEFAULT");
    who = R"(a BEFORE INSERT trigger of the partitioned table "public"."ledger", or of a partition, )";
  }
  SECTION("of a view") {
    at.sql("CREATE TABLE public.below " + std::string(columns) +
           "; CREATE VIEW public.ledger AS SELECT * FROM public.below");
    who = R"(the view "public"."ledger", or an INSTEAD OF INSERT trigger of it, )";
  }
  const bool is_view = who.starts_with("the view");
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  at.sql("CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.message_id = 'm3' THEN " +
         change + "; END IF; " + (is_view ? "INSERT INTO public.below VALUES (NEW.*); " : "") + "RETURN NEW; END$$;" +
         "CREATE TRIGGER change " + (is_view ? "INSTEAD OF" : "BEFORE") +
         " INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION change()");
  const auto answer = "failing: " + who + told + ", and no message could be found again: let it leave that as it is";
  CHECK(said(receiver->deliver(messages({2, 3, 4}, 1))) == answer);
  CHECK(said(at.access(owner_with(1))->deliver(messages({2, 3, 4}, 1))) == answer);
  CHECK(at.sql("SELECT FROM public.ledger").size() == 1);
  CHECK(said(receiver->deliver(messages({2}, 1))) == "confirmed");
  at.sql("DROP TRIGGER change ON public.ledger");
  CHECK(said(receiver->deliver(messages({3, 4}, 2))) == "confirmed");
  CHECK(at.sql("SELECT FROM public.ledger").size() == 4);
}

TEST_CASE("a trigger that changes something else, or looks on, does that") {
  table_place at;
  const auto receiver = at.access(owner_with(1));
  CHECK(said(receiver->deliver(messages({1}, 0))) == "confirmed");
  SECTION("before the insertion") {
    at.sql("CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS "
           "$$BEGIN NEW.key := 'from ' || NEW.message_id; NEW.headers := '{}'; RETURN NEW; END$$;"
           "CREATE TRIGGER look BEFORE INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION look()");
  }
  SECTION("after it") {
    at.sql(
      "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS "
      "$$BEGIN UPDATE public.ledger SET key = 'from ' || NEW.message_id WHERE sequence = NEW.sequence; RETURN NULL; "
      "END$$; CREATE TRIGGER look AFTER INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION look()");
  }
  CHECK(said(receiver->deliver(messages({2, 3}, 1))) == "confirmed");
  CHECK(said(at.access(owner_with(1))->deliver(messages({4}, 3))) == "confirmed");
  const auto keys = at.sql("SELECT key FROM public.ledger WHERE sequence > 1 ORDER BY sequence");
  REQUIRE(keys.size() == 3);
  for (int i = 0; i < 3; ++i) CHECK(keys[i][0].c_str() == "from m" + std::to_string(i + 2));
}

TEST_CASE(
  "a role that may not read the table inserts where a trigger looks on, too, and cannot see what that changes") {
  table_place at;
  CHECK(said(at.access(owner_with(1))->deliver(messages({1}, 0))) == "confirmed");
  at.sql("CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS "
         "$$BEGIN NEW.message_id := upper(NEW.message_id); RETURN NEW; END$$;"
         "CREATE TRIGGER look BEFORE INSERT ON public.ledger FOR EACH ROW EXECUTE FUNCTION look()");
  at.become_writer();
  CHECK(said(at.access(owner_with(2))->deliver(messages({2, 3}, 1))) == "confirmed");
}

} // namespace reseq::test
