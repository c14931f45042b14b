/// What is logged while a test runs.
#pragma once

#include <memory>
#include <sstream>
#include <string>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

namespace reseq::test {

/// Takes warnings and worse from now on until its end.
class heard {
public:
  heard() {
    spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::ostream_sink_st>(said_)));
    spdlog::set_level(spdlog::level::warn);
  }
  ~heard() {
    spdlog::set_default_logger(before_);
    spdlog::set_level(spdlog::level::off);
  }
  heard(const heard&) = delete;
  heard& operator=(const heard&) = delete;

  [[nodiscard]] int times(const std::string& what) const {
    const auto text = said_.str();
    int found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
  }

  [[nodiscard]] std::string text() const { return said_.str(); }

private:
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::ostringstream said_;
};

} // namespace reseq::test
