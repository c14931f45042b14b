#include "reseq/config/load.hpp"

#include <chrono>

#include "catch.hpp"
#include "fixture.hpp"
#include "reseq/config/forms.hpp"

using namespace reseq;
using namespace reseq::config;
using namespace reseq::config::test;
using namespace std::chrono_literals;

namespace {

const std::string orders = R"([[pipeline]]
name = "orders"
  [[pipeline.transform]]
  use = "delay"
  [[pipeline.destination]]
  name = "billing"
  url = "http://127.0.0.1:9100/billing"
    [[pipeline.destination.transform]]
    use = "identity"
)";

using texts = std::vector<std::string>;

pipeline_settings composed_orders() {
  pipeline_settings p;
  p.name = "orders";
  p.retry.max_attempts = 9;
  p.transforms = {{"parse", "1", {}}, {"render", "2", {}}};
  p.destinations.emplace_back();
  p.destinations.back().name = "billing";
  p.destinations.back().url = "http://built.in/";
  p.destinations.back().batch = 7;
  return p;
}

} // namespace

TEST_CASE("without a file everything has its default") {
  const auto made = load({});
  REQUIRE(made.problems.empty());
  CHECK(is_name(made.value.node.name));
  CHECK(made.value.node.data_dir == "./reseq-data");
  CHECK(made.value.node.drain_timeout == 10s);
  CHECK(made.value.store.kind == "embedded");
  CHECK(made.value.store.retention == 168h);
  CHECK(made.value.http.listen == "127.0.0.1:8080");
  CHECK(made.value.http.max_message == 1U << 20U);
  CHECK(made.value.http.max_batch == 16U << 20U);
  CHECK(made.value.cluster.supervisors == texts{"127.0.0.1:4040"});
  CHECK(made.value.worker.slots == 64);
  CHECK(made.value.log.level == "info");
  CHECK(made.value.pipelines.empty());
}

TEST_CASE("a file sets what it names and leaves the rest") {
  const auto made = settings_of({orders + "    [[pipeline.destination.transform]]\n    use = \"delay\"\n"
                                          "    min = \"5ms\"\n    max = \"60ms\"\n    distribution = \"exponential\"\n"
                                          "    crash_rate = 1\n    seed = 42\n"
                                          "[http]\nlisten = \"[::1]:0\"\n",
                                 {},
                                 {},
                                 {}});
  CHECK(made.http.listen == "[::1]:0");
  REQUIRE(made.pipelines.size() == 1);
  REQUIRE(made.pipelines[0].destinations.size() == 1);
  const auto& billing = made.pipelines[0].destinations[0];
  CHECK(billing.url == "http://127.0.0.1:9100/billing");
  CHECK(billing.window == 1024);
  REQUIRE(billing.transforms.size() == 2);
  CHECK(billing.transforms[0].use == "identity");
  CHECK(billing.transforms[1].delay.min == 5ms);
  CHECK(billing.transforms[1].delay.max == 60ms);
  CHECK(billing.transforms[1].delay.distribution == delay_settings::shape::exponential);
  CHECK(billing.transforms[1].delay.crash_rate == 1.0);
  CHECK(billing.transforms[1].delay.seed == 42);
}

TEST_CASE("the environment wins over the file, and --set over both") {
  const std::map<std::string, std::string> environment{{"RESEQ_LOG_LEVEL", "warn"},
                                                       {"RESEQ_NODE_DATA_DIR", "/env"},
                                                       {"RESEQ_WORKER_SLOTS", "7"},
                                                       {"RESEQ_HTTP_TOKEN", "123"},
                                                       {"RESEQ_CLUSTER_SUPERVISORS", "a:1,b:2"},
                                                       {"RESEQ_PARENT_PIPE", "5"},
                                                       {"RESEQ_URL", "http://a:1"},
                                                       {"RESEQ_TEST_ANYTHING", "x"},
                                                       {"HOME", "/root"}};
  const auto made = settings_of({"[node]\ndata_dir = \"/file\"\nname = \"a\"\n[worker]\nslots = 1\n",
                                 {"worker.slots=8", "log.level=debug", "log.level=error"},
                                 environment,
                                 {}});
  CHECK(made.node.name == "a");
  CHECK(made.node.data_dir == "/env");
  CHECK(made.worker.slots == 8);
  CHECK(made.log.level == "error");
  CHECK(made.http.token == "123");
  CHECK(made.cluster.supervisors == texts{"a:1", "b:2"});
}

TEST_CASE("--set takes TOML, or else text as it is") {
  const auto made =
    settings_of({orders,
                 {"node.drain_timeout=5s", "node.data_dir=\"/quoted\"", "http.control_token=007=8",
                  "worker.pipelines=[\"orders\", \"orders\"]", "cluster.supervisors=h:1", "http.max_batch='32MiB'",
                  "pipeline.orders.retry.hedge=false", "pipeline.orders.destination.billing.when={\"a\" = \"b*\"}"},
                 {},
                 {}});
  CHECK(made.node.drain_timeout == 5s);
  CHECK(made.node.data_dir == "/quoted");
  CHECK(made.http.control_token == "007=8");
  CHECK(made.worker.pipelines == texts{"orders", "orders"});
  CHECK(made.cluster.supervisors == texts{"h:1"});
  CHECK(made.http.max_batch == 32U << 20U);
  CHECK_FALSE(made.pipelines[0].retry.hedge);
  CHECK(made.pipelines[0].destinations[0].when == std::map<std::string, std::string>{{"a", "b*"}});
}

TEST_CASE("--set reaches members of lists by name") {
  const auto made = settings_of(
    {orders,
     {"pipeline.orders.retry.max_attempts=2", "pipeline.orders.destination.billing.window=64",
      "pipeline.orders.transform.delay.max=3s", "pipeline.orders.destination.billing.transform.identity.use=other"},
     {},
     {}});
  const auto& p = made.pipelines[0];
  CHECK(p.retry.max_attempts == 2);
  CHECK(p.destinations[0].window == 64);
  CHECK(p.transforms[0].delay.max == 3s);
  CHECK(p.destinations[0].transforms[0].use == "other");
}

TEST_CASE("--set creates nothing, and says what there is") {
  const std::vector<std::pair<std::string, std::string>> wrong{
    {"secret-without-key", "--set: needs KEY=VALUE, for example node.drain_timeout=5s"},
    {"=5", "--set: needs KEY=VALUE, for example node.drain_timeout=5s"},
    {"pipeline.x.retry.jitter=1s", "--set: pipeline.x: no pipeline has this name; known: orders"},
    {"pipeline.orders.destination.x.window=1",
     "--set: pipeline.orders.destination.x: no destination has this name; known: billing"},
    {"pipeline.orders.transform.x.seed=1", "--set: pipeline.orders.transform.x: no transform uses this; known: delay"},
    {"pipeline.orders.retry.jiter=1", "--set: pipeline.orders.retry.jiter: is not a known key; the nearest is "
                                      "pipeline.retry.jitter"},
    {"pipeline.orders.name=x", "--set: pipeline.orders.name: a name stands in the file only"},
    {"pipeline.orders=x", "--set: pipeline.orders: is a table; name one of its keys"},
    {"pipeline.orders.retry=x", "--set: pipeline.orders.retry: is a table; name one of its keys"},
    {"node=x", "--set: node: is a table; name one of its keys"},
    {"http.tokn=hunter2", "--set: http.tokn: is not a known key; the nearest is http.token"},
    {"http.listen=1", "--set: http.listen: \"1\" is not HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080"},
    {"worker.slots=x", "--set: worker.slots: must be an integer, not a string"},
    {"worker.slots=1\nx=2", "--set: worker.slots: must be an integer, not a string"},
    {"pipeline.orders.shards=2", "--set: pipeline.orders.shards: is not available in this version: one supervisor owns "
                                 "all of a journal, so more shards gain nothing"},
    {"pipeline.orders.destination.billing.batch=999",
     "--set: pipeline.orders.destination.billing.batch: max_unsaved (256) cannot be less than batch (999)"},
  };
  for (const auto& [set, text] : wrong) {
    CAPTURE(set);
    CHECK(problems_of({orders, {set}, {}, {}}) == texts{text});
  }
  CHECK(problems_of({"", {"pipeline.x.shards=1"}, {}, {}}) ==
        texts{"--set: pipeline.x: no pipeline has this name; there are none"});
  CHECK(problems_of(
          {orders + "[[pipeline.transform]]\nuse = \"delay\"\n", {"pipeline.orders.transform.delay.seed=1"}, {}, {}}) ==
        texts{"--set: pipeline.orders.transform.delay: several transforms use this: set it in the file"});
}

TEST_CASE("a RESEQ_ variable that names no key is a problem") {
  CHECK(problems_of({"", {}, {{"RESEQ_STORE_RETENTON", "secret"}}, {}}) ==
        texts{"environment variable RESEQ_STORE_RETENTON: names no key; the nearest is RESEQ_STORE_RETENTION"});
  CHECK(problems_of({"", {}, {{"RESEQ_STORE_RETENTION", "5"}}, {}}) ==
        texts{"environment variable RESEQ_STORE_RETENTION: store.retention: needs a unit, for example \"750ms\""});
  CHECK(problems_of({"", {}, {{"RESEQ_STORE_REDIS", "http://u:secret@h/"}}, {}}) ==
        texts{"environment variable RESEQ_STORE_REDIS: store.redis: is not a Redis URL, for example "
              "redis://localhost:6379/0, unix:///run/redis.sock or redis-sentinel://one,two/master"});
}

TEST_CASE("${NAME} in a string of the file is the environment's") {
  const auto made = settings_of({"[http]\ntoken = \"${A}-${B_2}\"\ncontrol_token = \"$${A}$\"\n"
                                 "[worker]\npipelines = [\"p-${A}\"]\n",
                                 {},
                                 {{"A", "one"}, {"B_2", "${A}"}},
                                 {}});
  CHECK(made.http.token == "one-${A}");
  CHECK(made.http.control_token == "${A}$");
  CHECK(made.worker.pipelines == texts{"p-one"});
  CHECK(problems_of({"[http]\ntoken = \"${NOPE}\"\n", {}, {}, {}}) ==
        texts{"t.toml:2: http.token: the environment has no variable NOPE"});
  CHECK(problems_of({"[http]\ntoken = \"${NOPE}${A}${NOR}${NOPE}\"\n", {}, {{"A", "one"}}, {}}) ==
        texts{"t.toml:2: http.token: the environment has no variables NOPE, NOR"});
  for (const auto* open : {"${", "${A", "${}", "${A-B}"}) {
    CHECK(problems_of({"[http]\ntoken = \"" + std::string(open) + "\"\n", {}, {}, {}}) ==
          texts{"t.toml:2: http.token: a ${ needs a variable's name and a }; a literal ${ is written $${"});
  }
}

TEST_CASE("a problem never shows what came from the environment into the file") {
  CHECK(problems_of({"[http]\nlisten = \"${SECRET}\"\n", {}, {{"SECRET", "hunter2"}}, {}}) ==
        texts{"t.toml:2: http.listen: is not valid with what the environment has for it; it takes: HOST:PORT"});
}

TEST_CASE("the configuration wins over what C++ composed, key by key") {
  const auto made = settings_of({"[[pipeline]]\nname = \"orders\"\n[pipeline.retry]\njitter = \"5ms\"\n"
                                 "[[pipeline.destination]]\nname = \"billing\"\nwindow = 50\n"
                                 "[[pipeline.destination]]\nname = \"audit\"\nurl = \"file:///tmp/a\"\n",
                                 {"pipeline.orders.destination.billing.timeout=3s"},
                                 {},
                                 {composed_orders()}});
  REQUIRE(made.pipelines.size() == 1);
  const auto& p = made.pipelines[0];
  CHECK(p.retry.max_attempts == 9);
  CHECK(p.retry.jitter == 5ms);
  CHECK(p.transforms == composed_orders().transforms);
  REQUIRE(p.destinations.size() == 2);
  CHECK(p.destinations[0].url == "http://built.in/");
  CHECK(p.destinations[0].batch == 7);
  CHECK(p.destinations[0].window == 50);
  CHECK(p.destinations[0].timeout == 3s);
  CHECK(p.destinations[1].name == "audit");
}

TEST_CASE("transforms in the file replace the composed ones") {
  const auto made = settings_of(
    {"[[pipeline]]\nname = \"orders\"\n[[pipeline.transform]]\nuse = \"identity\"\n", {}, {}, {composed_orders()}});
  REQUIRE(made.pipelines[0].transforms.size() == 1);
  CHECK(made.pipelines[0].transforms[0].use == "identity");
}

TEST_CASE("what C++ composed is held to the same bounds") {
  auto wrong = composed_orders();
  wrong.retry.max_attempts = 0;
  wrong.destinations[0].batch = 300;
  wrong.destinations[0].url.clear();
  CHECK(
    problems_of({"", {}, {}, {wrong}}) ==
    texts{
      "pipeline.orders.retry.max_attempts: 0 is below 1",
      "pipeline.orders.destination.billing.url: is missing, for example http://127.0.0.1:9100/billing (a function's: "
      "its database's); a destination that is pulled is not available in this version",
      "pipeline.orders.destination.billing.max_unsaved: max_unsaved (256) cannot be less than batch (300)"});
  CHECK(problems_of({"", {}, {}, {composed_orders(), composed_orders()}}) == texts{"pipeline.orders: is there twice"});
}

TEST_CASE("a destination that C++ composed as a function takes a database's URL, and no other does without a table") {
  auto composed = composed_orders();
  composed.destinations[0].in_transaction = true;
  const auto with_url = [&](const std::string& url) {
    composed.destinations[0].url = url;
    return problems_of({"", {}, {}, {composed}});
  };
  const std::string of_url = "pipeline.orders.destination.billing.url: ";
  CHECK(with_url("postgresql://h/books").empty());
  CHECK(with_url("http://h/") ==
        texts{of_url + "must be that of a PostgreSQL database: a function of this program takes "
                       "the messages, in a transaction there"});
  CHECK(with_url("postgresql://h/books?table=t") ==
        texts{of_url + "names a table, but a function of this program takes the messages: leave ?table= out"});
  composed.destinations[0].order = delivery_order::key;
  CHECK(
    with_url("postgresql://h/books") ==
    texts{"pipeline.orders.destination.billing.order: cannot be \"key\" for a function, which is called in one order"});
  composed.destinations[0].in_transaction = false;
  composed.destinations[0].order = delivery_order::total;
  CHECK(with_url("postgresql://h/books") ==
        texts{of_url + "names no table, for example postgresql://reseq@localhost/books?table=orders"});
}

TEST_CASE("a host's name is made to fit") {
  CHECK(fitted_name("db-1") == "db-1");
  CHECK(fitted_name("Web.Example.COM") == "web-example-com");
  CHECK(fitted_name("-_x") == "x");
  CHECK(fitted_name("") == "node");
  CHECK(fitted_name(std::string(200, 'a')) == std::string(63, 'a'));
}
