#include "ctl/options.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

namespace reseq::ctl {
namespace {

constexpr auto digits = "0123456789";
constexpr auto hex_digits = "0123456789abcdefABCDEF";
constexpr auto name_characters = "abcdefghijklmnopqrstuvwxyz0123456789_-";
constexpr auto token_characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";

constexpr auto footer = R"(
Examples:
  reseqctl status orders
  reseqctl send orders --id order-17 --type application/json order.json
  reseqctl messages orders 0:17
  reseqctl retry orders 0:17 --to billing

Environment:
  RESEQ_URL                 the supervisor, instead of --url
  RESEQ_HTTP_TOKEN          what `send` logs in with, instead of --token
  RESEQ_HTTP_CONTROL_TOKEN  what everything else logs in with, instead of --token

Start with `reseqctl status`; when something does not move, `reseqctl why`. COMMAND --help tells more of each.
Exit codes: 0 done, 1 the supervisor refused or cannot be reached, 2 bad usage.
)";

bool all_in(std::string_view text, std::string_view characters) {
  return !text.empty() && text.find_first_not_of(characters) == std::string_view::npos;
}

/// As CLI11 wants checks: empty, or what is wrong.
std::string check_name(const std::string& text) {
  if (all_in(text, name_characters) && text.size() <= 63 && text[0] != '_' && text[0] != '-') return {};
  return "\"" + text + "\" is no name: it takes 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit";
}

bool has_controls(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

std::string check_id(const std::string& text) {
  const bool ascii = std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; });
  const bool blank = text.starts_with(' ') || text.ends_with(' ');
  return ascii && !text.empty() && text.size() <= 255 && !blank
           ? ""
           : "an id is 1 to 255 printable ASCII characters, the first and the last no blank";
}

std::string check_message(const std::string& text) {
  return is_place(text) || check_id(text).empty()
           ? ""
           : "\"" + text + "\" names no message: it takes SHARD:POSITION, for example 0:17, or the message's id";
}

std::string check_value(const std::string& text) { return has_controls(text) ? "it holds a control character" : ""; }

std::string check_file(const std::string& text) { return text == "-" ? "" : CLI::ExistingFile(text); }

header read_header(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || !all_in(text.substr(0, equals), token_characters) || has_controls(text))
    throw CLI::ValidationError("--header", "\"" + text + "\" is no header: it takes NAME=VALUE");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void add_destinations(const std::string& text, std::vector<std::string>& to) {
  for (std::size_t from = 0; from <= text.size();) {
    const auto end = std::min(text.find(',', from), text.size());
    to.push_back(text.substr(from, end - from));
    if (const auto wrong = check_name(to.back()); !wrong.empty()) throw CLI::ValidationError("--to", wrong);
    from = end + 1;
  }
}

/// The subcommands, each with what it takes.
class grammar {
public:
  grammar(CLI::App& app, options& into, double& patience_s) : app_(app), into_(into), patience_s_(patience_s) {
    app.require_subcommand(1);
    app.fallthrough(); // --json may stand anywhere
    add_questions();
    add_send();
    add_operations();
  }

private:
  CLI::App* add(const char* name, command what, const char* purpose) {
    auto* made = app_.add_subcommand(name, purpose)->callback([this, what] { into_.what = what; });
    made->footer("As with every command: --url URL, --token TOKEN, --json; see reseqctl --help.");
    return made;
  }

  CLI::Option* pipeline(CLI::App* to) {
    return to->add_option("PIPELINE", into_.pipeline, "Its name")->check(check_name)->type_name("");
  }
  CLI::Option* destination(CLI::App* to) {
    return to->add_option("DESTINATION", into_.destination, "Its name")->check(check_name)->type_name("");
  }
  void message(CLI::App* to) {
    auto* const either =
      to->add_option("MESSAGE", into_.message, "SHARD:POSITION, as in its receipt, for example 0:17; or its id")
        ->check(check_message)
        ->type_name("");
    const auto take_id = [this](const std::string& id) {
      into_.message = id;
      into_.by_id = true;
    };
    to->add_option_function<std::string>("--id", take_id, "The message with this id, which may look like a place")
      ->check(check_id)
      ->excludes(either)
      ->type_name("ID");
  }

  /// Taken apart by hand: as a list, CLI11 would take what follows for more of it.
  void destinations(CLI::App* to, const char* purpose) {
    to->add_option_function<std::string>(
        "--to", [this](const std::string& text) { add_destinations(text, into_.to); }, purpose)
      ->type_name("NAME,NAME");
  }

  void add_questions() {
    auto* status = add("status", command::status, "How far each destination is, and what its head waits for");
    pipeline(status);
    destination(status);
    status->footer(status->get_footer() + R"(
ACCEPTED and SETTLED are sequences: the last one given, and the one up to which all is delivered, dropped, skipped or a
dead letter. LAG: messages not settled. PENDING, READY: of those in the window, without and with a result. HELD wait for
a person. HEAD: the oldest message, what it waits for, and for how long.)");
    auto* why = add("why", command::why, "For each destination that waits: for what, since when, and what to do");
    pipeline(why);
    destination(why);
    auto* messages = add("messages", command::messages, "Where one message stands");
    pipeline(messages)->required();
    message(messages);
    pipeline(add("held", command::held, "The messages that wait for a person"));
    pipeline(add("dead-letters", command::dead_letters, "The messages that were given up, and recorded"));
  }

  void add_send() {
    auto& out = into_.submission;
    auto* send = add("send", command::send, "Submits one message and prints its receipt");
    pipeline(send)->required();
    send->add_option("FILE", out.file, "The payload; - or nothing: standard input")->check(check_file)->type_name("");
    send->add_option("--id", out.id, "The message id; sent again, it is the same message (default: a new one)")
      ->check(check_id)
      ->type_name("ID");
    send->add_option("--key", out.key, "The ordering key")->check(check_value)->type_name("KEY");
    destinations(send, "Only these destinations (default: the pipeline's route)");
    send->add_option("--type", out.content_type, "The payload's media type")->check(check_value)->type_name("TYPE");
    send
      ->add_option_function<std::string>(
        "--header", [&out](const std::string& text) { out.headers.push_back(read_header(text)); },
        "A header: for routing, and for the destinations if the pipeline's carry names it; may be repeated")
      ->trigger_on_parse()
      ->type_name("NAME=VALUE");
    send->add_option("--patience", patience_s_, "How long to try again while the supervisor is away")
      ->check(CLI::Range(0.0, 86400.0).description(""))
      ->capture_default_str()
      ->type_name("SECONDS");
  }

  void add_operations() {
    auto* retry = add("retry", command::retry, "Tries a held message again, or all that are held");
    pipeline(retry)->required();
    message(retry);
    destinations(retry, "Only for these destinations");
    add_skip();
    auto* pause =
      add("pause", command::pause,
          "Stops deliveries, not the transforms of what the window holds; waits until nothing is under way");
    auto* resume =
      add("resume", command::resume, "Lets deliveries go on; a receiver that failed is asked at once, paused or not");
    for (auto* one : {pause, resume}) {
      pipeline(one)->required();
      one->add_option("DESTINATION", into_.to, "Its name, or several")->check(check_name)->type_name("");
      destinations(one, "The same");
    }
    auto* recover = add("recover", command::recover,
                        "Lets a pipeline that has diverged go on past what its journal has lost; shows how, with --yes "
                        "does it");
    pipeline(recover)->required();
    recover->add_flag("--yes", into_.yes, "Do it: what is shown is never given again");
    recover->add_flag("--take-over", into_.take_over,
                      "Also where a table or a stream belongs to another installation, whose journal is gone for good");
  }

  void add_skip() {
    auto* skip = add("skip", command::skip,
                     "Gives a held message up: it is never delivered, the others go on; without a message, shows what "
                     "--to holds now, and how to give that up");
    pipeline(skip)->required();
    message(skip);
    destinations(skip, "Only for these destinations");
    skip->add_flag("--yes", into_.agreed,
                   "Without a message: do it, nothing brings them back. =CODE, as the list ends with: what was shown, "
                   "or nothing if that has changed. =all: whatever is held");
    skip
      ->add_option_function<std::uint64_t>(
        "--until", [this](std::uint64_t last) { into_.until = sequence{last}; },
        "What is held up to this sequence, and what comes to be held there until all up to it is settled")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 53U).description(""))
      ->type_name("SEQUENCE");
    skip->footer(skip->get_footer() + R"(
In total order only the oldest message is held, and the next one that fails once that is given up: with --until, --yes
gives them up one after the other, for as long as the command runs.)");
  }

  CLI::App& app_;
  options& into_;
  double& patience_s_;
};

result<net::url> read_url(const std::string& text) {
  if (!text.starts_with("http://") && !text.starts_with("https://"))
    return fail(errc::invalid, "a supervisor's address starts with http://");
  auto parsed = net::parse_url(text);
  if (!parsed) return parsed;
  if (parsed->scheme != "http") return fail(errc::invalid, "only http:// is possible in this version");
  if (parsed->target.find('?') != std::string::npos) return fail(errc::invalid, "a supervisor's address has no query");
  parsed->target.erase(parsed->target.find_last_not_of('/') + 1);
  return parsed;
}

std::string first_of(const std::string& given, const std::string& otherwise) {
  return given.empty() ? otherwise : given;
}

/// Where there is help with it: at the command, if one was named.
early_exit usage_error(const CLI::App& app, const std::string& what) {
  const auto named = app.get_subcommands();
  const auto command = named.empty() ? "" : named.front()->get_name() + " ";
  return {2, {}, "reseqctl: " + what + "; see reseqctl " + command + "--help\n"};
}

/// "2-1f", as the list of what is held ends with, or "all".
bool is_agreement(std::string_view text) {
  const auto dash = text.find('-');
  return text == "all" || (dash != std::string_view::npos && all_in(text.substr(0, dash), digits) &&
                           all_in(text.substr(dash + 1), hex_digits));
}

/// `--yes CODE` instead of `--yes=CODE` would give up another message: the one with that id.
std::string check_skip_of_one(const options& parsed) {
  const auto& named = parsed.message;
  if (parsed.yes && !parsed.by_id && is_agreement(named)) {
    const auto meant =
      parsed.until ? "--yes stands alone beside --until" : "write --yes=" + named + ", without a blank";
    return "skip: " + named + " stands by itself and would be a message's id: " + meant +
           "; if that message is meant, --id " + named;
  }
  if (parsed.until) return "skip: --until goes without a message";
  if (!parsed.agreed.empty()) return "skip: --yes=" + parsed.agreed + " goes without a message";
  return {};
}

/// What is wrong about which messages are meant; empty: nothing.
std::string check_wish(const options& parsed) {
  if (parsed.what == command::messages && parsed.message.empty()) return "messages: name the message, or its --id";
  if ((parsed.what == command::pause || parsed.what == command::resume) && parsed.to.empty())
    return std::string{parsed.what == command::pause ? "pause" : "resume"} + ": name the destination, or several";
  if (parsed.what != command::skip) return {};
  if (!parsed.message.empty()) return check_skip_of_one(parsed);
  if (parsed.to.empty())
    return "skip: name a message, or with --to the destinations whose held messages are to be given up";
  if (parsed.until && parsed.to.size() != 1) return "skip: --until is a sequence of one destination, which --to names";
  if (parsed.until && !parsed.agreed.empty()) return "skip: --yes stands alone beside --until";
  if (!parsed.until && parsed.yes)
    return "skip: without --yes it shows what is held, and the --yes=… that gives up just that; --yes=all gives up "
           "whatever is held";
  return {};
}

} // namespace

bool is_place(const std::string& text) {
  const auto colon = text.find(':');
  return colon != std::string::npos && all_in(text.substr(0, colon), digits) && all_in(text.substr(colon + 1), digits);
}

std::variant<options, early_exit> parse(int argc, const char* const* argv, const environment& variable) {
  options parsed;
  std::string url;
  double patience_s = 30;
  CLI::App app("Asks and steers a running reseq-supervisor.", "reseqctl");
  app.add_option("--url", url, "The supervisor (default: http://127.0.0.1:8080)")->type_name("URL");
  app.add_option("--token", parsed.token, "Log in with this; the environment is the safer place for it")
    ->check(check_value)
    ->type_name("TOKEN");
  app.add_flag("--json", parsed.json, "Print what the API answers instead of text");
  app.set_version_flag("--version", "reseqctl " RESEQ_VERSION, "Print the version");
  app.set_help_flag("-h,--help", "Print this");
  app.footer(footer);
  const grammar commands(app, parsed, patience_s);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return early_exit{0, app.help(), {}};
  } catch (const CLI::CallForVersion&) {
    return early_exit{0, "reseqctl " RESEQ_VERSION "\n", {}};
  } catch (const CLI::ParseError& e) {
    const auto left = app.remaining();
    if (app.get_subcommands().empty() && !left.empty())
      return usage_error(app, "there is no command or option " + left[0]);
    return usage_error(app, e.what());
  }
  if (parsed.agreed == "true") { // what a flag without a value is given
    parsed.yes = true;
    parsed.agreed.clear();
  }
  if (const auto wrong = check_wish(parsed); !wrong.empty()) return usage_error(app, wrong);
  const auto address = first_of(url, first_of(variable("RESEQ_URL"), "http://127.0.0.1:8080"));
  auto read = read_url(address);
  if (!read) return usage_error(app, (url.empty() ? "RESEQ_URL: " : "--url: ") + read.error().what);
  parsed.url = std::move(*read);
  const auto* token = parsed.what == command::send ? "RESEQ_HTTP_TOKEN" : "RESEQ_HTTP_CONTROL_TOKEN";
  parsed.token = first_of(parsed.token, variable(token));
  parsed.submission.patience = std::chrono::duration_cast<duration>(std::chrono::duration<double>(patience_s));
  return parsed;
}

} // namespace reseq::ctl
