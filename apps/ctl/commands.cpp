#include "ctl/commands.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "ctl/fields.hpp"
#include "ctl/show.hpp"
#include "ctl/skip.hpp"
#include "ctl/text.hpp"
#include "ctl/why.hpp"

namespace reseq::ctl {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

/// A pause waits for what is under way, a whole request to a slow receiver.
constexpr auto longest_operation = 120s;

/// `skip --until` waits for messages that are not held, as long as anything moves within this: an attempt, and the
/// pause before the next, may take a minute each.
constexpr auto longest_rest = 150s;
constexpr auto between_looks = 50ms;
constexpr auto silent_rest = 1s; ///< after that, it says what it waits for

/// As a query takes it.
std::string percent_encoded(const std::string& text) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string made;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (plain.find(c) == std::string_view::npos)
      made += {'%', hex[byte >> 4U], hex[byte & 15U]};
    else
      made += c;
  }
  return made;
}

std::string line_of(const json& what) { return what.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

class commands {
public:
  commands(const options& what, const surroundings& outside) : what_(what), outside_(outside) {}

  [[nodiscard]] result<std::string> status() const {
    if (!what_.destination.empty())
      return shown(get(destination_path(what_.pipeline, what_.destination)),
                   [&](const json& one) { return show_destination(what_.pipeline, one, now()); });
    return shown(get(pipelines_path()), [&](const json& answer) {
      const auto all = pipelines_in(answer);
      return show_pipelines(all, now()) + in_a_paragraph(explain_journal(journal_of(all), now()));
    });
  }

  [[nodiscard]] result<std::string> why() const {
    const auto answer = get(pipelines_path());
    if (!answer) return tl::unexpected(answer.error());
    const auto pipelines = pipelines_in(*answer);
    const auto found = waiting(pipelines);
    if (!found) return tl::unexpected(found.error());
    const auto journal = journal_of(pipelines);
    if (what_.json) return line_of({{"journal", journal}, {"waiting", *found}});
    auto made = explain_journal(journal, now());
    for (const auto& one : *found)
      made += (made.empty() ? "" : "\n") + explain(text_in(one, "pipeline"), one, object_in(one, "hold"), now());
    return made.empty() ? "Nothing waits.\n" : made;
  }

  [[nodiscard]] result<std::string> message() const {
    return shown(get(is_by_place() ? message_path(what_.message) : id_path()),
                 [&](const json& one) { return show_message(what_.pipeline, one, now()); });
  }

  [[nodiscard]] result<std::string> held() const {
    return listed(
      "held", [&](const std::string& pipeline) { return get(held_path(pipeline)); }, show_held);
  }

  [[nodiscard]] result<std::string> dead_letters() const {
    return listed(
      "dead_letters", [&](const std::string& pipeline) { return all_dead_letters(pipeline); }, show_dead_letters);
  }

  [[nodiscard]] result<std::string> send() const {
    auto payload = read_input();
    if (!payload) return tl::unexpected(payload.error());
    const auto request = submission(what_, std::move(*payload));
    const auto receipt =
      submit(outside_.supervisor, request, what_.submission.patience, outside_.time, outside_.notice);
    if (!receipt) return tl::unexpected(receipt.error());
    return shown(read_object(*receipt), [&](const json& one) { return show_receipt(what_.pipeline, one); });
  }

  [[nodiscard]] result<std::string> retry() const {
    if (!what_.message.empty())
      return shown(operate_message("retry"), [&](const json& done) {
        return name_in(done) + " is tried again for " + counted(number_in(done, "changed"), "destination") + "\n";
      });
    const auto show = [](const json& done) {
      const auto changed = number_in(done, "changed");
      return changed == 0 ? "Nothing is held.\n" : counted(changed, "held message") + " will be tried again\n";
    };
    if (what_.to.empty()) return shown(post(held_path(what_.pipeline) + "/retry", ""), show);
    return shown(wanted_held().and_then([&](const json& list) { return operate_held("retry", list); }), show);
  }

  [[nodiscard]] result<std::string> skip() const {
    if (what_.message.empty()) return skip_held();
    return shown(operate_message("skip"), [&](const json& done) {
      return name_in(done) + " is given up for " + counted(number_in(done, "changed"), "destination") + "\n";
    });
  }

  [[nodiscard]] result<std::string> pause() const {
    return operate_destinations("pause", " is paused and nothing is under way\n");
  }

  [[nodiscard]] result<std::string> resume() const { return operate_destinations("resume", " is no longer paused\n"); }

  [[nodiscard]] result<std::string> recover() const {
    json wish = json::object();
    if (!what_.yes) wish["dry_run"] = true;
    if (what_.take_over) wish["take_over"] = true;
    return shown(post("/v1/pipelines/" + what_.pipeline + "/recover", wish.empty() ? "" : wish.dump()),
                 [&](const json& one) { return show_recovery(what_.pipeline, one, what_.take_over); });
  }

private:
  [[nodiscard]] wall_time now() const { return outside_.clock(); }

  [[nodiscard]] bool is_by_place() const { return !what_.by_id && is_place(what_.message); }

  [[nodiscard]] result<json> get(const std::string& path) const {
    return call_json(outside_.supervisor, {"GET", path});
  }

  [[nodiscard]] result<json> post(const std::string& path, std::string body) const {
    return call_json(outside_.supervisor, {"POST", path, {}, std::move(body), longest_operation});
  }

  template <class Show>
  [[nodiscard]] result<std::string> shown(const result<json>& answer, Show show) const {
    if (!answer) return tl::unexpected(answer.error());
    return what_.json ? line_of(*answer) : show(*answer);
  }

  [[nodiscard]] std::string pipelines_path() const {
    return what_.pipeline.empty() ? "/v1/pipelines" : "/v1/pipelines/" + what_.pipeline;
  }
  [[nodiscard]] std::string message_path(const std::string& place) const {
    return "/v1/pipelines/" + what_.pipeline + "/messages/" + place;
  }
  [[nodiscard]] std::string id_path() const {
    return "/v1/pipelines/" + what_.pipeline + "/messages?id=" + percent_encoded(what_.message);
  }
  static std::string held_path(const std::string& pipeline) { return "/v1/pipelines/" + pipeline + "/held"; }
  static std::string destination_path(const std::string& pipeline, const std::string& destination) {
    return "/v1/pipelines/" + pipeline + "/destinations/" + destination;
  }

  /// All pipelines, or the one that was asked for.
  [[nodiscard]] std::vector<json> pipelines_in(const json& answer) const {
    if (!what_.pipeline.empty()) return {answer};
    const auto& list = list_in(answer, "pipelines");
    return {list.begin(), list.end()};
  }

  /// What one pipeline has of something, or each.
  template <class Ask, class Show>
  [[nodiscard]] result<std::string> listed(const char* what, Ask ask, Show show) const {
    if (!what_.pipeline.empty())
      return shown(ask(what_.pipeline), [&](const json& list) { return show({{what_.pipeline, list}}, now()); });
    const auto pipelines = get(pipelines_path());
    if (!pipelines) return tl::unexpected(pipelines.error());
    std::vector<list_of> all;
    json lists = json::array();
    for (const auto& one : pipelines_in(*pipelines)) {
      const auto name = text_in(one, "name");
      auto list = ask(name);
      if (!list) return tl::unexpected(list.error());
      lists.push_back({{"name", name}, {what, list_in(*list, what)}});
      all.push_back({name, std::move(*list)});
    }
    return what_.json ? line_of({{"pipelines", std::move(lists)}}) : show(all, now());
  }

  /// The API gives them by pages.
  [[nodiscard]] result<json> all_dead_letters(const std::string& pipeline) const {
    json all = json::array();
    const auto path = "/v1/pipelines/" + pipeline + "/dead-letters?limit=1000";
    for (std::string after;;) {
      const auto page = get(path + after);
      if (!page) return page;
      for (const auto& one : list_in(*page, "dead_letters")) all.push_back(one);
      const auto next = text_in(*page, "next");
      if (next.empty()) return json{{"dead_letters", std::move(all)}};
      after = "&after=" + next;
    }
  }

  /// What keeps the journal from being written, or null. A supervisor's pipelines share it.
  static json journal_of(const std::vector<json>& pipelines) {
    return pipelines.empty() ? json() : object_in(pipelines.front(), "journal");
  }

  static std::string in_a_paragraph(const std::string& text) { return text.empty() ? text : "\n" + text; }

  [[nodiscard]] std::string wanted_destinations() const {
    return what_.to.empty() ? "" : json{{"destinations", what_.to}}.dump();
  }

  /// Each destination that waits, with "pipeline" and "hold" added. Attempts are only told of one destination at a
  /// time.
  [[nodiscard]] result<json> waiting(const std::vector<json>& pipelines) const {
    json all = json::array();
    bool found = what_.destination.empty();
    for (const auto& pipeline : pipelines) {
      const auto name = text_in(pipeline, "name");
      for (const auto& one : list_in(pipeline, "destinations")) {
        const auto destination = text_in(one, "name");
        if (!what_.destination.empty() && destination != what_.destination) continue;
        found = true;
        if (!waits(one)) continue;
        auto details = get(destination_path(name, destination));
        if (!details) return details;
        if (!waits(*details)) continue; // it has moved meanwhile
        auto hold = hold_of(name, *details);
        if (!hold) return hold;
        (*details)["pipeline"] = name;
        (*details)["hold"] = std::move(*hold);
        all.push_back(std::move(*details));
      }
    }
    if (!found)
      return fail(errc::invalid, "pipeline " + what_.pipeline + " has no destination " + what_.destination +
                                   "; `reseqctl status " + what_.pipeline + "` lists those that it has");
    return all;
  }

  /// The record of the destination's head being held, or null.
  [[nodiscard]] result<json> hold_of(const std::string& pipeline, const json& destination) const {
    const auto& head = object_in(destination, "blocked_by");
    if (text_in(head, "phase") != "held") return json();
    auto list = get(held_path(pipeline));
    if (!list) return list;
    for (const auto& one : list_in(*list, "held"))
      if (text_in(one, "destination") == text_in(destination, "name") &&
          number_in(one, "sequence") == number_in(head, "sequence"))
        return one;
    return json();
  }

  /// An id is looked up first: operations are on places.
  [[nodiscard]] result<json> operate_message(const std::string& verb) const {
    auto place = what_.message;
    if (!is_by_place()) {
      const auto found = get(id_path());
      if (!found) return found;
      place = place_in(*found);
    }
    return post(message_path(place) + "/" + verb, wanted_destinations());
  }

  /// All of them are known before anything is done to the first.
  [[nodiscard]] result<std::string> operate_destinations(const std::string& verb, const std::string& outcome) const {
    if (what_.to.size() > 1)
      for (const auto& one : what_.to)
        if (auto known = get(destination_path(what_.pipeline, one)); !known) return tl::unexpected(known.error());
    std::string made;
    for (const auto& one : what_.to) {
      auto done = shown(post(destination_path(what_.pipeline, one) + "/" + verb, ""),
                        [&](const json&) { return what_.pipeline + "/" + one + outcome; });
      if (!done && what_.to.size() > 1) done.error().what = one + ": " + done.error().what;
      if (!done) return done;
      made += *done;
    }
    return made;
  }

  /// What was asked for, and what else the supervisor calls it.
  [[nodiscard]] std::string name_in(const json& done) const {
    const auto id = text_in(done, "id");
    const auto place = place_in(done);
    return id.empty() || place.empty() ? what_.message : id + " (" + place + ")";
  }

  /// The held messages of the destinations that were named, up to the last one if that was named.
  [[nodiscard]] result<json> wanted_held() const {
    for (const auto& one : what_.to)
      if (auto known = get(destination_path(what_.pipeline, one)); !known) return known;
    return held_there();
  }

  /// The same, where it is known that there are such destinations.
  [[nodiscard]] result<json> held_there() const {
    const auto list = get(held_path(what_.pipeline));
    if (!list) return list;
    json wanted = json::array();
    for (const auto& one : list_in(*list, "held"))
      if (std::find(what_.to.begin(), what_.to.end(), text_in(one, "destination")) != what_.to.end() &&
          (!what_.until || number_in(one, "sequence") <= what_.until->value()))
        wanted.push_back(one);
    return json{{"held", std::move(wanted)}};
  }

  /// The API retries all that is held, or single messages, and skips single ones. Where none could be, the last reason
  /// is the answer.
  [[nodiscard]] result<json> operate_held(const std::string& verb, const json& list) const {
    std::uint64_t changed = 0;
    std::optional<error> refused;
    for (const auto& one : list_in(list, "held")) {
      auto done = post(message_path(place_in(one)) + "/" + verb,
                       json{{"destinations", json::array({text_in(one, "destination")})}}.dump());
      if (done)
        changed += number_in(*done, "changed");
      else if (done.error().code == errc::conflict) // somebody else was faster, or the pipeline has diverged
        refused = done.error();
      else {
        if (changed > 0) done.error().what += "; " + counted(changed, "message") + " had been done before";
        return done;
      }
    }
    if (changed == 0 && refused) return tl::unexpected(std::move(*refused));
    return json{{"changed", changed}};
  }

  [[nodiscard]] result<std::string> skip_held() const {
    if (what_.until) return what_.yes ? skip_until() : preview_until();
    auto list = wanted_held();
    if (!list) return tl::unexpected(std::move(list.error()));
    if (what_.agreed.empty()) return shown(list, [&](const json& held) { return show_skip(what_, held, now()); });
    if (what_.agreed != "all") list = agreed_part(*list);
    return shown(list.and_then([&](const json& agreed) { return operate_held("skip", agreed); }),
                 [](const json& done) { return show_given_up(number_in(done, "changed")); });
  }

  /// What was held when the code was shown, if all of it still is.
  [[nodiscard]] result<json> agreed_part(const json& list) const {
    const auto all = oldest_first(list_in(list, "held"));
    for (std::size_t count = 1; count <= all.size(); ++count)
      if (const std::span shown_then{all.data(), count}; code_of(shown_then) == what_.agreed)
        return json{{"held", std::vector<json>(shown_then.begin(), shown_then.end())}};
    return fail(errc::conflict, "what is held is not what was shown with " + what_.agreed +
                                  ", and nothing is done; look again with `" + skip_call(what_) + "`");
  }

  [[nodiscard]] result<std::string> preview_until() const {
    const auto status = get(destination_path(what_.pipeline, what_.to.front()));
    if (!status) return tl::unexpected(status.error());
    return shown(held_there(), [&](const json& held) { return show_skip_until(what_, held, *status, now()); });
  }

  /// One after the other: in total order a message that fails is held once all before it have been given up.
  [[nodiscard]] result<std::string> skip_until() const {
    const auto path = destination_path(what_.pipeline, what_.to.front());
    auto status = get(path);
    if (!status) return tl::unexpected(std::move(status.error()));
    const auto last = std::min(what_.until->value(), number_in(*status, "accepted"));
    std::uint64_t changed = 0;
    bool told = false;
    auto settled = number_in(*status, "settled");
    auto moved = outside_.time.now();
    while (settled < last) {
      auto done = held_there().and_then([&](const json& list) { return operate_held("skip", list); });
      if (done) status = get(path);
      if (!done || !status) return given_up_before(std::move(done ? status.error() : done.error()), changed);
      const auto given_up = number_in(*done, "changed");
      const auto before = std::exchange(settled, number_in(*status, "settled"));
      changed += given_up;
      if (given_up > 0 || settled > before) {
        moved = outside_.time.now();
        continue;
      }
      if (outside_.time.now() - moved >= longest_rest) return given_up_before(rests_at(*status), changed);
      if (outside_.time.now() - moved >= silent_rest && !std::exchange(told, true))
        outside_.notice(say_what_is_waited_for(what_, *status));
      outside_.time.sleep(between_looks);
    }
    return shown(result<json>{json{{"changed", changed}}},
                 [&](const json&) { return show_given_up_until(what_, changed, *status); });
  }

  [[nodiscard]] error rests_at(const json& status) const {
    return {errc::unavailable,
            what_.to.front() + " waits at sequence " + std::to_string(number_in(status, "settled") + 1) +
              ", which is not held; `reseqctl why " + what_.pipeline + " " + what_.to.front() + "` says for what",
            {}};
  }

  static result<std::string> given_up_before(error why, std::uint64_t changed) {
    if (changed > 0) why.what += "; " + counted(changed, "held message") + " had been given up before";
    return tl::unexpected(std::move(why));
  }

  [[nodiscard]] result<std::string> read_input() const {
    const auto& path = what_.submission.file;
    if (path == "-") return read_payload(outside_.input);
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail(errc::unavailable, std::string{"cannot be opened: "} + std::strerror(errno), path);
    auto payload = read_payload(file);
    if (!payload) payload.error().where = path;
    return payload;
  }

  const options& what_;
  const surroundings& outside_;
};

} // namespace

result<std::string> run(const options& what, const surroundings& outside) {
  const commands all(what, outside);
  switch (what.what) {
  case command::status: return all.status();
  case command::why: return all.why();
  case command::messages: return all.message();
  case command::send: return all.send();
  case command::held: return all.held();
  case command::dead_letters: return all.dead_letters();
  case command::retry: return all.retry();
  case command::skip: return all.skip();
  case command::pause: return all.pause();
  case command::resume: return all.resume();
  case command::recover: return all.recover();
  }
  return fail(errc::internal, "there is no such command");
}

} // namespace reseq::ctl
