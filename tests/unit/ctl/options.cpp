#include "ctl/options.hpp"

#include <map>
#include <string>
#include <vector>

#include "answers.hpp"
#include "catch.hpp"

using namespace reseq;
using namespace reseq::ctl;
using reseq::ctl::test::contains;

namespace {

using variables = std::map<std::string, std::string>;

std::variant<options, early_exit> parse_line(std::vector<const char*> arguments, const variables& known = {}) {
  arguments.insert(arguments.begin(), "reseqctl");
  return parse(static_cast<int>(arguments.size()), arguments.data(), [&](const std::string& name) {
    const auto found = known.find(name);
    return found == known.end() ? std::string{} : found->second;
  });
}

options good(const std::vector<const char*>& arguments, const variables& known = {}) {
  auto parsed = parse_line(arguments, known);
  if (const auto* refused = std::get_if<early_exit>(&parsed)) FAIL(refused->err);
  return std::get<options>(parsed);
}

std::string refusal(const std::vector<const char*>& arguments, const variables& known = {}) {
  const auto parsed = parse_line(arguments, known);
  REQUIRE(std::holds_alternative<early_exit>(parsed));
  const auto& exit = std::get<early_exit>(parsed);
  CHECK(exit.code == 2);
  CHECK(exit.out.empty());
  return exit.err;
}

} // namespace

TEST_CASE("without options the supervisor of this machine is asked") {
  const auto parsed = good({"status"});
  CHECK(parsed.what == command::status);
  CHECK(parsed.url.origin() == "http://127.0.0.1:8080");
  CHECK(parsed.url.target.empty());
  CHECK(parsed.pipeline.empty());
  CHECK(!parsed.json);
}

TEST_CASE("the command line wins over the environment") {
  const variables known{{"RESEQ_URL", "http://a:1"}, {"RESEQ_HTTP_CONTROL_TOKEN", "from-environment"}};
  CHECK(good({"status"}, known).url.host == "a");
  CHECK(good({"status"}, known).token == "from-environment");
  const auto given = good({"--url", "http://b:2/reseq/", "--token", "t", "status"}, known);
  CHECK(given.url.host == "b");
  CHECK(given.url.target == "/reseq");
  CHECK(given.token == "t");
}

TEST_CASE("send logs in with the producers' token, everything else with the operators'") {
  const variables known{{"RESEQ_HTTP_TOKEN", "producer"}, {"RESEQ_HTTP_CONTROL_TOKEN", "operator"}};
  CHECK(good({"send", "orders"}, known).token == "producer");
  CHECK(good({"held"}, known).token == "operator");
}

TEST_CASE("what is sent is taken from the options, and the payload from standard input if no file is named") {
  const auto parsed = good({"send", "orders", "--id", "o-1", "--to", "billing,audit", "--header", "ce-type=a=b",
                            "--header", "ce-source=shop", "-", "--key", "k", "--type", "text/plain"});
  CHECK(parsed.what == command::send);
  CHECK(parsed.pipeline == "orders");
  CHECK(parsed.to == std::vector<std::string>{"billing", "audit"});
  CHECK(parsed.submission.id == "o-1");
  CHECK(parsed.submission.key == "k");
  CHECK(parsed.submission.content_type == "text/plain");
  CHECK(parsed.submission.headers == header_list{{"ce-type", "a=b"}, {"ce-source", "shop"}});
  CHECK(parsed.submission.file == "-");
  CHECK(good({"send", "orders"}).submission.file == "-");
  CHECK(good({"send", "orders"}).submission.patience == std::chrono::seconds{30});
}

TEST_CASE("options of the whole program may stand behind the command") {
  CHECK(good({"retry", "orders", "0:17", "--to", "billing", "--json"}).json);
  CHECK(good({"retry", "orders", "0:17"}).message == "0:17");
  CHECK(good({"retry", "orders"}).message.empty());
  CHECK(good({"messages", "orders", "a/b c"}).message == "a/b c");
  CHECK(good({"skip", "orders", "--to", "a,b"}).to == std::vector<std::string>{"a", "b"});
}

TEST_CASE("an id that looks like a place is named by --id") {
  for (const auto* command : {"messages", "retry", "skip"}) {
    const auto parsed = good({command, "orders", "--id", "0:17"});
    CHECK(parsed.message == "0:17");
    CHECK(parsed.by_id);
    CHECK_FALSE(good({command, "orders", "0:17"}).by_id);
  }
  CHECK(contains(refusal({"skip", "orders", "0:17", "--id", "0:17"}), "excludes"));
}

TEST_CASE("skip of all that is held takes the code of what was shown, or says that it takes all, or up to where") {
  CHECK(good({"skip", "orders", "--to", "a", "--yes=2-1f"}).agreed == "2-1f");
  CHECK(good({"skip", "orders", "--to", "a", "--yes=all"}).agreed == "all");
  const auto until = good({"skip", "orders", "--to", "a", "--until", "300", "--yes"});
  CHECK(until.until == sequence{300});
  CHECK(until.yes);
  CHECK(until.agreed.empty());
  CHECK(contains(refusal({"skip", "orders", "--to", "a", "--yes"}), "--yes=all gives up whatever is held"));
  CHECK(contains(refusal({"skip", "orders", "--to", "a,b", "--until", "3"}), "a sequence of one destination"));
  CHECK(contains(refusal({"skip", "orders", "0:17", "--until", "3"}), "without a message"));
  CHECK(contains(refusal({"skip", "orders", "--to", "a", "--until", "0"}), "--until"));
  CHECK(contains(refusal({"skip", "orders", "--to", "a", "--until", "3", "--yes=all"}), "stands alone"));
  CHECK(good({"recover", "orders", "--yes"}).yes);
}

TEST_CASE("a code that stands apart from --yes is not taken for the id of a message that is given up") {
  for (const auto* code : {"2-1f", "1-0", "12-deadbeef", "all"}) {
    const auto refused = refusal({"skip", "orders", "--to", "a", "--yes", code});
    CHECK(contains(refused, "write --yes=" + std::string{code} + ", without a blank"));
    CHECK(contains(refused, "if that message is meant, --id " + std::string{code}));
    CHECK(contains(refusal({"skip", "orders", code, "--to", "a", "--yes"}), "write --yes="));
    CHECK(contains(refusal({"skip", "orders", "--to", "a", "--until", "3", "--yes", code}), "stands alone beside"));
    CHECK(good({"skip", "orders", "--to", "a", "--yes", "--id", code}).message == code);
    CHECK(good({"skip", "orders", code, "--to", "a"}).message == code);
  }
  CHECK(good({"skip", "orders", "order-17", "--to", "a", "--yes"}).message == "order-17");
  CHECK(contains(refusal({"skip", "orders", "0:17", "--yes=2-1f"}), "--yes=2-1f goes without a message"));
}

TEST_CASE("pause and resume take their destinations with and without --to") {
  for (const auto* command : {"pause", "resume"}) {
    CHECK(good({command, "orders", "a"}).to == std::vector<std::string>{"a"});
    CHECK(good({command, "orders", "a", "b"}).to == std::vector<std::string>{"a", "b"});
    CHECK(good({command, "orders", "--to", "a,b"}).to == std::vector<std::string>{"a", "b"});
    CHECK(contains(refusal({command, "orders"}), std::string{command} + ": name the destination, or several"));
    CHECK(contains(refusal({command, "orders", "A"}), "\"A\" is no name"));
  }
}

TEST_CASE("names and places that cannot exist are refused before anything is asked") {
  CHECK(contains(refusal({"status", "Orders"}), "\"Orders\" is no name"));
  CHECK(contains(refusal({"status", "../x"}), "is no name"));
  CHECK(contains(refusal({"messages", "orders", "order\n17"}), "SHARD:POSITION"));
  CHECK(contains(refusal({"send", "orders", "--to", "a,,b"}), "--to"));
  CHECK(contains(refusal({"send", "orders", "--header", "no-equals"}), "NAME=VALUE"));
  CHECK(contains(refusal({"send", "orders", "--header", "a b=c"}), "NAME=VALUE"));
  CHECK(contains(refusal({"send", "orders", "--id", "a\nb"}), "printable ASCII"));
  CHECK(contains(refusal({"send", "orders", "/no/such/file"}), "/no/such/file"));
  CHECK(contains(refusal({"send", "orders", "--patience", "-1"}), "--patience"));
}

TEST_CASE("bad usage says where help is") {
  const std::vector<std::vector<const char*>> lines = {
    {"status", "a", "b", "c"}, {"messages", "orders"}, {"skip", "orders"}, {"pause", "orders"}, {"send"}};
  for (const auto& line : lines)
    CHECK(contains(refusal(line), "see reseqctl " + std::string{line.front()} + " --help"));
  CHECK(contains(refusal({}), "see reseqctl --help"));
  CHECK(contains(refusal({"nonsense"}), "see reseqctl --help"));
  CHECK(contains(refusal({"nonsense"}), "there is no command or option nonsense"));
}

TEST_CASE("an address that cannot be a supervisor's is refused by the name of what gave it") {
  CHECK(contains(refusal({"--url", "127.0.0.1:8080", "status"}), "--url: "));
  CHECK(contains(refusal({"--url", "https://a", "status"}), "only http://"));
  CHECK(contains(refusal({"--url", "http://a/?x=1", "status"}), "no query"));
  CHECK(contains(refusal({"status"}, {{"RESEQ_URL", "nonsense"}}), "RESEQ_URL: "));
}

TEST_CASE("help and version go to standard output") {
  const auto help = std::get<early_exit>(parse_line({"--help"}));
  CHECK(help.code == 0);
  for (const auto* part : {"status", "why", "dead-letters", "RESEQ_URL", "Exit codes"}) CHECK(contains(help.out, part));
  const auto send = std::get<early_exit>(parse_line({"send", "--help"})).out;
  CHECK(contains(send, "--header"));
  CHECK(contains(send, "--url URL"));
  CHECK(contains(std::get<early_exit>(parse_line({"--version"})).out, "reseqctl "));
}
