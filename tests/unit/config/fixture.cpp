#include "fixture.hpp"

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <stdlib.h>

#include "catch.hpp"

namespace reseq::config::test {
namespace {

/// A folder that lives as long as the program.
class scratch {
public:
  scratch() : path_((std::filesystem::temp_directory_path() / "reseq-config-XXXXXX").string()) {
    if (!mkdtemp(path_.data())) throw std::runtime_error("no temporary folder");
  }
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;

  [[nodiscard]] std::string file() const { return path_ + "/t.toml"; }

private:
  std::string path_;
};

} // namespace

loaded load_text(const input& from) {
  static const scratch folder;
  std::ofstream(folder.file(), std::ios::binary) << from.file;
  auto made = load({folder.file(), from.sets, from.environment, from.transforms, from.reader, from.check_redis,
                    from.check_stream, from.check_postgres},
                   from.composed);
  for (auto* all : {&made.problems, &made.warnings}) {
    for (auto& one : *all) {
      if (one.file == folder.file()) one.file = "t.toml";
    }
  }
  return made;
}

std::vector<std::string> problems_of(const input& from) {
  std::vector<std::string> texts;
  for (const auto& problem : load_text(from).problems) texts.push_back(problem.text());
  return texts;
}

std::vector<std::string> warnings_of(const input& from) {
  std::vector<std::string> texts;
  for (const auto& warning : load_text(from).warnings) texts.push_back(warning.text());
  return texts;
}

settings settings_of(const input& from) {
  auto made = load_text(from);
  for (const auto& problem : made.problems) UNSCOPED_INFO(problem.text());
  REQUIRE(made.problems.empty());
  return std::move(made.value);
}

std::string conf_path(const std::string& name) { return std::string{RESEQ_CONF "/"} + name; }

} // namespace reseq::config::test
