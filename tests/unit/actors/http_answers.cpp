#include "catch.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "actors/api/routes.hpp"
#include "actors/sinks.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::actors::api;
using namespace std::chrono_literals;

namespace {

std::optional<endpoint> meaning(std::string_view method, std::string_view path) {
  const auto found = match(method, path);
  const auto* known = std::get_if<route>(&found);
  return known ? std::optional{known->what} : std::nullopt;
}

/// "" when the path is not refused for its method.
std::string allowed(std::string_view method, std::string_view path) {
  const auto found = match(method, path);
  const auto* wrong = std::get_if<wrong_method>(&found);
  return wrong ? wrong->allow : std::string{};
}

unsigned status_of(std::string_view method, std::string_view path) {
  const auto found = match(method, path);
  const auto* problem = std::get_if<wire::problem>(&found);
  return problem ? problem->status : 0;
}

/// 2026-11-21 12:00:00 UTC.
constexpr wall_time noon{std::chrono::sys_days{std::chrono::year{2026} / 11 / 21} + 12h};

result<net::client_answer> answer_of(unsigned status, header_list headers = {}, std::string body = {}) {
  return net::client_answer{status, std::move(headers), std::move(body), false};
}

core::receiver_answer read(const result<net::client_answer>& got) { return read_answer(got, epoch{7}, noon); }

std::optional<duration> wish(unsigned status, const std::string& retry_after) {
  const auto read_as = read(answer_of(status, {{"retry-after", retry_after}}));
  REQUIRE(std::holds_alternative<core::failing>(read_as));
  return std::get<core::failing>(read_as).retry_after;
}

} // namespace

TEST_CASE("each endpoint is found under its method and path") {
  struct row {
    std::string method;
    std::string path;
    endpoint what;
  };
  const std::vector<row> rows{
    {"GET", "/livez", endpoint::livez},
    {"HEAD", "/livez", endpoint::livez},
    {"GET", "/readyz", endpoint::readyz},
    {"GET", "/metrics", endpoint::metrics},
    {"GET", "/v1/pipelines", endpoint::pipelines},
    {"GET", "/v1/pipelines/orders", endpoint::pipeline},
    {"POST", "/v1/pipelines/orders/messages", endpoint::submit},
    {"POST", "/v1/pipelines/orders/messages/batch", endpoint::submit_batch},
    {"GET", "/v1/pipelines/orders/messages", endpoint::message_by_id},
    {"GET", "/v1/pipelines/orders/messages/0:17", endpoint::message},
    {"POST", "/v1/pipelines/orders/messages/0:17/retry", endpoint::retry_message},
    {"POST", "/v1/pipelines/orders/messages/0:17/skip", endpoint::skip_message},
    {"GET", "/v1/pipelines/orders/held", endpoint::held},
    {"POST", "/v1/pipelines/orders/held/retry", endpoint::retry_held},
    {"GET", "/v1/pipelines/orders/dead-letters", endpoint::dead_letters},
    {"GET", "/v1/pipelines/orders/destinations/billing", endpoint::destination},
    {"POST", "/v1/pipelines/orders/destinations/billing/pause", endpoint::pause},
    {"POST", "/v1/pipelines/orders/destinations/billing/resume", endpoint::resume},
    {"POST", "/v1/pipelines/orders/recover", endpoint::recover},
  };
  for (const auto& [method, path, what] : rows) {
    CAPTURE(method, path);
    CHECK(meaning(method, path) == what);
  }
}

TEST_CASE("a path gives the names and the place that it holds") {
  const auto found = match("POST", "/v1/pipelines/orders/destinations/billing/pause");
  REQUIRE(std::holds_alternative<route>(found));
  CHECK(std::get<route>(found).pipeline == "orders");
  CHECK(std::get<route>(found).destination == "billing");

  const auto message = match("GET", "/v1/pipelines/orders/messages/3:18446744073709551615");
  REQUIRE(std::holds_alternative<route>(message));
  CHECK(std::get<route>(message).shard == 3);
  CHECK(std::get<route>(message).at == position{UINT64_MAX});
}

TEST_CASE("a pipeline may be called like a part of a path") {
  const auto found = match("GET", "/v1/pipelines/messages/held");
  REQUIRE(std::holds_alternative<route>(found));
  CHECK(std::get<route>(found).what == endpoint::held);
  CHECK(std::get<route>(found).pipeline == "messages");
}

TEST_CASE("a known path with another method says which methods it has") {
  CHECK(allowed("POST", "/livez") == "GET, HEAD");
  CHECK(allowed("DELETE", "/v1/pipelines/orders") == "GET, HEAD");
  CHECK(allowed("PUT", "/v1/pipelines/orders/messages") == "POST, GET, HEAD");
  CHECK(allowed("GET", "/v1/pipelines/orders/messages/batch") == "POST");
  CHECK(allowed("GET", "/v1/pipelines/orders/messages/0:17/skip") == "POST");
  CHECK(allowed("POST", "/v1/pipelines/orders/messages/0:17") == "GET, HEAD");
}

TEST_CASE("methods are told apart by case, as HTTP has it") { CHECK(allowed("get", "/livez") == "GET, HEAD"); }

TEST_CASE("what is no path is not found, and a message's place must be SHARD:POSITION") {
  const auto path = GENERATE(
    as<std::string>{}, "/", "*", "/livez/", "//livez", "/v1", "/v1/pipelines/", "/v1/pipelines//messages",
    "/v1/pipelines/orders/", "/v1/pipelines/orders/unknown", "/v1/pipelines/orders/destinations",
    "/v1/pipelines/orders/destinations/", "/v1/pipelines/orders/messages/", "/v1/pipelines/orders/messages/17",
    "/v1/pipelines/orders/messages/0:0", "/v1/pipelines/orders/messages/0:", "/v1/pipelines/orders/messages/:17",
    "/v1/pipelines/orders/messages/0:-1", "/v1/pipelines/orders/messages/-1:17", "/v1/pipelines/orders/messages/0:17x",
    "/v1/pipelines/orders/messages/0: 17", "/v1/pipelines/orders/messages/0:17:1",
    "/v1/pipelines/orders/messages/0:18446744073709551616", "/v1/pipelines/orders/messages/4294967296:1",
    "/v1/pipelines/orders/messages/0:x/retry", "/v1/pipelines/orders/messages/0%3A17");
  CAPTURE(path);
  CHECK(status_of("GET", path) == 404);
}

TEST_CASE("only probes and submissions are open without the control token") {
  CHECK(is_public(endpoint::livez));
  CHECK(is_public(endpoint::readyz));
  CHECK(is_public(endpoint::submit));
  CHECK(is_public(endpoint::submit_batch));
  const auto closed =
    GENERATE(endpoint::metrics, endpoint::pipelines, endpoint::pipeline, endpoint::destination, endpoint::message,
             endpoint::message_by_id, endpoint::held, endpoint::dead_letters, endpoint::retry_message,
             endpoint::skip_message, endpoint::retry_held, endpoint::pause, endpoint::resume, endpoint::recover);
  CHECK_FALSE(is_public(closed));
  CHECK_FALSE(is_submission(closed));
}

TEST_CASE("a receiver confirms with any 2xx") {
  const auto status = GENERATE(200U, 201U, 202U, 204U, 299U);
  CHECK(std::holds_alternative<core::confirmed>(read(answer_of(status))));
}

TEST_CASE("a message that will never do is refused, with the receiver's own words") {
  const auto status = GENERATE(400U, 413U, 415U, 422U, 431U);
  const auto read_as = read(answer_of(status, {}, "no such\ncustomer\r\n"));
  REQUIRE(std::holds_alternative<core::refused>(read_as));
  CHECK(std::get<core::refused>(read_as).why ==
        "the receiver answered " + std::to_string(status) + ": no such customer");
}

TEST_CASE("nobody can confirm what he has not got, but he can refuse it") {
  const auto early = [](unsigned status) { return read(net::client_answer{status, {}, "body", false, true}); };
  const auto yes = early(200);
  REQUIRE(std::holds_alternative<core::failing>(yes));
  CHECK(std::get<core::failing>(yes).why == "the receiver answered 200 before it had the whole request");
  CHECK(std::holds_alternative<core::refused>(early(413)));
  CHECK(std::holds_alternative<core::failing>(early(503)));
}

TEST_CASE("all other answers are the receiver's trouble") {
  const auto status = GENERATE(300U, 301U, 304U, 308U, 401U, 403U, 404U, 405U, 409U, 410U, 412U, 421U, 423U, 425U, 428U,
                               429U, 451U, 500U, 502U, 503U, 504U, 599U, 999U);
  const auto read_as = read(answer_of(status));
  REQUIRE(std::holds_alternative<core::failing>(read_as));
  CHECK(std::get<core::failing>(read_as).why == "the receiver answered " + std::to_string(status));
  CHECK_FALSE(std::get<core::failing>(read_as).retry_after);
}

TEST_CASE("no answer at all is the receiver's trouble") {
  const auto read_as = read(fail(errc::unavailable, "refused", "127.0.0.1:9100"));
  REQUIRE(std::holds_alternative<core::failing>(read_as));
  CHECK(std::get<core::failing>(read_as).why == "127.0.0.1:9100: refused");
}

TEST_CASE("of a long answer only the beginning is kept") {
  const auto read_as = read(answer_of(500, {}, std::string(5000, 'x')));
  REQUIRE(std::holds_alternative<core::failing>(read_as));
  CHECK(std::get<core::failing>(read_as).why == "the receiver answered 500: " + std::string(200, 'x'));
}

TEST_CASE("what is kept of an answer ends between two characters, unless it is no text") {
  const auto why = [](const std::string& body) { return std::get<core::failing>(read(answer_of(500, {}, body))).why; };
  const std::string prefix = "the receiver answered 500: ";
  CHECK(why(std::string(199, 'x') + "é") == prefix + std::string(199, 'x'));
  CHECK(why(std::string(198, 'x') + "é!") == prefix + std::string(198, 'x') + "é");
  CHECK(why(std::string(300, '\x80')).size() == prefix.size() + 196);
}

TEST_CASE("412 with a later epoch is stale") {
  const auto read_as = read(answer_of(412, {{"Reseq-Epoch", "8"}}));
  REQUIRE(std::holds_alternative<core::stale>(read_as));
  CHECK(std::get<core::stale>(read_as).seen == epoch{8});
}

TEST_CASE("412 without a later epoch is the receiver's trouble") {
  const auto text =
    GENERATE(as<std::string>{}, "7", "6", "0", "", "-8", "+8", "8 ", "8x", "0x8", "later", "18446744073709551616");
  CAPTURE(text);
  CHECK(std::holds_alternative<core::failing>(read(answer_of(412, {{"Reseq-Epoch", text}}))));
}

TEST_CASE("a later epoch beside another status says nothing") {
  CHECK(std::holds_alternative<core::confirmed>(read(answer_of(200, {{"Reseq-Epoch", "8"}}))));
  CHECK(std::holds_alternative<core::refused>(read(answer_of(422, {{"Reseq-Epoch", "8"}}))));
  CHECK(std::holds_alternative<core::failing>(read(answer_of(409, {{"Reseq-Epoch", "8"}}))));
}

TEST_CASE("Retry-After may be seconds") {
  const auto status = GENERATE(412U, 429U, 503U);
  CHECK(wish(status, "0") == 0s);
  CHECK(wish(status, "120") == 120s);
  CHECK(wish(status, "4294967295") >= 1h);
}

TEST_CASE("Retry-After may be a date") {
  CHECK(wish(503, "Sat, 21 Nov 2026 12:00:30 GMT") == 30s);
  CHECK(wish(503, "Sun, 22 Nov 2026 12:00:00 GMT") == 24h);
}

TEST_CASE("a date that is centuries away is a long wait, not a short one") {
  CHECK(wish(503, "Fri, 31 Dec 9999 23:59:59 GMT") >= std::optional<duration>{1h});
  CHECK(wish(503, "99999999999") >= std::optional<duration>{1h});
  CHECK(wish(503, "99999999999999999999999") >= std::optional<duration>{1h});
}

TEST_CASE("Retry-After that is over, or means nothing, is ignored") {
  const auto text =
    GENERATE(as<std::string>{}, "Sat, 21 Nov 2026 12:00:00 GMT", "Sat, 21 Nov 2026 11:59:59 GMT", "-1", "1.5", "soon",
             "10 s", "Sat, 21 Nov 2026", "2026-11-21T12:00:30Z", "Sat, 21 Nov 2026 12:00:30 GMT+1");
  CAPTURE(text);
  CHECK_FALSE(wish(503, text));
}
