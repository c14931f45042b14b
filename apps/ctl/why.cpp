#include "ctl/why.hpp"

#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "ctl/fields.hpp"
#include "ctl/show.hpp"
#include "ctl/text.hpp"

namespace reseq::ctl {
namespace {

using nlohmann::json;

constexpr std::string_view worker_died = "its worker died"; // how the error begins that the supervisor notes then
constexpr const char* find_crash =
  "correct the transform that kills its worker (the log of the supervisor says by which signal its own worker ended, "
  "whoever started another one knows of that; a core dump shows where)";

constexpr const char* waits_for_answer = "nothing yet; a receiver that does not answer within the destination's "
                                         "timeout is asked again. If it never does, see what it is at.";

/// What everything below is told about.
struct stuck {
  const std::string& pipeline;
  std::string name;
  const json& destination;
  const json& head; ///< null: only paused
  const json& hold;
  std::string phase;
  wall_time now;

  [[nodiscard]] bool paused() const { return text_in(destination, "state") == "paused"; }
  [[nodiscard]] std::uint64_t attempts() const { return number_in(head, "attempts"); }
  [[nodiscard]] const json& history() const { return list_in(head, "history"); }
  [[nodiscard]] std::string last_error() const { return text_in(head, "last_error"); }
};

bool runs_now(const stuck& s) {
  for (const auto& one : s.history())
    if (text_in(one, "outcome") == "running") return true;
  return false;
}

std::string first_line(const stuck& s) {
  auto made = s.pipeline + "/" + s.name;
  if (s.head.is_null()) return made + " is paused; nothing waits there.";
  const auto number = "sequence " + std::to_string(number_in(s.head, "sequence"));
  const auto id = text_in(s.head, "id");
  const auto place = place_in(s.head);
  made += " waits for " + (id.empty() ? number : "message " + id + " (" + place + ", " + number + ")");
  if (s.head.contains("key")) made += s.head["key"].is_null() ? ", without a key" : ", key " + text_in(s.head, "key");
  if (const auto since = time_in(s.head, "since")) made += ", for " + span(s.now - *since);
  return made + ".";
}

std::string held_text(const stuck& s) {
  const auto reason = text_in(s.hold, "reason");
  std::string why = "it is held for a person to decide";
  if (reason == "exhausted") why = "its transforms used up their attempts, so it is held for a person to decide";
  if (reason == "permanent")
    why = "its transforms said that trying again is no use, so it is held for a person to decide";
  if (reason == "refused") why = "the receiver refused it for good, so it is held for a person to decide";
  if (reason == "dead_letters")
    why = "too many messages before it, in a row, were given up as dead letters, so it is held for a person to decide";
  if (const auto since = time_in(s.hold, "since")) why += "; since " + span(s.now - *since);
  return why;
}

bool is(const stuck& s, const char* what) {
  const auto found = s.head.find(what);
  return found != s.head.end() && *found == true;
}

bool is_quarantined(const stuck& s) { return is(s, "quarantined"); }

/// It waits for nothing but that somebody begins with it.
bool is_due(const stuck& s) {
  return !is_quarantined(s) && !is(s, "suspect") && !runs_now(s) && !time_in(s.head, "next_attempt");
}
bool is_suspect_that_waits(const stuck& s) { return is(s, "suspect") && !runs_now(s) && !is_quarantined(s); }
bool has_no_worker(const stuck& s) {
  const bool waits = is_due(s) || (is_suspect_that_waits(s) && !time_in(s.head, "next_attempt"));
  return waits && s.head.contains("workers") && number_in(s.head, "workers") == 0;
}
bool slots_hang(const stuck& s) {
  return (is_due(s) || is_suspect_that_waits(s)) && number_in(s.head, "hanging_slots") > 0;
}
/// Every worker that could begin with it is kept for messages that may kill their worker.
bool workers_are_apart(const stuck& s) {
  const auto apart = number_in(s.head, "workers_apart");
  return is_due(s) && apart > 0 && apart == number_in(s.head, "workers");
}

std::string hanging_text(const stuck& s) {
  return "of " + counted(number_in(s.head, "slots"), "slot") + " of its workers, " +
         std::to_string(number_in(s.head, "hanging_slots")) +
         " hang, taken by attempts that have timed out and do not end";
}

std::string suspect_text(const stuck& s) {
  const std::string why = "it was at work on two workers that died, and ";
  if (has_no_worker(s)) return why + "no worker that has its transforms has joined since";
  return why + "waits for a worker of its own, which shows whether it kills it" +
         (slots_hang(s) ? "; " + hanging_text(s) : "");
}

std::string apart_text(const stuck& s) {
  const auto workers = number_in(s.head, "workers");
  return (workers == 1 ? std::string{"the only worker that has its transforms is"}
                       : "all " + std::to_string(workers) + " workers that have its transforms are") +
         " kept for messages that were at work on two workers that died, each of which may kill it; the others wait "
         "until it is known which one does";
}

std::string transform_text(const stuck& s) {
  if (is_quarantined(s))
    return "its transforms killed the workers of several messages, so all run by themselves, and rest after each death";
  if (runs_now(s))
    return std::string{"its transforms are working on it"} +
           (is(s, "suspect") ? ", on a worker that is kept for such messages: it was at work on two workers that "
                               "died"
                             : "");
  if (time_in(s.head, "next_attempt")) return "its transforms failed, and the next attempt waits for its time";
  if (is(s, "suspect")) return suspect_text(s);
  if (has_no_worker(s)) return "no worker that has its transforms has joined";
  if (workers_are_apart(s)) return apart_text(s);
  if (slots_hang(s)) return "it waits for a free slot: " + hanging_text(s);
  return "it waits for a worker with a free slot";
}

std::string delivery_text(const stuck& s) {
  if (const auto asked = time_in(s.head, "asked_at"))
    return "it was sent " + ago(*asked, s.now) + ", and the receiver has not answered yet";
  if (s.paused()) return "it is ready, and is not sent while the destination is paused";
  if (!s.last_error().empty()) return "the receiver did not take it";
  return "it is ready, and is sent";
}

/// What the head itself waits for.
std::string phase_text(const stuck& s) {
  if (s.phase == "held") return held_text(s);
  if (s.phase == "transform") return transform_text(s);
  if (s.phase == "delivery") return delivery_text(s);
  if (s.phase == "saving") return "what became of it, or of those before it, is being saved in the journal";
  if (s.phase == "reading") return "it is being read from the journal";
  return "its phase is " + s.phase;
}

std::string cause_text(const stuck& s) {
  const bool says_so = !s.paused() || s.phase == "delivery";
  return (says_so ? "" : "the destination is paused, and nothing is sent; meanwhile ") + phase_text(s);
}

std::string attempts_text(const stuck& s) {
  std::string made;
  if (s.phase == "delivery" && s.attempts() > 0)
    made += "It was sent " + counted(s.attempts(), "time") + (time_in(s.head, "asked_at") ? ", with this one." : ".");
  else if (s.attempts() > 0)
    made += counted(s.attempts(), "attempt") + " failed.";
  if (!s.last_error().empty()) made += (made.empty() ? "" : " ") + std::string{"The last error: "} + s.last_error();
  if (!made.empty()) made = "  " + made + "\n";
  for (const auto& one : s.history()) made += "    " + show_attempt(one, s.now) + "\n";
  const bool sent_then = s.phase != "delivery" || !s.paused();
  if (const auto next = time_in(s.head, "next_attempt"); next && sent_then)
    made += "  The next attempt: " + until(*next, s.now) + ".\n";
  return made;
}

std::string behind_text(const stuck& s) {
  const auto ready = number_in(s.head, "ready_behind");
  auto made = ready == 0 ? "Nothing is ready behind it"
                         : counted(ready, "message") + (ready == 1 ? " is" : " are") + " ready behind it";
  const auto lag = number_in(s.destination, "lag");
  return "  " + made + "; " + counted(lag, "message") + (lag == 1 ? " is" : " are") + " not settled, with this one.\n";
}

/// With order by key: the other keys do not wait for this one.
std::string keys_text(const stuck& s) {
  if (!s.destination.contains("parked_keys")) return {};
  const auto& keys = list_in(s.destination, "oldest_keys");
  std::string made = keys.size() > 1 ? "  Other keys do not wait for it; where some of them are:\n"
                                     : "  Other keys do not wait for it.\n";
  for (std::size_t i = 1; i < keys.size(); ++i) {
    const auto key = text_in(keys[i], "key");
    made += "    " + (key.empty() ? std::string{"no key"} : "key " + key) + ": sequence " +
            std::to_string(number_in(keys[i], "sequence")) + ", " + text_in(keys[i], "phase") + "\n";
  }
  if (const auto parked = number_in(s.destination, "parked_keys"); parked > 0)
    made += "  " + counted(parked, "key") + (parked == 1 ? " waits" : " wait") + " outside of the window.\n";
  return made;
}

std::string call_text(const char* command, const stuck& s) {
  return std::string{"`reseqctl "} + command + " " + s.pipeline + " " + place_in(s.head) + " --to " + s.name + "`";
}

std::string held_advice(const stuck& s) {
  const auto reason = text_in(s.hold, "reason");
  const bool by_transforms = reason == "exhausted" || reason == "permanent";
  const bool crashed = by_transforms && s.last_error().starts_with(worker_died);
  const auto* correct = crashed         ? find_crash
                        : by_transforms ? "correct what the error names"
                                        : "correct what made the receiver refuse";
  return std::string{correct} + ", then " + call_text("retry", s) + "; or give the message up here with " +
         call_text("skip", s) + ".";
}

std::string transform_advice(const stuck& s) {
  if (is_quarantined(s))
    return std::string{find_crash} + "; until then its messages go on by themselves, slowly, and what kills workers is "
                                     "held, or recorded as a dead "
                                     "letter, after its last attempt.";
  if (runs_now(s) && s.attempts() == 0)
    return "nothing yet; an attempt that hangs is given to another worker when its time is over.";
  if (runs_now(s) || time_in(s.head, "next_attempt"))
    return "nothing, if the error passes: it is tried again by itself, and held after its last attempt. Else correct "
           "what the error names.";
  if (is(s, "suspect") && !has_no_worker(s) && !slots_hang(s))
    return "nothing yet; what kills a worker that has nothing else has failed an attempt, and is held in the end.";
  if (workers_are_apart(s))
    return "nothing, or start another reseq-worker, which lets the others go on meanwhile; what kills a worker that "
           "has nothing else has failed an attempt, and is held in the end.";
  if (slots_hang(s))
    return "correct the transform that hangs; a worker is told to end, and started again, once all of its slots hang, "
           "or the half that a pipeline may have of it.";
  return "see that a reseq-worker runs, reaches this supervisor, and has the transforms of " + s.pipeline +
         "; its log says so if not.";
}

std::string advice_text(const stuck& s) {
  if (s.paused())
    return "`reseqctl resume " + s.pipeline + " " + s.name + "` when deliveries may go on." +
           (s.phase == "held" ? " Besides, " + held_advice(s) : "");
  if (s.phase == "held") return held_advice(s);
  if (s.phase == "transform") return transform_advice(s);
  if (s.phase == "delivery" && !s.last_error().empty() && !time_in(s.head, "asked_at"))
    return "correct what the error names, most often at the receiver; it is tried again for as long as it takes, and "
           "nothing is lost or overtakes it; `reseqctl resume " +
           s.pipeline + " " + s.name + "` has it tried at once.";
  if (s.phase == "delivery") return waits_for_answer;
  return "nothing yet; if this lasts, see the supervisor's log and the room on its disk.";
}

} // namespace

std::string explain_journal(const json& trouble, wall_time now) {
  if (trouble.is_null()) return {};
  const auto since = time_in(trouble, "since");
  const auto made = "The journal cannot be written" + (since ? ", for " + span(now - *since) : std::string{}) +
                    ": producers are refused, and what is delivered is not saved.\n  Cause: ";
  if (const auto hangs = trouble.find("hangs"); hangs != trouble.end() && *hangs == true)
    return made + "it hangs: its server or its disk does not answer, or another session keeps locked what is to be "
                  "written.\n  To do: see that the server answers, and in PostgreSQL who keeps whom waiting "
                  "(conf/sql/stuck.sql); once that is over, everything goes on by itself.\n";
  return made + text_in(trouble, "last_error") +
         ".\n  To do: correct what the error names; it is tried again by itself, and then everything goes on.\n";
}

bool waits(const json& destination) {
  const auto state = text_in(destination, "state");
  return !object_in(destination, "blocked_by").is_null() || state == "paused" || state == "diverged";
}

std::string explain(const std::string& pipeline, const json& destination, const json& hold, wall_time now) {
  if (text_in(destination, "state") == "diverged")
    return pipeline + "/" + text_in(destination, "name") +
           " is stopped: its pipeline has diverged.\n  Cause: " + text_in(destination, "reason") +
           ".\n  To do: if a later copy of the journal exists, restore that; else, unless the cause says what to do, "
           "`reseqctl recover " +
           pipeline + "` shows how it can go on.\n";
  const auto& head = object_in(destination, "blocked_by");
  const stuck s{pipeline, text_in(destination, "name"), destination, head, hold, text_in(head, "phase"), now};
  auto made = first_line(s) + "\n";
  if (!head.is_null()) made += "  Cause: " + cause_text(s) + ".\n" + attempts_text(s) + behind_text(s) + keys_text(s);
  return made + "  To do: " + advice_text(s) + "\n";
}

} // namespace reseq::ctl
