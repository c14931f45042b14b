/// Loading from text, and problems as lines, for the tests of the configuration.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "reseq/config/load.hpp"

namespace reseq::config::test {

struct input {
  std::string file; ///< the file's text; problems call it "t.toml"
  std::vector<std::string> sets;
  std::map<std::string, std::string> environment;
  std::vector<pipeline_settings> composed;
  std::vector<std::string> transforms = {};
  role reader = role::none;
  std::function<complaint(std::string_view)> check_redis = {};
  std::function<complaint(std::string_view)> check_stream = {};
  std::function<complaint(std::string_view)> check_postgres = {};
};

loaded load_text(const input& from);

/// Each problem's text, without any other.
std::vector<std::string> problems_of(const input& from);

std::vector<std::string> warnings_of(const input& from);

/// Asserts that there are no problems.
settings settings_of(const input& from);

/// A file of the repository's `conf` folder.
std::string conf_path(const std::string& name);

} // namespace reseq::config::test
