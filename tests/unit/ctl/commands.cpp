#include "ctl/commands.hpp"

#include <map>
#include <sstream>
#include <vector>

#include "answers.hpp"
#include "catch.hpp"

using namespace reseq;
using namespace reseq::ctl;
using namespace reseq::ctl::test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

/// A supervisor that gives prepared answers, on time that only waiting moves.
class scripted {
public:
  void on(const std::string& method_and_path, const json& body, unsigned status = 200) {
    answers_[method_and_path].push_back(net::client_answer{status, {}, body.dump(), false});
  }
  void fails(const std::string& method_and_path) {
    answers_[method_and_path].push_back(fail(errc::unavailable, "connection refused", "http://127.0.0.1:8080"));
  }

  result<std::string> run(const options& what) {
    return ctl::run(what, {[this](const api_request& request) { return answer(request); },
                           {[this] { return time_; }, [this](duration pause) { time_ += pause; }},
                           [] { return now; },
                           input,
                           [this](const std::string& sentence) { notices.push_back(sentence); }});
  }

  [[nodiscard]] duration waited() const { return time_.time_since_epoch(); }

  std::istringstream input{"payload"};
  std::vector<api_request> asked;
  std::vector<std::string> notices;

private:
  /// The answers of a path in order, the last one for ever.
  result<net::client_answer> answer(const api_request& request) {
    asked.push_back(request);
    auto& prepared = answers_[request.method + " " + request.path];
    if (prepared.empty()) return net::client_answer{404, {}, "", false};
    auto next = prepared.front();
    if (prepared.size() > 1) prepared.erase(prepared.begin());
    return next;
  }

  std::map<std::string, std::vector<result<net::client_answer>>> answers_;
  time_point time_{};
};

options wanted(command what, const std::string& pipeline = {}, const std::string& destination_name = {}) {
  options made;
  made.what = what;
  made.pipeline = pipeline;
  made.destination = destination_name;
  made.submission.patience = 30s;
  return made;
}

json orders_with(const json& one) { return {{"name", "orders"}, {"destinations", {one}}}; }

const json receipt{{"id", "o-1"}, {"duplicate", false}, {"positions", {{{"shard", 0}, {"position", 17}}}}};
constexpr auto submit_path = "POST /v1/pipelines/orders/messages";

} // namespace

TEST_CASE("--json prints what the API answered") {
  scripted supervisor;
  const json answer{{"pipelines", json::array()}};
  supervisor.on("GET /v1/pipelines", answer);
  auto what = wanted(command::status);
  what.json = true;
  CHECK(supervisor.run(what) == answer.dump() + "\n");
}

TEST_CASE("a refusal is the supervisor's sentence and what to do next") {
  scripted supervisor;
  supervisor.on("GET /v1/pipelines/nope", {{"detail", "there is no pipeline nope"}}, 404);
  const auto refused = supervisor.run(wanted(command::status, "nope"));
  REQUIRE(!refused.has_value());
  CHECK(refused.error().text() ==
        "there is no pipeline nope (404 Not Found); `reseqctl status` shows the pipelines, their "
        "destinations, and how far they are");
}

TEST_CASE("what answers without being a supervisor is told apart") {
  scripted supervisor;
  supervisor.on("GET /v1/pipelines", "hello");
  const auto refused = supervisor.run(wanted(command::status));
  REQUIRE(!refused.has_value());
  CHECK(refused.error().code == errc::incompatible);
}

TEST_CASE("why says that nothing waits, if so") {
  scripted supervisor;
  supervisor.on("GET /v1/pipelines", {{"pipelines", {orders_with(destination("running", nullptr))}}});
  CHECK(supervisor.run(wanted(command::why)) == "Nothing waits.\n");
}

TEST_CASE("why and status begin and end with the journal while it cannot be written") {
  scripted supervisor;
  auto orders = orders_with(destination("running", nullptr));
  orders["journal"] = {{"last_error", "PostgreSQL: the server is away"}, {"since", "2026-11-21T11:59:48.000Z"}};
  supervisor.on("GET /v1/pipelines", {{"pipelines", {orders}}});
  const std::string sentences =
    "The journal cannot be written, for 12s: producers are refused, and what is delivered is not saved.\n"
    "  Cause: PostgreSQL: the server is away.\n"
    "  To do: correct what the error names; it is tried again by itself, and then everything goes on.\n";
  CHECK(supervisor.run(wanted(command::why)) == sentences);
  const auto status = supervisor.run(wanted(command::status));
  REQUIRE(status.has_value());
  CHECK(status->ends_with("\n\n" + sentences));
  auto as_json = wanted(command::why);
  as_json.json = true;
  CHECK(supervisor.run(as_json) == json{{"journal", orders["journal"]}, {"waiting", json::array()}}.dump() + "\n");
}

TEST_CASE("a journal that hangs is told from one that fails") {
  scripted supervisor;
  auto orders = orders_with(destination("running", nullptr));
  orders["journal"] = {
    {"last_error", "a commit has been under way for 12 s"}, {"since", "2026-11-21T11:59:48.000Z"}, {"hangs", true}};
  supervisor.on("GET /v1/pipelines", {{"pipelines", {orders}}});
  CHECK(
    supervisor.run(wanted(command::why)) ==
    "The journal cannot be written, for 12s: producers are refused, and what is delivered is not saved.\n"
    "  Cause: it hangs: its server or its disk does not answer, or another session keeps locked what is to be "
    "written.\n"
    "  To do: see that the server answers, and in PostgreSQL who keeps whom waiting (conf/sql/stuck.sql); once that "
    "is over, everything goes on by itself.\n");
}

TEST_CASE("why asks each waiting destination for its attempts, and for the record if its head is held") {
  scripted supervisor;
  supervisor.on("GET /v1/pipelines/orders", orders_with(destination("held", head("held"))));
  supervisor.on("GET /v1/pipelines/orders/destinations/billing", destination("held", head("held")));
  auto other = hold("refused");
  other["sequence"] = 13;
  supervisor.on("GET /v1/pipelines/orders/held", {{"held", {other, hold("exhausted")}}});
  const auto text = supervisor.run(wanted(command::why, "orders"));
  REQUIRE(text.has_value());
  CHECK(contains(*text, "its transforms used up their attempts"));
}

TEST_CASE("dead letters are fetched page by page, and shown as one list") {
  scripted supervisor;
  const auto page = [](int first, const json& next) {
    return json{{"dead_letters", {{{"sequence", first}}, {{"sequence", first + 1}}}}, {"next", next}};
  };
  supervisor.on("GET /v1/pipelines/orders/dead-letters?limit=1000", page(1, "billing/2"));
  supervisor.on("GET /v1/pipelines/orders/dead-letters?limit=1000&after=billing/2", page(3, nullptr));
  auto what = wanted(command::dead_letters, "orders");
  what.json = true;
  CHECK(supervisor.run(what) ==
        json{{"dead_letters", {{{"sequence", 1}}, {{"sequence", 2}}, {{"sequence", 3}}, {{"sequence", 4}}}}}.dump() +
          "\n");
}

TEST_CASE("dead letters without a pipeline are those of all of them") {
  scripted supervisor;
  supervisor.on("GET /v1/pipelines", {{"pipelines", {orders_with(nullptr)}}});
  supervisor.on("GET /v1/pipelines/orders/dead-letters?limit=1000",
                {{"dead_letters", {hold("refused")}}, {"next", nullptr}});
  auto what = wanted(command::dead_letters);
  CHECK(contains(supervisor.run(what).value(), "orders    billing      0:17"));
  what.json = true;
  CHECK(supervisor.run(what) ==
        json{{"pipelines", {{{"name", "orders"}, {"dead_letters", {hold("refused")}}}}}}.dump() + "\n");
}

TEST_CASE("pause and resume take several destinations, and touch none before all are known") {
  scripted supervisor;
  const std::string path = "/v1/pipelines/orders/destinations/";
  for (const auto* one : {"billing", "audit"}) {
    supervisor.on("GET " + path + one, destination("running", nullptr));
    supervisor.on("POST " + path + one + "/pause", {{"changed", 0}});
  }
  auto what = wanted(command::pause, "orders");
  what.to = {"billing", "audit"};
  CHECK(supervisor.run(what) == "orders/billing is paused and nothing is under way\n"
                                "orders/audit is paused and nothing is under way\n");
  what.to = {"billing", "nope"};
  supervisor.asked.clear();
  CHECK(!supervisor.run(what).has_value());
  for (const auto& one : supervisor.asked) CHECK(one.method == "GET");
}

TEST_CASE("why of a destination that does not exist is an error") {
  scripted supervisor;
  supervisor.on("GET /v1/pipelines/orders", orders_with(destination("running", nullptr)));
  const auto refused = supervisor.run(wanted(command::why, "orders", "biling"));
  REQUIRE(!refused.has_value());
  CHECK(contains(refused.error().text(), "no destination biling"));
}

TEST_CASE("a destination that moves between two questions is not explained") {
  scripted supervisor;
  supervisor.on("GET /v1/pipelines/orders", orders_with(destination("running", head("transform"))));
  supervisor.on("GET /v1/pipelines/orders/destinations/billing", destination("running", nullptr));
  CHECK(supervisor.run(wanted(command::why, "orders")) == "Nothing waits.\n");
}

TEST_CASE("held without a pipeline asks all of them") {
  scripted supervisor;
  supervisor.on("GET /v1/pipelines", {{"pipelines", {orders_with(nullptr)}}});
  supervisor.on("GET /v1/pipelines/orders/held", {{"held", {hold("exhausted")}}});
  const auto text = supervisor.run(wanted(command::held));
  REQUIRE(text.has_value());
  CHECK(contains(*text, "orders    billing      0:17"));
}

TEST_CASE("retry and skip of one message name the destinations, if any were named") {
  scripted supervisor;
  supervisor.on("POST /v1/pipelines/orders/messages/0:17/retry", {{"changed", 1}});
  supervisor.on("POST /v1/pipelines/orders/messages/0:17/skip", {{"changed", 2}});
  auto what = wanted(command::retry, "orders");
  what.message = "0:17";
  what.to = {"billing"};
  CHECK(supervisor.run(what) == "0:17 is tried again for 1 destination\n");
  CHECK(supervisor.asked.back().body == R"({"destinations":["billing"]})");
  what.what = command::skip;
  what.to = {};
  CHECK(supervisor.run(what) == "0:17 is given up for 2 destinations\n");
  CHECK(supervisor.asked.back().body.empty());
}

TEST_CASE("a message is named by its id as well, and called by both") {
  scripted supervisor;
  const json found{{"id", "a/b 1"}, {"shard", 0}, {"position", 17}};
  supervisor.on("GET /v1/pipelines/orders/messages?id=a%2Fb%201", found);
  supervisor.on("POST /v1/pipelines/orders/messages/0:17/retry",
                {{"changed", 1}, {"id", "a/b 1"}, {"shard", 0}, {"position", 17}});
  auto what = wanted(command::messages, "orders");
  what.message = "a/b 1";
  CHECK(contains(supervisor.run(what).value(), "0:17 in orders"));
  what.what = command::retry;
  CHECK(supervisor.run(what) == "a/b 1 (0:17) is tried again for 1 destination\n");
}

TEST_CASE("an id that looks like a place is asked for as an id, if that was said") {
  scripted supervisor;
  const json found{{"id", "0:1"}, {"shard", 0}, {"position", 17}};
  supervisor.on("GET /v1/pipelines/orders/messages?id=0%3A1", found);
  supervisor.on("POST /v1/pipelines/orders/messages/0:17/skip",
                {{"changed", 1}, {"id", "0:1"}, {"shard", 0}, {"position", 17}});
  auto what = wanted(command::skip, "orders");
  what.message = "0:1";
  what.by_id = true;
  CHECK(supervisor.run(what) == "0:1 (0:17) is given up for 1 destination\n");
  what.what = command::messages;
  CHECK(contains(supervisor.run(what).value(), "0:17 in orders"));
}

namespace {

json held_at(int position, const std::string& since) {
  auto made = hold("refused");
  made["position"] = position;
  made["sequence"] = position - 5;
  made["since"] = since;
  return made;
}

const auto first_held = held_at(17, "2026-11-21T11:58:00.000Z");
const auto second_held = held_at(12, "2026-11-21T11:59:00.000Z"); // with order by key, an older message

/// What the shown list ends with.
std::string code_in(const std::string& shown) {
  const auto from = shown.find("--yes=") + 6;
  return shown.substr(from, shown.find('\n', from) - from);
}

options skip_at_billing() {
  auto what = wanted(command::skip, "orders");
  what.to = {"billing"};
  return what;
}

/// What `GET …/held` says next, and `GET …/destinations/billing`.
void holds(scripted& supervisor, const std::vector<json>& held) {
  supervisor.on("GET /v1/pipelines/orders/held", {{"held", held}});
}
void is_settled_up_to(scripted& supervisor, int last, const std::string& state = "held") {
  auto status = destination(state, nullptr);
  status["settled"] = last;
  supervisor.on("GET /v1/pipelines/orders/destinations/billing", status);
}

} // namespace

TEST_CASE("skip of all that a destination holds shows it, and the command that gives up just that") {
  scripted supervisor;
  auto elsewhere = hold("exhausted");
  elsewhere["destination"] = "audit";
  is_settled_up_to(supervisor, 11);
  holds(supervisor, {elsewhere, second_held, first_held});
  supervisor.on("POST /v1/pipelines/orders/messages/0:17/skip", {{"changed", 1}});
  supervisor.on("POST /v1/pipelines/orders/messages/0:12/skip", {{"detail", "is not held"}}, 409);
  auto what = skip_at_billing();
  const auto shown = supervisor.run(what).value();
  CHECK(supervisor.asked.size() == 2);
  CHECK(contains(shown, "billing      0:17"));
  CHECK(!contains(shown, "audit"));
  CHECK(contains(shown, "These 2 are given up and never delivered there, and nothing else is, by\n"
                        "  reseqctl skip orders --to billing --yes=2-"));
  what.agreed = code_in(shown);
  CHECK(supervisor.run(what) == "1 held message given up\n");
  CHECK(supervisor.asked.back().body == R"({"destinations":["billing"]})");
}

TEST_CASE("what came to be held after it was shown is not given up with it") {
  scripted before;
  is_settled_up_to(before, 11);
  holds(before, {first_held});
  auto what = skip_at_billing();
  what.agreed = code_in(before.run(what).value());
  scripted after;
  is_settled_up_to(after, 11);
  holds(after, {second_held, first_held});
  after.on("POST /v1/pipelines/orders/messages/0:17/skip", {{"changed", 1}});
  CHECK(after.run(what) == "1 held message given up\n");
  CHECK(after.asked.size() == 3);
}

TEST_CASE("if something of what was shown is not held as it was, nothing is given up") {
  scripted before;
  is_settled_up_to(before, 11);
  holds(before, {first_held, second_held});
  auto what = skip_at_billing();
  what.agreed = code_in(before.run(what).value());
  auto again = first_held; // retried, and held once more
  again["since"] = "2026-11-21T11:59:30.000Z";
  for (const auto& held : {std::vector{second_held}, std::vector{second_held, again}, std::vector<json>{}}) {
    scripted after;
    is_settled_up_to(after, 11);
    holds(after, held);
    const auto refused = after.run(what);
    REQUIRE(!refused.has_value());
    CHECK(contains(refused.error().text(), "look again with `reseqctl skip orders --to billing`"));
    CHECK(after.asked.size() == 2);
  }
}

TEST_CASE("skip up to a sequence goes on with what comes to be held, and no further") {
  scripted supervisor;
  const auto third = held_at(18, "2026-11-21T11:59:59.000Z");
  const auto beyond = held_at(19, "2026-11-21T11:59:59.000Z");
  holds(supervisor, {first_held});
  holds(supervisor, {first_held});
  holds(supervisor, {});
  holds(supervisor, {third, beyond});
  for (const auto last : {11, 11, 12, 12, 13}) is_settled_up_to(supervisor, last);
  for (const auto* place : {"0:17", "0:18", "0:19"})
    supervisor.on(std::string{"POST /v1/pipelines/orders/messages/"} + place + "/skip", {{"changed", 1}});
  auto what = skip_at_billing();
  what.until = sequence{13};
  CHECK(contains(supervisor.run(what).value(),
                 "Nothing is done yet. What is held at billing up to sequence 13 is given up and never delivered "
                 "there, and so is what comes to be held until all up to that is settled, by\n"
                 "  reseqctl skip orders --to billing --until 13 --yes\n"));
  what.yes = true;
  CHECK(supervisor.run(what) == "2 held messages given up; all up to sequence 13 is settled\n");
  for (const auto& one : supervisor.asked) CHECK(!contains(one.path, "0:19"));
}

TEST_CASE("skip up to a sequence ends where something waits that is not held, and says so") {
  scripted supervisor;
  is_settled_up_to(supervisor, 11);
  holds(supervisor, {});
  auto what = skip_at_billing();
  what.until = sequence{13};
  what.yes = true;
  const auto refused = supervisor.run(what);
  REQUIRE(!refused.has_value());
  CHECK(
    contains(refused.error().text(), "billing waits at sequence 12, which is not held; `reseqctl why orders billing`"));
  CHECK(supervisor.waited() > 60s);
  CHECK(supervisor.notices == std::vector<std::string>{
                                "billing waits at sequence 12, which is not held; what comes to be held up to sequence "
                                "13 is given up for as long as this command runs, and nothing is recorded for later"});
}

TEST_CASE("skip up to a sequence says what it waits for at a destination that is paused, before and while it does") {
  scripted supervisor;
  is_settled_up_to(supervisor, 11, "paused");
  holds(supervisor, {});
  auto what = skip_at_billing();
  what.until = sequence{13};
  const auto shown = supervisor.run(what).value();
  CHECK(shown.starts_with("Nothing is held.\n"));
  CHECK(contains(shown, "billing is paused: the command waits for `reseqctl resume orders billing`"));
  what.yes = true;
  CHECK(!supervisor.run(what).has_value());
  REQUIRE(supervisor.notices.size() == 1);
  CHECK(
    contains(supervisor.notices[0], "billing is paused, and sequence 12 is not held: it waits for `reseqctl resume"));
}

TEST_CASE("skip up to a sequence that is settled, or was not given yet, says so") {
  scripted supervisor;
  is_settled_up_to(supervisor, 11);
  is_settled_up_to(supervisor, 11);
  is_settled_up_to(supervisor, 11);
  is_settled_up_to(supervisor, 20);
  holds(supervisor, {});
  auto what = skip_at_billing();
  what.until = sequence{11};
  CHECK(
    contains(supervisor.run(what).value(), "All up to sequence 11 is settled at billing: there is nothing to give"));
  what.yes = true;
  CHECK(supervisor.run(what) == "Nothing was held; all up to sequence 11 is settled\n");
  what.until = sequence{300};
  what.yes = false;
  CHECK(contains(supervisor.run(what).value(), "It ends with sequence 20, the last one that it has so far.\n"));
  what.yes = true;
  CHECK(supervisor.run(what) ==
        "Nothing was held; all up to sequence 20, the last one that it has so far, is settled\n");
}

TEST_CASE("where nothing that is held can be skipped, the reason is told") {
  scripted supervisor;
  supervisor.on("GET /v1/pipelines/orders/destinations/billing", destination("held", nullptr));
  supervisor.on("GET /v1/pipelines/orders/held", {{"held", {hold("exhausted")}}});
  supervisor.on("POST /v1/pipelines/orders/messages/0:17/skip", {{"detail", "the pipeline has diverged"}}, 409);
  auto what = wanted(command::skip, "orders");
  what.to = {"billing"};
  what.agreed = "all";
  const auto answer = supervisor.run(what);
  REQUIRE_FALSE(answer);
  CHECK(contains(answer.error().text(), "the pipeline has diverged (409 Conflict); `reseqctl why`"));
}

TEST_CASE("retry without a message retries all that is held") {
  scripted supervisor;
  supervisor.on("POST /v1/pipelines/orders/held/retry", {{"changed", 3}});
  CHECK(supervisor.run(wanted(command::retry, "orders")) == "3 held messages will be tried again\n");
}

TEST_CASE("retry of all that one destination holds leaves the others") {
  scripted supervisor;
  auto elsewhere = hold("exhausted");
  elsewhere["destination"] = "audit";
  supervisor.on("GET /v1/pipelines/orders/destinations/billing", destination("held", nullptr));
  supervisor.on("GET /v1/pipelines/orders/held", {{"held", {elsewhere, hold("exhausted")}}});
  supervisor.on("POST /v1/pipelines/orders/messages/0:17/retry", {{"changed", 1}});
  auto what = wanted(command::retry, "orders");
  what.to = {"billing"};
  CHECK(supervisor.run(what) == "1 held message will be tried again\n");
  CHECK(supervisor.asked.size() == 3);
  CHECK(supervisor.asked.back().body == R"({"destinations":["billing"]})");
}

TEST_CASE("what to do next fits what was asked for") {
  const auto advice = [](command what, const std::string& path, unsigned status) {
    scripted supervisor;
    supervisor.on("POST /v1/pipelines/orders/" + path, {{"detail", "no"}}, status);
    auto asked = wanted(what, "orders");
    asked.message = "0:17";
    return supervisor.run(asked).error().text();
  };
  CHECK(contains(advice(command::recover, "recover", 409), "reseqctl status"));
  CHECK(contains(advice(command::skip, "messages/0:17/skip", 409), "reseqctl held"));
  CHECK(contains(advice(command::retry, "messages/0:17/retry", 422), "lists the destinations"));
  CHECK(!contains(advice(command::retry, "messages/0:17/retry", 422), "one content"));
}

TEST_CASE("recover shows what it would do, and does it only when told so") {
  scripted supervisor;
  json answer{{"recovered", false},
              {"why", "sequence 20 was seen"},
              {"epoch", 4},
              {"position", 20},
              {"missing", json::array({{{"destination", "billing"}, {"from", 11}, {"to", 20}}})}};
  supervisor.on("POST /v1/pipelines/orders/recover", answer);
  answer["recovered"] = true;
  supervisor.on("POST /v1/pipelines/orders/recover", answer);
  auto what = wanted(command::recover, "orders");
  const auto shown = supervisor.run(what).value();
  CHECK(supervisor.asked.back().body == R"({"dry_run":true})");
  CHECK(contains(shown, "It would go on under epoch 4, after position 20.\n"));
  CHECK(contains(shown, "billing: 10 sequences, 11 to 20, would be recorded as lost\n"));
  CHECK(contains(shown, "`reseqctl recover orders --yes`"));
  what.yes = true;
  const auto done = supervisor.run(what).value();
  CHECK(supervisor.asked.back().body.empty());
  CHECK(contains(done, "It goes on under epoch 4"));
  what.take_over = true;
  CHECK(contains(supervisor.run(what).value(), "What belonged to another installation is this one's now"));
  CHECK(supervisor.asked.back().body == R"({"take_over":true})");
}

TEST_CASE("send submits standard input under one id, again until the supervisor is back") {
  scripted supervisor;
  supervisor.fails(submit_path);
  supervisor.on(submit_path, {{"detail", "this supervisor is stopping"}}, 503);
  supervisor.on(submit_path, receipt, 202);
  auto what = wanted(command::send, "orders");
  what.to = {"billing", "audit"};
  what.submission.key = "k";
  CHECK(supervisor.run(what) == "o-1 is accepted, at 0:17 in orders\n");
  REQUIRE(supervisor.asked.size() == 3);
  const auto id = find_header(supervisor.asked[0].headers, "Idempotency-Key");
  CHECK(id.size() == 41);
  for (const auto& request : supervisor.asked) {
    CHECK(request.body == "payload");
    CHECK(find_header(request.headers, "Idempotency-Key") == id);
    CHECK(find_header(request.headers, "Reseq-Destinations") == "billing,audit");
    CHECK(find_header(request.headers, "Reseq-Key") == "k");
  }
  REQUIRE(supervisor.notices.size() == 1);
  CHECK(supervisor.notices[0].ends_with("; trying again"));
}

TEST_CASE("send gives up when its patience is over, and says why") {
  scripted supervisor;
  supervisor.fails(submit_path);
  const auto refused = supervisor.run(wanted(command::send, "orders"));
  REQUIRE(!refused.has_value());
  CHECK(contains(refused.error().text(), "connection refused"));
  CHECK(supervisor.waited() <= 30s);
  CHECK(supervisor.waited() > 27s);
}

TEST_CASE("send without patience tries once") {
  scripted supervisor;
  supervisor.fails(submit_path);
  auto what = wanted(command::send, "orders");
  what.submission.patience = 0s;
  CHECK(!supervisor.run(what).has_value());
  CHECK(supervisor.asked.size() == 1);
}

TEST_CASE("send does not repeat what was refused") {
  const auto status = GENERATE(400U, 401U, 404U, 409U, 413U, 422U, 429U, 507U);
  scripted supervisor;
  supervisor.on(submit_path, {{"detail", "no"}}, status);
  CHECK(!supervisor.run(wanted(command::send, "orders")).has_value());
  CHECK(supervisor.asked.size() == 1);
}

TEST_CASE("an id is only made for what has none") {
  auto what = wanted(command::send, "orders");
  what.submission.id = "o-1";
  CHECK(find_header(submission(what, "").headers, "idempotency-key") == "o-1");
  what.submission.id.clear();
  what.submission.headers = {{"Ce-Id", "1"}, {"ce-source", "shop"}};
  CHECK(find_header(submission(what, "").headers, "idempotency-key").empty());
  CHECK(make_id() != make_id());
}

TEST_CASE("a file that cannot be read is an error that names it") {
  scripted supervisor;
  auto what = wanted(command::send, "orders");
  what.submission.file = "/no/such/file";
  const auto refused = supervisor.run(what);
  REQUIRE(!refused.has_value());
  CHECK(contains(refused.error().text(), "/no/such/file: cannot be opened: No such file or directory"));
  CHECK(supervisor.asked.empty());
}
