#include "reseq/wire/receipt.hpp"

#include <nlohmann/json.hpp>

#include "catch.hpp"

using namespace reseq;
using namespace reseq::wire;

TEST_CASE("a receipt says where the message is") {
  CHECK(to_json(receipt{"a", false, position{17}}) ==
        R"({"id":"a","duplicate":false,"positions":[{"shard":0,"position":17}]})");
  CHECK(to_json(receipt{"a\"b", true, position{18446744073709551615U}}) ==
        R"({"id":"a\"b","duplicate":true,"positions":[{"shard":0,"position":18446744073709551615}]})");
}

TEST_CASE("a receipt of a message that no route wanted has no positions") {
  CHECK(to_json(receipt{"a", false, {}}) == R"({"id":"a","duplicate":false,"positions":[]})");
}

TEST_CASE("every error becomes the status that clients act on") {
  struct row {
    errc code;
    unsigned status;
    bool retry;
  };
  const auto [code, status, retry] = GENERATE(values<row>({
    {errc::invalid, 400, false},
    {errc::not_found, 404, false},
    {errc::too_large, 413, false},
    {errc::unprocessable, 422, false},
    {errc::conflict, 422, false},
    {errc::full, 429, true},
    {errc::unavailable, 503, true},
    {errc::fenced, 503, true},
    {errc::corrupt, 503, true},
    {errc::in_doubt, 503, true},
    {errc::no_space, 507, false},
    {errc::incompatible, 500, false},
    {errc::internal, 500, false},
  }));
  const auto p = problem_of(error{code, "is wrong", "line 3: id"});
  CHECK(p.status == status);
  CHECK(p.retry_after_s.has_value() == retry);
  CHECK(p.detail == "line 3: id: is wrong");
  CHECK(p.field == "line 3: id");
}

TEST_CASE("a problem is written as RFC 9457 says, with what is known besides") {
  CHECK(to_json(make_problem(404, "no such pipeline")) ==
        R"({"type":"about:blank","title":"Not Found","status":404,"detail":"no such pipeline"})");
  CHECK(to_json(make_problem(503, "the store is away", "store")) ==
        R"({"type":"about:blank","title":"Service Unavailable","status":503,"detail":"the store is away",)"
        R"("field":"store","retry_after":1})");
  CHECK(make_problem(418, "").title == "Client Error");
  CHECK(make_problem(599, "").title == "Server Error");
}

TEST_CASE("a problem that quotes garbage is still one line of JSON") {
  const auto line = to_json(make_problem(400, "unknown field '\xff\n\"'", "caf\xe9"));
  CHECK(line.find('\n') == std::string::npos);
  CHECK(nlohmann::json::parse(line)["detail"] == "unknown field 'ÿ\n\"'");
}
