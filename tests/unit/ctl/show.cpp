#include "ctl/show.hpp"

#include "answers.hpp"
#include "catch.hpp"

using namespace reseq::ctl;
using namespace reseq::ctl::test;
using nlohmann::json;

TEST_CASE("the status of pipelines is a destination a line, with what its head waits for") {
  const json orders{{"name", "orders"},
                    {"destinations", {destination("held", head("held")), destination("running", nullptr)}}};
  const json idle{{"name", "idle"}, {"destinations", json::array()}};
  CHECK(show_pipelines({orders, idle}, now) ==
        "PIPELINE  DESTINATION  STATE    ACCEPTED  SETTLED  LAG  PENDING  READY  HELD  HEAD\n"
        "orders    billing      held           20       11    9        5      3     1  0:17 held 3m 12s\n"
        "orders    billing      running        20       11    9        5      3     0  -\n"
        "idle      -\n");
}

TEST_CASE("a head whose position is not known yet is named by its sequence") {
  auto reading = head("reading");
  reading["position"] = 0;
  CHECK(contains(show_destination("orders", destination("running", reading), now), "sequence 12 reading 3m 12s"));
}

TEST_CASE("one destination is shown field by field") {
  const auto text = show_destination("orders", destination("running", nullptr), now);
  CHECK(contains(text, "destination  orders/billing\n"));
  CHECK(contains(text, "owner        a, epoch 2\n"));
  CHECK(contains(text, "head         -\n"));
}

TEST_CASE("a message is shown with its place at each destination and the attempts that are known") {
  const json message{{"shard", 0},
                     {"position", 17},
                     {"id", "order-17"},
                     {"key", nullptr},
                     {"content_type", "application/json"},
                     {"bytes", 218},
                     {"headers", {{"ce-type", "order"}, {"traceparent", "00-1"}}},
                     {"accepted", "2026-11-21T11:56:48.000Z"},
                     {"destinations",
                      {{{"destination", "audit"}, {"sequence", 16}, {"state", "settled"}},
                       {{"destination", "billing"},
                        {"sequence", 12},
                        {"state", "pending"},
                        {"attempts",
                         {{"failed", 1},
                          {"last_error", "enrich: refused"},
                          {"next_attempt", "2026-11-21T12:00:04.000Z"},
                          {"history", {failed_attempt(), running_attempt()}}}}}}}};
  CHECK(show_message("orders", message, now) ==
        "message   order-17\n"
        "place     0:17 in orders\n"
        "accepted  3m 12s ago\n"
        "key       -\n"
        "type      application/json\n"
        "bytes     218\n"
        "headers   ce-type, traceparent\n"
        "\n"
        "DESTINATION  SEQUENCE  STATE    MEANING\n"
        "audit              16  settled  delivered, or dropped by a transform\n"
        "billing            12  pending  in the transforms, or waiting for a worker\n"
        "\n"
        "Attempts for billing:\n"
        "  attempt 2 on worker a: failed after 2s, 10s ago: enrich: refused\n"
        "  attempt 3 on worker b: runs since 2s\n"
        "  next attempt in 4s\n");
}

TEST_CASE("a message that has failed for good behind the oldest one is told from one that is worked on") {
  const auto pending = [](bool spent) {
    return json{{"destinations", {{{"destination", "d"}, {"state", "pending"}, {"attempts", {{"spent", spent}}}}}}};
  };
  CHECK(
    contains(show_message("orders", pending(true), now), "failed for good; given up once all before it are settled"));
  CHECK(contains(show_message("orders", pending(false), now), "in the transforms, or waiting for a worker"));
}

TEST_CASE("held messages of several pipelines are one table") {
  const auto text = show_held({{"orders", {{"held", {hold("exhausted")}}}}, {"idle", {{"held", json::array()}}}}, now);
  CHECK(text == "PIPELINE  DESTINATION  MESSAGE  SEQUENCE  REASON     ATTEMPTS  HELD    LAST ERROR\n"
                "orders    billing      0:17           12  exhausted         5  2m ago  enrich: no customer [31m\n");
}

TEST_CASE("where nothing is held and nothing was given up, that is said") {
  CHECK(show_held({{"idle", {{"held", json::array()}}}}, now) == "Nothing is held.\n");
  CHECK(show_dead_letters({{"idle", {{"dead_letters", json::array()}}}}, now) == "There are no dead letters.\n");
}

TEST_CASE("a dead letter's long error is cut in its table") {
  auto letter = hold("refused");
  letter["id"] = "order-17";
  letter["bytes"] = 218;
  letter["last_error"] = std::string(500, 'x');
  const auto text = show_dead_letters({{"orders", {{"dead_letters", {letter}}}}}, now);
  CHECK(contains(text, "orders    billing      0:17           12  order-17    218  refused"));
  CHECK(contains(text, "xxx…\n"));
  CHECK(text.size() < 400);
}

TEST_CASE("a receipt says where the message is, and whether it was known") {
  const json place{{"shard", 0}, {"position", 17}};
  CHECK(show_receipt("orders", {{"id", "o"}, {"duplicate", false}, {"positions", {place}}}) ==
        "o is accepted, at 0:17 in orders\n");
  CHECK(show_receipt("orders", {{"id", "o"}, {"duplicate", true}, {"positions", {place}}}) ==
        "o was accepted before, at 0:17 in orders\n");
  CHECK(show_receipt("orders", {{"id", "o"}, {"duplicate", false}, {"positions", json::array()}}) ==
        "o is accepted, but goes to no destination of orders\n");
}

TEST_CASE("fields that are missing or of another type show as empty, and nothing is thrown") {
  const json odd{{"name", 7}, {"lag", "many"}, {"blocked_by", "nobody"}, {"destinations", 3}};
  CHECK_NOTHROW(show_pipelines({odd, json{}, json::array({1})}, now));
  CHECK_NOTHROW(show_destination("orders", odd, now));
  CHECK_NOTHROW(show_message("orders", odd, now));
  CHECK_NOTHROW(show_held({{"orders", odd}}, now));
  CHECK_NOTHROW(show_receipt("orders", odd));
}
