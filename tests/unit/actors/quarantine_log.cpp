#include "actors/quarantine_log.hpp"

#include <chrono>
#include <string>

#include "catch.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace std::chrono_literals;

namespace {

struct teller {
  /// "+1" for a beginning that is told, the first since, "-" for an end; of chain 2 with "2".
  std::string tell(const std::vector<core::quarantine_change>& news, duration at) {
    std::string said;
    for (const auto& [what, times] : log.tell(news, time_point{at}))
      said += (what.chain.value() == 2 ? "2" : "") + (what.quarantined ? "+" + std::to_string(times) : "-");
    return said;
  }

  quarantine_log log;
};

core::quarantine_change begins(std::uint32_t chain = 1) {
  return {core::pipeline_index{0}, core::chain_index{chain}, true};
}
core::quarantine_change ends(std::uint32_t chain = 1) {
  return {core::pipeline_index{0}, core::chain_index{chain}, false};
}

} // namespace

TEST_CASE("a quarantine and its end are told") {
  teller t;
  CHECK(t.tell({begins()}, 0s) == "+1");
  CHECK(t.tell({}, 500s) == "");
  CHECK(t.tell({ends()}, 501s) == "-");
  CHECK(t.tell({begins()}, 502s) == "+1");
}

TEST_CASE("a chain that goes in and out is told of once a minute, with how often") {
  teller t;
  std::string said;
  for (int i = 0; i < 61; ++i) {
    said += t.tell({begins()}, 2s * i);
    said += t.tell({ends()}, 2s * i + 1s);
  }
  CHECK(said == "+1-+30-+30-");
}

TEST_CASE("a quarantine that lasts is told once the minute is over, without another change") {
  teller t;
  CHECK(t.tell({begins()}, 0s) == "+1");
  CHECK(t.tell({ends(), begins()}, 1s) == "-");
  CHECK(t.tell({}, 59s) == "");
  CHECK(t.tell({}, 60s) == "+1");
  CHECK(t.tell({}, 61s) == "");
}

TEST_CASE("each chain has its own minute") {
  teller t;
  CHECK(t.tell({begins()}, 0s) == "+1");
  CHECK(t.tell({begins(2)}, 1s) == "2+1");
  CHECK(t.tell({ends(), ends(2)}, 2s) == "-2-");
}
