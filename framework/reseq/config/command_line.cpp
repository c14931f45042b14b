#include "reseq/config/command_line.hpp"

#include <CLI/CLI.hpp>

#include "reseq/config/reference.hpp"

namespace reseq::config {
namespace {

constexpr int usage_error = 2;

std::string help_text(const CLI::App& app) {
  return app.help() +
         "Keys of the configuration, for FILE and --set (members of lists by name, for example\n"
         "--set pipeline.orders.destination.billing.window=64):\n\n" +
         options_help();
}

} // namespace

std::variant<command_line, early_exit> parse_command_line(const program& who, int argc, const char* const* argv) {
  command_line parsed;
  CLI::App app(who.purpose, who.name);
  app.add_option("--config", parsed.config, "Read the configuration from this TOML file")->type_name("FILE");
  // Collected one by one: as a list, CLI11 would take several values for one --set.
  app
    .add_option_function<std::string>(
      "--set", [&parsed](const std::string& one) { parsed.sets.push_back(one); },
      "Set one key; wins over the file and the environment; may be repeated")
    ->type_name("KEY=VALUE")
    ->trigger_on_parse();
  app.add_flag("--check-config", parsed.check_config, "Print every problem of the configuration and start nothing");
  app.set_version_flag("--version", who.name + " " + who.version, "Print the version");
  app.set_help_flag("-h,--help", "Print this");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return early_exit{0, help_text(app), {}};
  } catch (const CLI::CallForVersion&) {
    return early_exit{0, who.name + " " + who.version + "\n", {}};
  } catch (const CLI::ParseError& e) {
    return early_exit{usage_error, {}, who.name + ": " + e.what() + "; see " + who.name + " --help\n"};
  }
  return parsed;
}

} // namespace reseq::config
