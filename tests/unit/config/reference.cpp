#include "reseq/config/reference.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "catch.hpp"
#include "fixture.hpp"
#include "reseq/config/options.hpp"

using namespace reseq;
using namespace reseq::config;
using namespace reseq::config::test;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

} // namespace

TEST_CASE("conf/reference.toml is what the table of options says") {
  const auto path = conf_path("reference.toml");
  if (std::getenv("RESEQ_TEST_WRITE_REFERENCE")) std::ofstream(path, std::ios::binary) << reference_toml();
  INFO("run RESEQ_TEST_WRITE_REFERENCE=1 test-config to write it anew");
  CHECK(content_of(path) == reference_toml());
}

TEST_CASE("loading the reference yields the defaults") {
  const auto made = load({conf_path("reference.toml"), {}, {}});
  for (const auto& problem : made.problems) UNSCOPED_INFO(problem.text());
  REQUIRE(made.problems.empty());
  auto expected = load({}).value;
  auto& p = expected.pipelines.emplace_back();
  p.name = "orders";
  p.transforms.emplace_back().use = "delay";
  auto& d = p.destinations.emplace_back();
  d.name = "billing";
  d.url = "http://127.0.0.1:9100/billing";
  d.transforms.emplace_back().use = "identity";
  CHECK((made.value == expected));
}

TEST_CASE("the table's defaults are those of a pipeline that C++ composes") {
  CHECK((presets<pipeline_settings>() == pipeline_settings{}));
  CHECK((presets<destination_settings>() == destination_settings{}));
  CHECK((presets<transform_settings>() == transform_settings{}));
}

TEST_CASE("the help has every key with its default") {
  const auto help = options_help();
  CHECK(help.find("  node.drain_timeout = \"10s\"\n") != std::string::npos);
  CHECK(help.find("  pipeline.destination.max_pending = 1_000_000\n") != std::string::npos);
  CHECK(help.find("  pipeline.destination.url\n") != std::string::npos);
}

TEST_CASE("the configurations to start from load without problems") {
  for (const auto* file : {"embedded.toml", "postgres.toml", "worker.toml"}) {
    const auto made = load({conf_path(file), {}, {}});
    for (const auto& problem : made.problems) UNSCOPED_INFO(problem.text());
    CHECK(made.problems.empty());
    CHECK(made.value.pipelines.size() == 1);
  }
}
