#include "ctl/show.hpp"

#include <algorithm>
#include <utility>

#include "ctl/fields.hpp"
#include "ctl/text.hpp"

namespace reseq::ctl {
namespace {

using nlohmann::json;

constexpr std::size_t error_columns = 100; ///< in a table; `why` shows all of it

std::string ago_in(const json& object, const char* field, wall_time now) {
  const auto then = time_in(object, field);
  return then ? ago(*then, now) : "-";
}

std::string number_text(const json& object, const char* field) { return std::to_string(number_in(object, field)); }

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

/// "0:17 transform 3m 12s".
std::string head_text(const json& destination, wall_time now) {
  const auto& head = object_in(destination, "blocked_by");
  if (head.is_null()) return "-";
  auto made = place_in(head);
  if (made.empty()) made = "sequence " + number_text(head, "sequence");
  made += " " + text_in(head, "phase");
  if (const auto since = time_in(head, "since")) made += " " + span(now - *since);
  return made;
}

std::string meaning_of(const json& destination) {
  const auto state = text_in(destination, "state");
  if (state == "enrolled") return "in the journal, until the window reaches it";
  const auto& attempts = object_in(destination, "attempts");
  if (state == "pending" && attempts.contains("spent") && attempts["spent"] == true)
    return "failed for good; given up once all before it are settled";
  if (state == "pending") return "in the transforms, or waiting for a worker";
  if (state == "ready") return "transformed; waits for its turn";
  if (state == "sent") return "on its way to the receiver, or waiting to be sent again";
  if (state == "held") return "waits for a person: retry or skip";
  if (state == "settled") return "delivered, or dropped by a transform";
  if (state == "skipped") return "skipped by an operator";
  if (state == "dead_letter") return "given up, and recorded: dead-letters says why";
  return "";
}

std::string names_in(const json& object) {
  std::string made;
  if (object.is_object())
    for (const auto& [name, value] : object.items()) made += (made.empty() ? "" : ", ") + printable(name);
  return made;
}

std::string fields_text(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::size_t widest = 0;
  for (const auto& [name, value] : fields) widest = std::max(widest, name.size());
  std::string made;
  for (const auto& [name, value] : fields) made += name + std::string(widest + 2 - name.size(), ' ') + value + "\n";
  return made;
}

std::string attempts_text(const json& destination, wall_time now) {
  const auto& attempts = object_in(destination, "attempts");
  std::string made;
  for (const auto& one : list_in(attempts, "history")) made += "  " + show_attempt(one, now) + "\n";
  if (const auto next = time_in(attempts, "next_attempt")) made += "  next attempt " + until(*next, now) + "\n";
  return made.empty() ? made : "\nAttempts for " + text_in(destination, "destination") + ":\n" + made;
}

} // namespace

std::string show_pipelines(const std::vector<json>& pipelines, wall_time now) {
  constexpr auto right = align::right;
  table all({{"PIPELINE"},
             {"DESTINATION"},
             {"STATE"},
             {"ACCEPTED", right},
             {"SETTLED", right},
             {"LAG", right},
             {"PENDING", right},
             {"READY", right},
             {"HELD", right},
             {"HEAD"}});
  for (const auto& pipeline : pipelines) {
    const auto& destinations = list_in(pipeline, "destinations");
    if (destinations.empty()) all.add({text_in(pipeline, "name"), "-"});
    for (const auto& one : destinations)
      all.add({text_in(pipeline, "name"), text_in(one, "name"), text_in(one, "state"), number_text(one, "accepted"),
               number_text(one, "settled"), number_text(one, "lag"), number_text(one, "pending"),
               number_text(one, "ready"), number_text(one, "held"), head_text(one, now)});
  }
  return all.text();
}

std::string show_destination(const std::string& pipeline, const json& destination, wall_time now) {
  return fields_text({{"destination", pipeline + "/" + text_in(destination, "name")},
                      {"state", text_in(destination, "state")},
                      {"accepted", number_text(destination, "accepted")},
                      {"settled", number_text(destination, "settled")},
                      {"lag", number_text(destination, "lag")},
                      {"pending", number_text(destination, "pending")},
                      {"ready", number_text(destination, "ready")},
                      {"delivered", number_text(destination, "delivered") + " since the supervisor's start"},
                      {"redelivered", number_text(destination, "redelivered") + " since the supervisor's start"},
                      {"held", number_text(destination, "held")},
                      {"owner", text_in(destination, "owner") + ", epoch " + number_text(destination, "epoch")},
                      {"head", head_text(destination, now)}});
}

std::string show_message(const std::string& pipeline, const json& message, wall_time now) {
  auto made = fields_text({{"message", text_in(message, "id")},
                           {"place", place_in(message) + " in " + pipeline},
                           {"accepted", ago_in(message, "accepted", now)},
                           {"key", or_dash(text_in(message, "key"))},
                           {"type", or_dash(text_in(message, "content_type"))},
                           {"bytes", number_text(message, "bytes")},
                           {"headers", or_dash(names_in(object_in(message, "headers")))}});
  table places({{"DESTINATION"}, {"SEQUENCE", align::right}, {"STATE"}, {"MEANING"}});
  std::string attempts;
  for (const auto& one : list_in(message, "destinations")) {
    places.add({text_in(one, "destination"), number_text(one, "sequence"), text_in(one, "state"), meaning_of(one)});
    attempts += attempts_text(one, now);
  }
  return made + "\n" + places.text() + attempts;
}

std::string show_held(const std::vector<list_of>& held, wall_time now) {
  table all({{"PIPELINE"},
             {"DESTINATION"},
             {"MESSAGE"},
             {"SEQUENCE", align::right},
             {"REASON"},
             {"ATTEMPTS", align::right},
             {"HELD"},
             {"LAST ERROR"}});
  bool any = false;
  for (const auto& of : held)
    for (const auto& one : list_in(of.list, "held")) {
      any = true;
      all.add({of.pipeline, text_in(one, "destination"), place_in(one), number_text(one, "sequence"),
               text_in(one, "reason"), number_text(one, "attempts"), ago_in(one, "since", now),
               shortened(text_in(one, "last_error"), error_columns)});
    }
  return any ? all.text() : "Nothing is held.\n";
}

std::string show_dead_letters(const std::vector<list_of>& letters, wall_time now) {
  table all({{"PIPELINE"},
             {"DESTINATION"},
             {"MESSAGE"},
             {"SEQUENCE", align::right},
             {"ID"},
             {"BYTES", align::right},
             {"REASON"},
             {"ATTEMPTS", align::right},
             {"GIVEN UP"},
             {"LAST ERROR"}});
  bool any = false;
  for (const auto& of : letters)
    for (const auto& one : list_in(of.list, "dead_letters")) {
      any = true;
      all.add({of.pipeline, text_in(one, "destination"), place_in(one), number_text(one, "sequence"),
               text_in(one, "id"), number_text(one, "bytes"), text_in(one, "reason"), number_text(one, "attempts"),
               ago_in(one, "since", now), shortened(text_in(one, "last_error"), error_columns)});
    }
  return any ? all.text() : "There are no dead letters.\n";
}

std::string show_receipt(const std::string& pipeline, const json& receipt) {
  const auto duplicate = receipt.is_object() && receipt.value("duplicate", json()) == true;
  auto made = text_in(receipt, "id") + (duplicate ? " was accepted before, " : " is accepted, ");
  const auto& positions = list_in(receipt, "positions");
  if (positions.empty()) return made + "but goes to no destination of " + pipeline + "\n";
  made += "at";
  for (const auto& one : positions) made += " " + place_in(one);
  return made + " in " + pipeline + "\n";
}

std::string show_recovery(const std::string& pipeline, const json& recovery, bool take_over) {
  const bool done = recovery.is_object() && recovery.value("recovered", false);
  auto made = pipeline + " has diverged: " + text_in(recovery, "why") + "\n";
  made += done ? "It goes on" : "It would go on";
  made +=
    " under epoch " + number_text(recovery, "epoch") + ", after position " + number_text(recovery, "position") + ".\n";
  for (const auto& one : list_in(recovery, "missing")) {
    const auto from = number_in(one, "from");
    const auto to = number_in(one, "to");
    made += "  " + text_in(one, "destination") + ": " + counted(to - from + 1, "sequence") + ", " +
            std::to_string(from) + " to " + std::to_string(to) +
            (done ? ", recorded as lost\n" : ", would be recorded as lost\n");
  }
  if (take_over)
    made += done ? "What belonged to another installation is this one's now, and refused there.\n"
                 : "What belongs to another installation would be this one's, and refused there.\n";
  if (done) return made + "It is being started anew; `reseqctl status " + pipeline + "` shows how it goes on.\n";
  return made +
         "What these were, the journal does not know: if a later copy of it exists, stop, and restore that. Else "
         "`reseqctl recover " +
         pipeline + (take_over ? " --take-over" : "") + " --yes`.\n";
}

std::string show_attempt(const json& attempt, wall_time now) {
  auto made = "attempt " + number_text(attempt, "attempt") + " on worker " + or_dash(text_in(attempt, "worker"));
  if (attempt.value("hedge", false)) made += " (a further copy)";
  made += ": ";
  const auto started = time_in(attempt, "started");
  const auto ended = time_in(attempt, "ended");
  if (!ended) {
    made += "runs";
    if (started) made += " since " + span(now - *started);
  } else {
    made += text_in(attempt, "outcome");
    if (started) made += " after " + span(*ended - *started);
    made += ", " + ago(*ended, now);
  }
  const auto error = text_in(attempt, "error");
  return error.empty() ? made : made + ": " + error;
}

} // namespace reseq::ctl
