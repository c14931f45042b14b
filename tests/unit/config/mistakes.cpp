#include <algorithm>

#include "catch.hpp"
#include "fixture.hpp"

using namespace reseq;
using namespace reseq::config;
using namespace reseq::config::test;

namespace {

struct mistake {
  const char* file;
  std::vector<std::string> problems;
};

void check_all(const std::vector<mistake>& mistakes) {
  for (const auto& [file, problems] : mistakes) {
    CAPTURE(file);
    CHECK(problems_of({file, {}, {}, {}}) == problems);
  }
}

/// Lines that a valid pipeline with one destination begins with: six of them.
std::string destination_with(const std::string& more) {
  return "[[pipeline]]\nname = \"orders\"\n\n[[pipeline.destination]]\nname = \"billing\"\nurl = \"http://h/\"\n" +
         more;
}

} // namespace

TEST_CASE("what is no TOML is shown on one line, whatever the line holds") {
  for (const auto* const text : {"a = i\n", "a = tru\n", "a = [1, {\x07"}) {
    const auto problems = problems_of({text, {}, {}, {}});
    REQUIRE(problems.size() == 1);
    CAPTURE(problems.front());
    CHECK(problems.front().starts_with("t.toml:1: "));
    CHECK(std::ranges::none_of(problems.front(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
  }
}

TEST_CASE("an unknown key names the nearest one, its file and its line") {
  check_all({
    {"[node]\ndrain_timeot = \"5s\"\n",
     {"t.toml:2: node.drain_timeot: is not a known key; the nearest is node.drain_timeout"}},
    {"retention = \"3d\"\n", {"t.toml:1: retention: is not a known key; the nearest is store.retention"}},
    {"[htpp]\nlisten = \"h:1\"\n", {"t.toml:1: htpp: is not a known key; the nearest is http"}},
    {"[[pipeline]]\nname = \"a\"\ntimeout = \"5s\"\n",
     {"t.toml:3: pipeline.a.timeout: is not a known key; the nearest is pipeline.retry.timeout"}},
    {"[[pipeline]]\nname = \"a\"\n[pipeline.retry]\njiter = \"5s\"\n",
     {"t.toml:4: pipeline.a.retry.jiter: is not a known key; the nearest is pipeline.retry.jitter"}},
    {"[[pipeline]]\nname = \"a\"\n[[pipeline.transform]]\nuse = \"x\"\nsed = 1\n",
     {"t.toml:5: pipeline.a.transform[1].sed: is not a known key; the nearest is pipeline.transform.seed"}},
    {"[[destination]]\nname = \"a\"\n",
     {"t.toml:1: destination: is not a known key; the nearest is pipeline.destination"}},
    {"[worker]\nslot = 1\nslosts = 2\n",
     {"t.toml:2: worker.slot: is not a known key; the nearest is worker.slots",
      "t.toml:3: worker.slosts: is not a known key; the nearest is worker.slots"}},
  });
}

TEST_CASE("an unknown key that resembles none names none") {
  const std::string all = "is not a known key; conf/reference.toml shows all of them";
  for (const std::string key : {"foo", "node.x", "store.path", "replicas", "http.workers"}) {
    CAPTURE(key);
    CHECK(problems_of({"", {key + "=1"}, {}, {}}) == std::vector<std::string>{"--set: " + key + ": " + all});
  }
  check_all({{"\"we ird\\n\" = 1\n", {"t.toml:1: \"we ird\\x0a\": " + all}}});
}

TEST_CASE("a value of the wrong type says which type is right") {
  check_all({
    {"[node]\nname = 5\n", {"t.toml:2: node.name: must be a string, not an integer"}},
    {"[node]\ndrain_timeout = true\n",
     {"t.toml:2: node.drain_timeout: must be a string with a unit, for example \"750ms\", not a boolean"}},
    {"[worker]\nslots = \"4\"\n", {"t.toml:2: worker.slots: must be an integer, not a string"}},
    {"[worker]\nslots = 1.5\n", {"t.toml:2: worker.slots: must be an integer, not a number"}},
    {"[worker]\npipelines = \"a\"\n", {"t.toml:2: worker.pipelines: must be a list of strings, not a string"}},
    {"[worker]\npipelines = [\"a\", 1]\n",
     {"t.toml:2: worker.pipelines: must be a list of strings, but holds an integer"}},
    {"[log]\nlevel = 2020-01-01\n", {"t.toml:2: log.level: must be a string, not a date"}},
    {"node = 1\n", {"t.toml:1: node: must be a table, written [node]"}},
    {"[[node]]\nname = \"a\"\n", {"t.toml:1: node: must be a table, written [node]"}},
    {"pipeline = [1]\n", {"t.toml:1: pipeline[1]: must be a table, not an integer"}},
    {"[[pipeline]]\nname = \"a\"\nretry = 1\n",
     {"t.toml:3: pipeline.a.retry: must be a table, written [pipeline.retry]"}},
    {"[[pipeline]]\nname = \"a\"\n[pipeline.retry]\nhedge = \"yes\"\nmultiplier = \"2\"\n",
     {"t.toml:4: pipeline.a.retry.hedge: must be true or false, not a string",
      "t.toml:5: pipeline.a.retry.multiplier: must be a number, not a string"}},
    {"[[pipeline]]\nname = \"a\"\n[pipeline.retry]\nmultiplier = inf\n",
     {"t.toml:4: pipeline.a.retry.multiplier: must be a finite number"}},
  });
  CHECK(problems_of({destination_with("when = \"x\"\n"), {}, {}, {}}) ==
        std::vector<std::string>{"t.toml:7: pipeline.orders.destination.billing.when: must be a table, for example "
                                 "{ \"ce-type\" = \"order.*\" }, not a string"});
  CHECK(problems_of({destination_with("when = { a = 1 }\n"), {}, {}, {}}) ==
        std::vector<std::string>{
          "t.toml:7: pipeline.orders.destination.billing.when: \"a\" must be a string, not an integer"});
}

TEST_CASE("durations and sizes without a unit, and values out of bounds, are refused") {
  check_all({
    {"[node]\ndrain_timeout = \"750\"\n", {"t.toml:2: node.drain_timeout: \"750\" needs a unit, for example 750ms"}},
    {"[node]\ndrain_timeout = 750\n", {"t.toml:2: node.drain_timeout: needs a unit, for example \"750ms\""}},
    {"[node]\ndrain_timeout = \"5sec\"\n",
     {"t.toml:2: node.drain_timeout: \"5sec\" has an unknown unit; known are ns, us, ms, s, m, h, d"}},
    {"[node]\ndrain_timeout = \"0s\"\n", {"t.toml:2: node.drain_timeout: 0s is below 100ms"}},
    {"[node]\ndrain_timeout = \"2h\"\n", {"t.toml:2: node.drain_timeout: 2h is above 1h"}},
    {"[http]\nmax_message = \"1\"\n", {"t.toml:2: http.max_message: \"1\" needs a unit, for example 16MiB"}},
    {"[http]\nmax_batch = 5\n", {"t.toml:2: http.max_batch: needs a unit, for example \"16MiB\""}},
    {"[http]\nmax_batch = \"1GiB\"\n", {"t.toml:2: http.max_batch: 1GiB is above 512MiB"}},
    {"[http]\nmax_batch = \"512MiB\"\nmax_message = \"512MiB\"\nmax_result = \"257MiB\"\n",
     {"t.toml:3: http.max_message: 512MiB is above 256MiB", "t.toml:4: http.max_result: 257MiB is above 256MiB"}},
    {"[worker]\nslots = -1\n", {"t.toml:2: worker.slots: -1 is below 0"}},
    {"[worker]\nslots = 4294967296\n", {"t.toml:2: worker.slots: 4294967296 is above 65536"}},
    {"[log]\nlevel = \"loud\"\n",
     {"t.toml:2: log.level: \"loud\" is not one of \"trace\", \"debug\", \"info\", \"warn\", \"error\""}},
    {"[[pipeline]]\nname = \"a\"\n[pipeline.retry]\nmultiplier = 0.5\nmax_attempts = 0\n",
     {"t.toml:4: pipeline.a.retry.multiplier: 0.5 is below 1",
      "t.toml:5: pipeline.a.retry.max_attempts: 0 is below 1"}},
  });
}

TEST_CASE("names, addresses, headers and tokens have a form") {
  const std::string name_form = " is not a name: 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or digit";
  const std::string long_name(64, 'a');
  check_all({
    {"[node]\nname = \"Node A\"\n", {"t.toml:2: node.name: \"Node A\"" + name_form}},
    {"[node]\ndata_dir = \"\"\n", {"t.toml:2: node.data_dir: must not be empty"}},
    {"[[pipeline]]\nname = \"_a\"\n", {"t.toml:2: pipeline[1].name: \"_a\"" + name_form}},
    {"[[pipeline]]\n", {"t.toml:1: pipeline[1].name: is missing"}},
    {"[worker]\npipelines = [\"a\", \"\"]\n", {"t.toml:2: worker.pipelines: \"\"" + name_form}},
    {"[http]\nlisten = \"8080\"\n",
     {"t.toml:2: http.listen: \"8080\" is not HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080"}},
    {"[http]\nlisten = \":8080\"\n",
     {"t.toml:2: http.listen: \":8080\" is not HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080"}},
    {"[http]\nlisten = \"h:http\"\n", {"t.toml:2: http.listen: \"http\" is not a port"}},
    {"[http]\nlisten = \"h:\"\n", {"t.toml:2: http.listen: \"\" is not a port"}},
    {"[cluster]\nlisten = \"[::1]\"\n",
     {"t.toml:2: cluster.listen: \"[::1]\" is not HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080"}},
    {"[cluster]\nlisten = \"h:65536\"\n", {"t.toml:2: cluster.listen: port 65536 is above 65535"}},
    {"[cluster]\nsupervisors = [\"h:1\", \"x\"]\n",
     {"t.toml:2: cluster.supervisors: \"x\" is not HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080"}},
    {"[[pipeline]]\nname = \"a\"\ncarry = [\"a b\"]\n", {"t.toml:3: pipeline.a.carry: \"a b\" is not a header's name"}},
    {"[http]\ntoken = \"hunter 2\"\n",
     {"t.toml:2: http.token: a token holds only visible ASCII characters, and no spaces"}},
  });
  const std::string file = "[[pipeline]]\nname = \"" + long_name + "\"\n";
  CHECK(problems_of({file, {}, {}, {}}) ==
        std::vector<std::string>{"t.toml:2: pipeline[1].name: \"" + long_name.substr(0, 60) + "…\"" + name_form});
}

TEST_CASE("a destination's URL is checked without being shown, for it may hold a password") {
  const std::vector<std::pair<std::string, std::string>> wrong{
    {"", "is missing, for example http://127.0.0.1:9100/billing (a function's: its database's); a destination that is "
         "pulled is not available in this version"},
    {"billing", "is not a URL, for example http://127.0.0.1:9100/billing"},
    {"https://h/", "\"https\" destinations are not available in this version"},
    {"tcp://h:1", "\"tcp\" destinations are not available in this version"},
    {"postgresql://u:p@h/d", "names no table, for example postgresql://reseq@localhost/books?table=orders"},
    {"postgresql://u:p@h/d?x=1&table=a.b.c",
     "its table is not of letters, digits, '_' and '-', with a schema and a dot before it if wanted"},
    {"redis://h?x=1", "names no stream, for example redis://localhost:6379/0?stream=orders"},
    {"unix:///run/redis.sock?stream=a*b",
     "its stream is not of letters, digits, '_', '-', '.', ':' and a part in braces"},
    {"ftp://h/", "\"ftp\" is not a known scheme; known are http, file, postgresql and redis"},
    {"http://", "the URL names no valid host"},
    {"http://h:secret/", "the URL's port is not a number from 1 to 65535"},
    {"http://h:0/", "the URL's port is not a number from 1 to 65535"},
    {"http://u:secret@h/", "a user or password in a URL is not supported"},
    {"http://h/#a", "a URL to post to has no fragment (#)"},
    {"http://h/a b", "a URL holds only visible ASCII characters; write others as %XX"},
    {"file://out", "names no file: file:// and an absolute path, for example file:///tmp/out.jsonl"},
    {"file:///tmp/", "names no file: file:// and an absolute path, for example file:///tmp/out.jsonl"},
  };
  for (const auto& [url, what] : wrong) {
    CAPTURE(url);
    const std::string file =
      "[[pipeline]]\nname = \"a\"\n[[pipeline.destination]]\nname = \"b\"\nurl = \"" + url + "\"\n";
    CHECK(problems_of({file, {}, {}, {}}) ==
          std::vector<std::string>{"t.toml:5: pipeline.a.destination.b.url: " + what});
  }
  for (const auto* url : {"http://h", "http://h:1", "http://[::1]:80/a?b=c", "http://h?x", "file:///tmp/a.jsonl"}) {
    const std::string file =
      "[[pipeline]]\nname = \"a\"\n[[pipeline.destination]]\nname = \"b\"\nurl = \"" + std::string(url);
    CHECK(problems_of({file + "\"\n", {}, {}, {}}).empty());
  }
}

TEST_CASE("a URL in which libpq would take a part of the password for something else is refused, and not quoted") {
  const auto asked = [](const std::string& url) {
    auto all = problems_of({"[store]\nkind = \"postgres\"\npostgres = \"" + url + "\"\n", {}, {}, {}});
    const auto table = url + (url.find('?') == std::string::npos ? "?" : "&") + "table=t";
    auto more = problems_of(
      {"[[pipeline]]\nname = \"a\"\n[[pipeline.destination]]\nname = \"b\"\nurl = \"" + table + "\"\n", {}, {}, {}});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const std::string what = ": cannot be read as the URL of a PostgreSQL database: in a user's name, a password and a "
                           "value write '@' as %40, '/' as %2F, ':' as %3A, '?' as %3F, '&' as %26, '=' as %3D and '%' "
                           "as %25";
  for (const auto* url :
       {"postgresql://u:hush/x@h/db", "postgresql://u:1/hush@h/db", "postgresql://u:a@hush@h/db",
        "postgresql://u:a@hush/x@h/db", "postgresql://u:hush@h:port/db", "postgresql://u:hush%zz@h/db",
        "postgresql://u:hush%00@h/db", "postgresql://u:hush%4", "postgresql://u/hush@h/db", "postgresql://u:1/a?hush@h",
        "postgresql://u:a?hush@h/db", "postgresql://u:x@h/db?password=hush%zz", "postgresql://h/db?password=hush=x",
        "postgresql://h?password=hush@x", "postgresql://u:hush@h:1,i:j/db", "postgresql://u:hush@[::1]:a/db"}) {
    CAPTURE(url);
    CHECK(asked(url) ==
          std::vector<std::string>{"t.toml:3: store.postgres" + what, "t.toml:5: pipeline.a.destination.b.url" + what});
  }
  for (const auto* url : {"postgresql://u:a%2Fb%40c@h/db", "postgresql://u:a#c:d@h/db",
                          "postgresql://u@h:1,[::1]:2,i/db", "postgresql:///db?host=/run/a@b&user=me@there",
                          "postgresql://%2Frun%2Fpg/db?password=a@b", "postgresql://", "postgresql://u:p@h:/db"}) {
    CAPTURE(url);
    CHECK(asked(url).empty());
  }
}

TEST_CASE("what this version does not do is refused, and its defaults are accepted") {
  const std::string later = "is not available in this version";
  check_all({
    {"[store]\nkind = \"mysql\"\n", {"t.toml:2: store.kind: \"mysql\" is not one of \"embedded\", \"postgres\""}},
    {"[store]\nredis = \"redis.example\"\nredis_timeout = \"0ms\"\nkeep_results_over = \"2\"\n",
     {"t.toml:2: store.redis: is not a Redis URL, for example redis://localhost:6379/0, unix:///run/redis.sock or "
      "redis-sentinel://one,two/master",
      "t.toml:3: store.redis_timeout: 0s is below 1ms",
      "t.toml:4: store.keep_results_over: \"2\" needs a unit, for example 750ms"}},
    {"[store]\nlease = \"redis\"\nlease_ttl = \"3s\"\n",
     {"t.toml:2: store.lease: " + later +
        ": the embedded store uses a file lock, and PostgreSQL serves who started last",
      "t.toml:3: store.lease_ttl: " + later +
        ": the embedded store uses a file lock, and PostgreSQL serves who started last"}},
    {"[tcp]\nlisten = \"127.0.0.1:7070\"\npipeline = \"a\"\n",
     {"t.toml:2: tcp.listen: " + later, "t.toml:3: tcp.pipeline: " + later}},
    {"[http]\ntls_certificate = \"a\"\ntls_key = \"b\"\n",
     {"t.toml:2: http.tls_certificate: " + later, "t.toml:3: http.tls_key: " + later}},
    {"[cluster]\nadvertise = \"h:4040\"\n", {"t.toml:2: cluster.advertise: " + later}},
    {"[cluster]\ntls_certificate = \"a\"\ntls_key = \"b\"\ntls_ca = \"c\"\n",
     {"t.toml:2: cluster.tls_certificate: " + later, "t.toml:3: cluster.tls_key: " + later,
      "t.toml:4: cluster.tls_ca: " + later}},
    {"[[pipeline]]\nname = \"a\"\nshards = 2\nkey_versions = true\non_held = \"mail\"\n",
     {"t.toml:3: pipeline.a.shards: " + later + ": one supervisor owns all of a journal, so more shards gain nothing",
      "t.toml:4: pipeline.a.key_versions: " + later, "t.toml:5: pipeline.a.on_held: " + later}},
    {"[[pipeline]]\nname = \"a\"\n[[pipeline.transform]]\nuse = \"command\"\ncommand = [\"x\"]\n",
     {"t.toml:4: pipeline.a.transform[1].use: \"command\" " + later,
      "t.toml:5: pipeline.a.transform[1].command: " + later}},
    {"[[pipeline]]\nname = \"a\"\n[[pipeline.transform]]\nuse = \"http\"\nurl = \"http://h\"\n",
     {"t.toml:4: pipeline.a.transform[1].use: \"http\" " + later, "t.toml:5: pipeline.a.transform[1].url: " + later}},
  });
  const auto more = "secret = [\"whsec_x\"]\nstart = \"beginning\"\n";
  const std::string key = "pipeline.orders.destination.billing.";
  CHECK(problems_of({destination_with(more), {}, {}, {}}) ==
        std::vector<std::string>{"t.toml:7: " + key + "secret: " + later, "t.toml:8: " + key + "start: " + later});
  CHECK(problems_of({"[store]\nlease = \"postgres\"\n[tcp]\nlisten = \"\"\n", {}, {}, {}}).empty());
}

TEST_CASE("a key that nothing acts on is refused, unless it says what it would if it were not there") {
  using texts = std::vector<std::string>;
  const std::string postgres = "has an effect with kind = \"postgres\" only";
  const std::string keys = "postgres = \"postgresql://h/d\"\nredis = \"unix:///s\"\nredis_timeout = \"1s\"\n"
                           "keep_results_over = \"1s\"\n";
  CHECK(problems_of({"[store]\n" + keys, {}, {}, {}}) ==
        texts{"t.toml:2: store.postgres: " + postgres, "t.toml:3: store.redis: " + postgres,
              "t.toml:4: store.redis_timeout: " + postgres, "t.toml:5: store.keep_results_over: " + postgres});
  CHECK(problems_of({"[store]\nkind = \"postgres\"\n" + keys, {}, {}, {}}).empty());
  CHECK(problems_of({"[store]\nredis = \"\"\n", {}, {}, {}}).empty());
  CHECK(problems_of({"[store]\nkind = \"postgres\"\naccept_loss = true\n", {}, {}, {}}) ==
        texts{"t.toml:3: store.accept_loss: has an effect with kind = \"embedded\" only; reseqctl recover is for "
              "PostgreSQL"});
  CHECK(problems_of({"[store]\naccept_loss = true\n", {}, {}, {}}).empty());

  const std::string key = "pipeline.orders.destination.billing.";
  const std::string of_keys = "connections = 4\nmax_blocked_keys = 5\n";
  const std::string by_key = "has an effect with order = \"key\" only";
  CHECK(problems_of({destination_with(of_keys), {}, {}, {}}) ==
        texts{"t.toml:7: " + key + "connections: " + by_key, "t.toml:8: " + key + "max_blocked_keys: " + by_key});
  CHECK(problems_of({destination_with("order = \"key\"\n" + of_keys), {}, {}, {}}).empty());
  CHECK(problems_of({destination_with("connections = 8\nmax_blocked_keys = 1024\n"), {}, {}, {}}).empty());

  const std::string of_http = "timeout = \"1s\"\non_refused = \"dead_letter\"\n";
  CHECK(problems_of({destination_with(of_http), {}, {}, {}}).empty());
  const auto elsewhere = [&](const std::string& url) {
    auto file = destination_with(of_http);
    file.replace(file.find("http://h/"), 9, url);
    return problems_of({file, {}, {}, {}});
  };
  CHECK(elsewhere("file:///tmp/a") ==
        texts{"t.toml:7: " + key + "timeout: has no effect with a file, which is not waited for",
              "t.toml:8: " + key + "on_refused: has no effect with a file, which refuses no message"});
  CHECK(elsewhere("redis://h?stream=s") ==
        texts{"t.toml:8: " + key + "on_refused: has no effect with a stream, which refuses no message"});
  CHECK(elsewhere("postgresql://h/d?table=t").empty());
}

TEST_CASE("a key that nothing acts on is accepted from an environment, and where what decides is overridden") {
  CHECK(problems_of({"", {}, {{"RESEQ_STORE_POSTGRES", "postgresql://h/d"}, {"RESEQ_STORE_REDIS", "redis://h"}}, {}})
          .empty());
  CHECK(problems_of({"", {"store.redis=redis://h"}, {}, {}}) ==
        std::vector<std::string>{"--set: store.redis: has an effect with kind = \"postgres\" only"});
  const std::string file = "[store]\nkind = \"postgres\"\nredis = \"redis://h\"\n";
  CHECK(problems_of({file, {"store.kind=embedded"}, {}, {}}).empty());
  CHECK(problems_of({file, {"store.kind=embedded", "store.redis=redis://i"}, {}, {}}).size() == 1);
  CHECK(problems_of({destination_with("order = \"key\"\nconnections = 4\n"),
                     {"pipeline.orders.destination.billing.order=total"},
                     {},
                     {}})
          .empty());
}

TEST_CASE("a supervisor is asked what it can open, a worker is not") {
  input from{"[store]\nkind = \"postgres\"\nredis = \"rediss://h\"\n" +
               destination_with("[[pipeline.destination]]\nname = \"s\"\nurl = \"rediss://h?stream=s\"\n"
                                "[[pipeline.destination]]\nname = \"t\"\nurl = \"postgresql://h?table=t&x=y\"\n"),
             {},
             {},
             {}};
  from.check_redis = [](std::string_view url) { return complaint("cannot: " + std::string(url)); };
  from.check_stream = [](std::string_view url) { return complaint("no stream: " + std::string(url)); };
  from.check_postgres = [](std::string_view url) {
    return url.find("x=y") == std::string_view::npos ? complaint() : complaint("no option: x");
  };
  from.reader = role::worker;
  CHECK(problems_of(from).empty());
  from.reader = role::supervisor;
  CHECK(problems_of(from) ==
        std::vector<std::string>{"t.toml:3: store.redis: cannot: rediss://h",
                                 "t.toml:12: pipeline.orders.destination.s.url: no stream: rediss://h?stream=s",
                                 "t.toml:15: pipeline.orders.destination.t.url: no option: x"});
  from.sets = {"store.postgres=postgresql://h?x=y", "store.redis=", "pipeline.orders.destination.s.url=http://h/",
               "pipeline.orders.destination.t.url=http://h/"};
  CHECK(problems_of(from) == std::vector<std::string>{"--set: store.postgres: no option: x"});
  from.sets.erase(from.sets.begin());
  CHECK(problems_of(from).empty());
}

TEST_CASE("a supervisor that other machines reach without a token is warned of") {
  const auto warnings = [](const std::string& file, std::vector<std::string> sets = {},
                           role reader = role::supervisor) {
    CHECK(problems_of({file, sets, {}, {}}).empty());
    return warnings_of({file, sets, {}, {}, {}, reader});
  };
  using texts = std::vector<std::string>;
  const std::string of_http = "http.listen: other machines may reach it, and http.";
  const std::string submit = of_http + "token is empty: whoever does can submit messages";
  const std::string control =
    of_http + "control_token is empty: whoever does can read messages, skip them and pause destinations";
  const std::string work =
    "cluster.listen: other machines may reach it, and cluster.token is empty: whoever does can get "
    "messages to work on, and answer them";
  const std::string open = "[cluster]\nlisten = \"0.0.0.0:4040\"\n[http]\nlisten = \"[::]:80\"\n";
  CHECK(warnings(open) == texts{"t.toml:2: " + work, "t.toml:4: " + submit, "t.toml:4: " + control});
  CHECK(warnings(open, {}, role::worker).empty());
  CHECK(warnings(open, {"http.token=x", "cluster.token=y"}) == texts{"t.toml:4: " + control});
  CHECK(warnings("", {"cluster.listen=a:1"}) == texts{"--set: " + work});
  for (const auto* own : {"127.0.0.1:1", "127.1.2.3:1", "localhost:1", "[::1]:1"})
    CHECK(warnings("", {"http.listen=" + std::string(own), "cluster.listen=" + std::string(own)}).empty());
  for (const auto* other : {"127.example:1", "[::ffff:10.0.0.1]:1", "10.0.0.1:1"})
    CHECK(warnings("", {"cluster.listen=" + std::string(other)}).size() == 1);
}

TEST_CASE("a database is named by a URL, which is never quoted") {
  CHECK(
    problems_of({"[store]\nkind = \"postgres\"\npostgres = \"postgres://u:p@h:5/db?sslmode=require\"\n", {}, {}, {}})
      .empty());
  check_all({
    {"[store]\npostgres = \"mysql://u:secret@h/\"\n",
     {"t.toml:2: store.postgres: is not a PostgreSQL URL, for example postgresql://reseq@localhost/reseq"}},
    {"[store]\npostgres = \"postgresql://u:se cret@h/\"\n",
     {"t.toml:2: store.postgres: a URL holds only visible ASCII characters; write others as %XX"}},
    {"[store]\nkind = \"postgresql://u:secret@h/\"\n",
     {"t.toml:2: store.kind: a URL is not one of \"embedded\", \"postgres\""}},
  });
}

TEST_CASE("keys that contradict each other are refused where one of them stands") {
  const std::string key = "pipeline.orders.destination.billing.";
  const std::vector<std::pair<std::string, std::string>> wrong{
    {"batch = 10\nmax_unsaved = 5\n",
     "t.toml:8: " + key + "max_unsaved: max_unsaved (5) cannot be less than batch (10)"},
    {"batch = 300\n", "t.toml:7: " + key + "batch: max_unsaved (256) cannot be less than batch (300)"},
    {"batch = 10\nwindow = 5\n", "t.toml:8: " + key + "window: window (5) cannot be less than batch (10)"},
  };
  for (const auto& [more, text] : wrong) {
    CAPTURE(more);
    CHECK(problems_of({destination_with(more), {}, {}, {}}) == std::vector<std::string>{text});
  }
  check_all({
    {"[http]\nmax_message = \"32MiB\"\n",
     {"t.toml:2: http.max_message: max_batch (16MiB) cannot be less than max_message (32MiB)"}},
    {"[[pipeline]]\nname = \"a\"\n[pipeline.retry]\ntimeout = \"70s\"\n",
     {"t.toml:4: pipeline.a.retry.timeout: timeout (70s) cannot be more than max_timeout (1m)"}},
    {"[[pipeline]]\nname = \"a\"\n[pipeline.retry]\nmax_timeout = \"500ms\"\n",
     {"t.toml:4: pipeline.a.retry.max_timeout: timeout (2s) cannot be more than max_timeout (500ms)",
      "t.toml:4: pipeline.a.retry.max_timeout: jitter (1s) cannot be more than max_timeout (500ms)"}},
    {"[[pipeline]]\nname = \"a\"\n[[pipeline.transform]]\nuse = \"delay\"\nmin = \"2s\"\nmax = \"1s\"\n",
     {"t.toml:5: pipeline.a.transform[1].min: min (2s) cannot be more than max (1s)"}},
    {"[[pipeline]]\nname = \"a\"\n[[pipeline.transform]]\nuse = \"delay\"\nfail_rate = 0.6\nhang_rate = 0.5\n",
     {"t.toml:5: pipeline.a.transform[1].fail_rate: fail_rate, hang_rate and crash_rate are 1.1 together, which is "
      "more "
      "than 1"}},
    {"[[pipeline]]\nname = \"a\"\n[[pipeline.transform]]\nuse = \"identity\"\nmin = \"2s\"\n",
     {"t.toml:5: pipeline.a.transform[1].min: is a key of use = \"delay\" only"}},
    {"[[pipeline]]\nname = \"a\"\n[[pipeline.transform]]\n", {"t.toml:3: pipeline.a.transform[1].use: is missing"}},
    {"[[pipeline]]\nname = \"a\"\n[[pipeline.transform]]\nuse = \"delay\"\ndistribution = \"fixed\"\nmin = \"2s\"\n",
     {}},
  });
}

TEST_CASE("a key that contradicts several others is shown with each of them, and one that is wrong with none") {
  const std::string key = "pipeline.orders.destination.billing.";
  const auto problems = [](const std::string& more) { return problems_of({destination_with(more), {}, {}, {}}); };
  using texts = std::vector<std::string>;
  CHECK(problems("batch = 2000\n") ==
        texts{
          "t.toml:7: " + key + "batch: max_unsaved (256) cannot be less than batch (2000)",
          "t.toml:7: " + key + "batch: window (1024) cannot be less than batch (2000)",
        });
  CHECK(problems("batch = 10\nmax_unsaved = 5\nwindow = 6\n") ==
        texts{
          "t.toml:8: " + key + "max_unsaved: max_unsaved (5) cannot be less than batch (10)",
          "t.toml:9: " + key + "window: window (6) cannot be less than batch (10)",
        });
  CHECK(problems("batch = 10\nmax_unsaved = 5\norder = \"key\"\n") ==
        texts{"t.toml:8: " + key +
              "max_unsaved: max_unsaved (5) with order = \"key\" cannot be less than twice batch (10)"});
  CHECK(problems("batch = 0\nwindow = 0\n") ==
        texts{"t.toml:7: " + key + "batch: 0 is below 1", "t.toml:8: " + key + "window: 0 is below 1"});
  const std::string file = "[[pipeline]]\nname = \"orders\"\n\n[[pipeline.destination]]\nname = \"billing\"\n"
                           "url = \"file://out\"\norder = \"key\"\n";
  CHECK(problems_of({file, {}, {}, {}}) ==
        texts{
          "t.toml:6: " + key + "url: names no file: file:// and an absolute path, for example file:///tmp/out.jsonl",
          "t.toml:7: " + key + "order: cannot be \"key\" for a file, which is written in one order",
        });
}

TEST_CASE("a file belongs to one destination") {
  const std::string two = "[[pipeline]]\nname = \"a\"\n[[pipeline.destination]]\nname = \"x\"\nurl = \"file:///d/f\"\n"
                          "[[pipeline.destination]]\nname = \"y\"\nurl = \"file:///d/./f\"\n";
  CHECK(problems_of({two, {}, {}, {}}) ==
        std::vector<std::string>{
          "t.toml:8: pipeline.a.destination.y.url: is the file of pipeline.a.destination.x as well"});
}

TEST_CASE("two members of a list cannot share a name") {
  check_all({
    {"[[pipeline]]\nname = \"a\"\n[[pipeline]]\nname = \"a\"\n",
     {"t.toml:4: pipeline[2].name: \"a\" is already the name in line 2"}},
  });
  CHECK(problems_of(
          {destination_with("[[pipeline.destination]]\nname = \"billing\"\nurl = \"http://h/\"\n"), {}, {}, {}}) ==
        std::vector<std::string>{
          "t.toml:8: pipeline.orders.destination[2].name: \"billing\" is already the name in line 5"});
  CHECK(problems_of({"[[pipeline]]\nname = \"a\"\n[[pipeline]]\nname = \"b\"\n", {}, {}, {}}).empty());
}

TEST_CASE("a table that comes before its list's member gets an error that says so") {
  check_all({
    {"[pipeline.retry]\ntimeout = \"1s\"\n\n[[pipeline]]\nname = \"a\"\n",
     {"t.toml:1: pipeline.retry: comes before its [[pipeline]] in line 4: tables of a list's member stand below it"}},
    {"[[pipeline]]\nname = \"a\"\n[[pipeline.destination.transform]]\nuse = \"x\"\n[[pipeline.destination]]\n",
     {"t.toml:3: pipeline.destination.transform: comes before its [[pipeline.destination]] in line 5: tables of a "
      "list's "
      "member stand below it"}},
    {"[pipeline.retry]\ntimeout = \"1s\"\n",
     {"t.toml:1: pipeline: must be a list: each member begins with [[pipeline]], and its tables come after that"}},
    {"[[pipeline]]\nname = \"a\"\n[pipeline.transform]\nuse = \"x\"\n",
     {"t.toml:3: pipeline.a.transform: must be a list: each member begins with [[pipeline.transform]], and its tables "
      "come after that"}},
  });
}

TEST_CASE("of a file that is no TOML the first error is reported, and nothing else") {
  const auto first = load_text({"[node]\nname = \"A\"\ndata_dir = \n[htpp]\n", {"foo"}, {}, {}}).problems;
  REQUIRE(first.size() == 1);
  CHECK(first[0].file == "t.toml");
  CHECK(first[0].line == 3);
  CHECK_FALSE(first[0].what.empty());
  for (const auto* file : {"[http]\ntoken = hunter2\n", "[http]\ntoken = \"hunter2\n",
                           "[http]\ntoken = \"\\qhunter2\"\n", "[http]\ntoken = \"hunter2\"\ntoken = \"hunter2\"\n"}) {
    const auto texts = problems_of({file, {}, {}, {}});
    REQUIRE(texts.size() == 1);
    CHECK(texts[0].find("unter2") == std::string::npos);
  }
}

TEST_CASE("all problems are reported at once, the file's by line, then the others") {
  CHECK(
    problems_of({"[worker]\nslots = -1\n[node]\nname = \"A B\"\nx = 1\n", {"log.level=loud"}, {{"RESEQ_X", ""}}, {}}) ==
    std::vector<std::string>{
      "t.toml:2: worker.slots: -1 is below 0",
      "t.toml:4: node.name: \"A B\" is not a name: 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or digit",
      "t.toml:5: node.x: is not a known key; conf/reference.toml shows all of them",
      "environment variable RESEQ_X: names no key; for node.data_dir it would be RESEQ_NODE_DATA_DIR",
      "--set: log.level: \"loud\" is not one of \"trace\", \"debug\", \"info\", \"warn\", \"error\""});
}

TEST_CASE("a file that cannot be read is one problem") {
  const auto absent = load({"/nonexistent/reseq.toml", {}, {}}).problems;
  REQUIRE(absent.size() == 1);
  CHECK(absent[0].text() == "/nonexistent/reseq.toml: cannot be read: No such file or directory");
  CHECK(load({"/", {}, {}}).problems.at(0).text() == "/: cannot be read: Is a directory");
  CHECK(problems_of({std::string((1U << 20U) + 1, '\n'), {}, {}, {}}) ==
        std::vector<std::string>{"t.toml: is larger than 1MiB"});
}

TEST_CASE(
  "a transform that the program does not have is named with the nearest one, unless only workers elsewhere run it") {
  const std::vector<std::string> known = {"identity", "delay", "enrich"};
  const std::string common = "[[pipeline]]\nname = \"orders\"\n[[pipeline.transform]]\nuse = \"enirch\"\n"
                             "[[pipeline.destination]]\nname = \"billing\"\nurl = \"http://h/\"\n";
  const auto own = common + "[[pipeline.destination.transform]]\nuse = \"enrich\"\n"
                            "[[pipeline.destination.transform]]\nuse = \"dellay\"\n";
  const std::string hint = " (where only workers elsewhere have it, set worker.slots = 0)";
  CHECK(
    problems_of({own, {}, {}, {}, known}) ==
    std::vector<std::string>{
      "t.toml:4: pipeline.orders.transform[1].use: \"enirch\" is no transform of this program; the nearest is "
      "\"enrich\"" +
        hint,
      "t.toml:11: pipeline.orders.destination.billing.transform[2].use: \"dellay\" is no transform of this program; "
      "the nearest is \"delay\"" +
        hint});
  const auto at_worker = problems_of({own, {}, {}, {}, known, role::worker});
  CHECK(at_worker.at(0).ends_with("the nearest is \"enrich\""));
  CHECK(problems_of({own, {"worker.slots=0"}, {}, {}, known}).empty());
  CHECK(problems_of({own, {}, {}, {}}).empty());
  const auto far = common + "[[pipeline.destination.transform]]\nuse = \"lookup\"\n";
  CHECK(problems_of({far, {}, {}, {}, known}).at(1) ==
        "t.toml:9: pipeline.orders.destination.billing.transform[1].use: \"lookup\" is no transform of this program; "
        "known: identity, delay, enrich" +
          hint);
  CHECK(problems_of({common, {"worker.pipelines=nope"}, {}, {}, known}).size() == 2);
  const auto other =
    own + "[[pipeline]]\nname = \"other\"\n[[pipeline.destination]]\nname = \"d\"\nurl = \"http://h/\"\n";
  CHECK(problems_of({other, {"worker.pipelines=other"}, {}, {}, known}).empty());
}

TEST_CASE("a supervisor needs a pipeline and each pipeline a destination, a worker only a pipeline") {
  const auto problems = [](const std::string& file, role reader, std::vector<pipeline_settings> composed = {}) {
    return problems_of({file, {}, {}, std::move(composed), {}, reader});
  };
  using texts = std::vector<std::string>;
  const std::string none = "pipeline: none is configured: add a [[pipeline]] to the file that --config names; "
                           "conf/embedded.toml shows one";
  const std::string lost = "pipeline.orders.destination: there is none, and messages would be taken and lost: add a "
                           "[[pipeline.destination]] with name and url below the [[pipeline]]";
  CHECK(problems("", role::worker) == texts{"t.toml: " + none});
  CHECK(problems("[node]\nname = 5\n", role::supervisor) ==
        texts{"t.toml:2: node.name: must be a string, not an integer", "t.toml: " + none});
  const std::string orders = "\n[[pipeline]]\nname = \"orders\"\n";
  CHECK(problems(orders, role::worker).empty());
  CHECK(problems(orders, role::supervisor) == texts{"t.toml:2: " + lost});
  CHECK(problems(destination_with(""), role::supervisor).empty());
  // Somebody who has tried is told of that only.
  for (const auto* tried : {"pipeline = 1\n", "pipeline = [1]\n", "[[pipeline]]\nname = \"a\"\ndestination = 1\n",
                            "[[pipeline]]\nname = \"a\"\ndestination = [1]\n", "node = \n"})
    CHECK(problems(tried, role::supervisor).size() == 1);
  pipeline_settings composed;
  composed.name = "orders";
  CHECK(problems("", role::supervisor, {composed}) == texts{lost});
  CHECK(problems("", role::worker, {composed}).empty());
  composed.destinations.emplace_back().name = "billing";
  composed.destinations.back().url = "http://h/";
  CHECK(problems(orders, role::supervisor, {composed}).empty());
}

TEST_CASE("a worker needs no URL of a destination that C++ composed, a supervisor does") {
  pipeline_settings composed;
  composed.name = "orders";
  composed.destinations = {{}, {}};
  composed.destinations[0].name = "ledger";
  composed.destinations[0].in_transaction = true;
  composed.destinations[1].name = "audit";
  CHECK(problems_of({"", {}, {}, {composed}, {}, role::worker}).empty());
  CHECK(problems_of({"", {}, {}, {composed}, {}, role::supervisor}).size() == 2);
}

TEST_CASE("a worker's pipelines are among those that are configured") {
  CHECK(problems_of({destination_with(""), {"worker.pipelines=a,orders,b"}, {}, {}}) ==
        std::vector<std::string>{"--set: worker.pipelines: \"a\" is no pipeline; known: orders",
                                 "--set: worker.pipelines: \"b\" is no pipeline; known: orders"});
  CHECK(problems_of({destination_with(""), {"worker.pipelines=ordres"}, {}, {}}) ==
        std::vector<std::string>{"--set: worker.pipelines: \"ordres\" is no pipeline; the nearest is \"orders\""});
}

TEST_CASE("order by key is not for files, and leaves room for other keys beside a request") {
  const std::string key = "t.toml:7: pipeline.orders.destination.billing.";
  const auto by_key = [](const std::string& more) { return destination_with("order = \"key\"\n" + more); };
  const std::string file = "[[pipeline]]\nname = \"orders\"\n\n[[pipeline.destination]]\nname = \"billing\"\n"
                           "url = \"file:///tmp/a\"\norder = \"key\"\n";
  CHECK(problems_of({by_key(""), {}, {}, {}}).empty());
  CHECK(problems_of({file, {}, {}, {}}) ==
        std::vector<std::string>{key + "order: cannot be \"key\" for a file, which is written in one order"});
  for (const auto& [url, what] : std::vector<std::pair<std::string, std::string>>{{"postgresql://h/d?table=t", "table"},
                                                                                  {"redis://h?stream=s", "stream"}}) {
    auto other = file;
    other.replace(other.find("file:///tmp/a"), 13, url);
    CHECK(problems_of({other, {}, {}, {}}) ==
          std::vector<std::string>{key + "order: cannot be \"key\" for a " + what + ", which is written in one order"});
  }
  CHECK(problems_of({by_key("batch = 10\nmax_unsaved = 20\nwindow = 20\n"), {}, {}, {}}).empty());
  for (const std::string tight : {"max_unsaved", "window"})
    CHECK(problems_of({by_key("batch = 10\n" + tight + " = 19\n"), {}, {}, {}}) ==
          std::vector<std::string>{"t.toml:9: pipeline.orders.destination.billing." + tight + ": " + tight +
                                   " (19) with order = \"key\" cannot be less than twice batch (10)"});
}
