#include "reseq/config/command_line.hpp"

#include "catch.hpp"

using namespace reseq::config;

namespace {

const program supervisor{"reseq-supervisor", "Accepts, orders and delivers.", "1.2.3"};

std::variant<command_line, early_exit> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "/usr/bin/whatever");
  return parse_command_line(supervisor, static_cast<int>(words.size()), words.data());
}

command_line parsed(const std::vector<const char*>& words) { return std::get<command_line>(parse(words)); }
early_exit refused(const std::vector<const char*>& words) { return std::get<early_exit>(parse(words)); }

} // namespace

TEST_CASE("a command line names a file, keys and whether to check only") {
  const auto all = parsed({"--config", "a.toml", "--set", "x=1", "--check-config", "--set=y=[1, 2]", "--set", "[a]"});
  CHECK(all.config == "a.toml");
  CHECK(all.sets == std::vector<std::string>{"x=1", "y=[1, 2]", "[a]"});
  CHECK(all.check_config);
  const auto none = parsed({});
  CHECK(none.config.empty());
  CHECK(none.sets.empty());
  CHECK_FALSE(none.check_config);
}

TEST_CASE("help and version are printed and end the program well") {
  const auto version = refused({"--version"});
  CHECK(version.code == 0);
  CHECK(version.out == "reseq-supervisor 1.2.3\n");
  const auto help = refused({"--help"});
  CHECK(help.code == 0);
  CHECK(help.out.find("--check-config") != std::string::npos);
  CHECK(help.out.find("node.drain_timeout = \"10s\"") != std::string::npos);
  CHECK(help.err.empty());
}

TEST_CASE("bad usage ends with 2 and says what was not understood") {
  const auto unknown = refused({"--confg", "a"});
  CHECK(unknown.code == 2);
  CHECK(unknown.out.empty());
  CHECK(unknown.err.find("reseq-supervisor: ") == 0);
  CHECK(unknown.err.find("--confg") != std::string::npos);
  CHECK(refused({"stray"}).code == 2);
  CHECK(refused({"--set"}).code == 2);
  CHECK(refused({"--config"}).code == 2);
  CHECK(refused({"--set", "a=1", "b=2"}).code == 2);
}
