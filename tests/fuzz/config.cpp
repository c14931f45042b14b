#include <algorithm>
#include <map>
#include <string>

#include "reseq/config/expand.hpp"
#include "reseq/config/file.hpp"
#include "reseq/config/findings.hpp"
#include "reseq/config/overrides.hpp"
#include "reseq/config/policy.hpp"
#include "reseq/config/units.hpp"
#include "targets.hpp"

namespace reseq::fuzz {
namespace {

using namespace config;

const std::map<std::string, std::string> environment = {{"A", "value"}, {"SECRET", "h-u-s-h${A}"}, {"EMPTY", ""}};

const source from = {"f.toml", {}, environment, {"delay", "identity", "twice"}, role::supervisor};

settings composed() {
  settings all;
  pipeline_settings orders;
  orders.name = "orders";
  orders.transforms = {{"delay", "", {}}, {"twice", "", {}}, {"twice", "2", {}}};
  destination_settings billing;
  billing.name = "billing";
  billing.url = "http://127.0.0.1:1/";
  billing.transforms = {{"identity", "", {}}};
  orders.destinations = {billing};
  all.pipelines = {orders};
  return all;
}

/// Problems stand in a log and on a terminal: one line each, without what steers a terminal.
void check_problems(findings&& found) {
  for (const auto& one : std::move(found).sorted()) {
    require(!one.what.empty(), "a problem says what is wrong");
    require(std::ranges::none_of(one.text(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }),
            "a problem is one line without control characters");
  }
}

void run_sets(std::string_view input) {
  std::vector<std::string> sets;
  while (!input.empty() && sets.size() < 8) {
    const auto line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(line.size() + 1, input.size()));
    sets.emplace_back(line);
  }
  auto into = composed();
  findings found;
  apply_sets(sets, into, found);
  require(into.pipelines.size() == 1 && into.pipelines[0].destinations.size() == 1, "a key adds no member");
  require(into.pipelines[0].name == "orders", "a key renames no member");
  check_policy(into, from, found);
  check_problems(std::move(found));
}

void run_file(std::string_view input) {
  auto into = composed();
  findings found;
  if (!read_document(input, "f.toml", environment, into, found)) {
    require(into == composed(), "a file that is no TOML changes nothing");
    return check_problems(std::move(found));
  }
  check_policy(into, from, found);
  check_problems(std::move(found));
}

void run_expand(std::string_view input) {
  const auto expanded = expand(input, environment);
  if (input.find("${") == std::string_view::npos) require(expanded == std::string(input), "plain text stays");
  std::string literal;
  for (auto rest = input; !rest.empty();) {
    const auto open = std::min(rest.find("${"), rest.size());
    literal.append(rest.substr(0, open)).append(open < rest.size() ? "$${" : "");
    rest.remove_prefix(std::min(open + 2, rest.size()));
  }
  require(expand(literal, environment) == std::string(input), "any text can be written literally");
  if (!expanded) require(expanded.error().find("h-u-s-h") == std::string::npos, "an error shows no value");
}

void run_units(std::string_view input) {
  if (const auto time = parse_duration(input)) {
    require(*time >= duration::zero(), "a duration is not negative");
    require(parse_duration(format_duration(*time)) == *time, "a duration reads back from its text");
  }
  if (const auto size = parse_size(input)) require(parse_size(format_size(*size)) == *size, "so does a size");
}

} // namespace

std::vector<target> config_targets() {
  return {
    {"config-set",
     run_sets,
     {"node.drain_timeout=5s\nhttp.max_message=\"2MiB\"\nhttp.token=x\n",
      "pipeline.orders.destination.billing.window=64",
      "pipeline.orders.transform.delay.max=1h\npipeline.orders.transform.twice.version=1",
      "pipeline.orders.carry=[\"a\",\"b*\"]\npipeline.orders.carry=a,b\npipeline.none.retry.jitter=1s", "=", "a",
      "node=1", "pipeline.orders.destination.billing.when.ce-type=order.*", "pipeline.orders.retry.multiplier=nan"}},
    {"config-file",
     run_file,
     {"[node]\nname = \"a\"\ndrain_timeout = \"${A}\"\n[[pipeline]]\nname = \"orders\"\n[pipeline.retry]\ntimeout = "
      "\"2s\"\n"
      "[[pipeline.destination]]\nname = \"billing\"\nurl = \"http://h/\"\nwhen = { \"ce-type\" = \"a*\" }\nbatch = 7\n",
      "[[pipeline]]\nname = \"p\"\n[[pipeline.transform]]\nuse = \"delay\"\nmin = \"1ms\"\nfail_rate = 0.5\n",
      "pipeline = 1\n\"\\u0007\" = 2\n[http]\nlisten = 3\nx.y = 1979-05-27\n"}},
    {"config-text", run_expand, {"${A}", "a$${b}${EMPTY}c$", "${SECRET}${", "$$${A}", "${no such}"}},
    {"units",
     run_units,
     {"750ms", "16MiB", "292y", "9223372036854775807ns", "9223372036854775808ns", "1.5s", "0B", "8388607TiB"}},
  };
}

} // namespace reseq::fuzz
