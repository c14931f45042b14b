#include "run/logging.hpp"

#include <memory>
#include <string_view>

#include <nlohmann/json.hpp>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace reseq::apps {
namespace {

/// The message as a JSON string; the rest of the line is the pattern's.
class json_text : public spdlog::custom_flag_formatter {
public:
  void format(const spdlog::details::log_msg& what, const std::tm&, spdlog::memory_buf_t& to) override {
    const std::string text(what.payload.data(), what.payload.size());
    const auto quoted = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    to.append(quoted.data(), quoted.data() + quoted.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<json_text>(); }
};

/// The message on one line, whatever it quotes: transforms, receivers and producers are quoted.
class one_line : public spdlog::custom_flag_formatter {
public:
  void format(const spdlog::details::log_msg& what, const std::tm&, spdlog::memory_buf_t& to) override {
    constexpr std::string_view hex = "0123456789abcdef";
    for (const char c : std::string_view(what.payload.data(), what.payload.size())) {
      const auto code = static_cast<unsigned char>(c);
      if (c == '\t' || (code >= 0x20 && code != 0x7f)) {
        to.push_back(c == '\t' ? ' ' : c);
        continue;
      }
      for (const char part : {'\\', 'x', hex[code >> 4U], hex[code & 15U]}) to.push_back(part);
    }
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<one_line>(); }
};

} // namespace

void start_logging(const config::log_settings& settings, const char* program) {
  auto logger = std::make_shared<spdlog::logger>(program, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (settings.format == "json") {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<json_text>('*').set_pattern(
      R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","program":"%n","pid":%P,"message":%*})");
    logger->set_formatter(std::move(formatter));
  } else {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<one_line>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %n[%P] %l: %*");
    logger->set_formatter(std::move(formatter));
  }
  logger->set_level(spdlog::level::from_str(settings.level));
  logger->flush_on(spdlog::level::trace); // a line that is lost in a crash is the one that was needed
  spdlog::set_default_logger(std::move(logger));
}

} // namespace reseq::apps
