#include <algorithm>

#include <caf/send.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "actors/api/gather.hpp"
#include "actors/api/http_api.hpp"
#include "reseq/model/counted.hpp"

namespace reseq::actors {
namespace {

using nlohmann::json;

net::http_response changed_response(std::uint64_t changed) {
  return api::json_response(200, json{{"changed", changed}}.dump());
}

/// What contradicts a lane's state is 409 here; for submissions it would be 422.
net::http_response operation_problem(const error& what) {
  return what.code == errc::conflict ? api::problem_response(wire::make_problem(409, what.text()))
                                     : api::error_response(what);
}

/// `{"destinations":["billing"]}`; an empty body means all.
result<std::optional<std::vector<std::string>>> wanted_destinations(const std::string& body) {
  if (body.empty()) return std::nullopt;
  const auto parsed = json::parse(body, nullptr, false);
  const auto malformed = [] {
    return fail(errc::invalid, R"(the body is empty or {"destinations":["NAME",…]})", "destinations");
  };
  if (!parsed.is_object() || parsed.size() != 1 || !parsed.contains("destinations")) return malformed();
  const auto& list = parsed["destinations"];
  if (!list.is_array() || !std::ranges::all_of(list, [](const json& one) { return one.is_string(); }))
    return malformed();
  return list.get<std::vector<std::string>>();
}

struct wanted_recovery {
  bool dry_run = false;
  bool take_over = false;
};

/// `{"dry_run":true,"take_over":true}`; what is not there is false.
result<wanted_recovery> read_wanted_recovery(const std::string& body) {
  wanted_recovery wanted;
  if (body.empty()) return wanted;
  const auto malformed = [] {
    return fail(errc::invalid, R"(the body is empty or {"dry_run":true,"take_over":true}, or one of both)", "dry_run");
  };
  const auto parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object() || parsed.empty()) return malformed();
  for (const auto& [name, value] : parsed.items()) {
    if ((name != "dry_run" && name != "take_over") || !value.is_boolean()) return malformed();
    (name == "dry_run" ? wanted.dry_run : wanted.take_over) = value.get<bool>();
  }
  return wanted;
}

json recovery_json(const api_pipeline& of, const store::recovery& how, bool recovered) {
  json missing = json::array();
  for (const auto& [destination, range] : how.missing)
    missing.push_back(
      {{"destination", of.name_of(destination)}, {"from", range.first.value()}, {"to", range.last.value()}});
  return {{"recovered", recovered},
          {"why", how.why},
          {"epoch", how.owner.value()},
          {"position", how.last.value()},
          {"missing", std::move(missing)}};
}

std::string label_of(const api_pipeline& of, destination_id which) { return of.name + "/" + of.name_of(which); }

/// What operators change leaves a trace, once it is durable.
void log(const api_pipeline& of, const core::enrolment& place, operate::kind what, const store::stored_message& about) {
  spdlog::info("destination {}: message {} (0:{}, sequence {}) is {} by an operator", label_of(of, place.destination),
               about.message->id(), about.at.value(), place.seq.value(),
               what == operate::kind::retry ? "tried again" : "skipped");
}

/// Adds up what each destination changed of a message. Only if none could, the first reason is the answer.
net::http_response sum_up(const store::stored_message& about, const std::vector<result<std::uint64_t>>& outcomes) {
  std::uint64_t changed = 0;
  const error* first = nullptr;
  for (const auto& one : outcomes) {
    if (one)
      changed += *one;
    else if (!first)
      first = &one.error();
  }
  if (changed > 0 || !first)
    return api::json_response(
      200,
      json{{"changed", changed}, {"id", about.message->id()}, {"shard", 0}, {"position", about.at.value()}}.dump());
  auto why = *first;
  why.where = "message " + about.message->id() + " (0:" + std::to_string(about.at.value()) + "), " + why.where;
  return operation_problem(why);
}

} // namespace

void http_api::operate_message(const api_pipeline& of, const api::route& where, const net::http_request& request,
                               const net::responder& answer) {
  if (auto trouble = journal_trouble()) return answer(std::move(*trouble)); // it would be done once that is over
  auto wanted = wanted_destinations(request.body);
  if (!wanted) return answer(api::error_response(wanted.error()));
  if (*wanted)
    for (const auto& label : **wanted)
      if (!of.destinations.contains(label))
        return answer(api::problem_response(
          wire::make_problem(422, "pipeline " + of.name + " has no destination " + label, "destinations")));
  const auto what = where.what == api::endpoint::retry_message ? operate::kind::retry : operate::kind::skip;
  auto use = [&of, what, answer, wanted = *wanted](const result<std::optional<store::stored_message>>& found) {
    if (!found) return answer(api::error_response(found.error()));
    if (!*found) return answer(api::problem_response(wire::make_problem(404, "there is no message at this position")));
    std::vector<core::enrolment> places;
    for (const auto& place : (*found)->enrolled)
      if (!wanted || std::ranges::find(*wanted, of.name_of(place.destination)) != wanted->end())
        places.push_back(place);
    if (places.empty())
      return answer(api::problem_response(wire::make_problem(409, "the message goes to none of these destinations")));
    api::gather<std::uint64_t>(
      places.size(),
      [&](std::size_t i, reply<std::uint64_t> done) {
        caf::anon_send(of.actor, operate{what, places[i].destination, places[i].seq, std::move(done)});
      },
      [&of, what, places, answer, about = **found](const std::vector<result<std::uint64_t>>& outcomes) {
        for (std::size_t i = 0; i < outcomes.size(); ++i)
          if (outcomes[i] && *outcomes[i] > 0) log(of, places[i], what, about);
        answer(sum_up(about, outcomes));
      });
  };
  caf::anon_send(setup_.reader,
                 ask_message{of.shard, where.at, {}, reply<std::optional<store::stored_message>>(std::move(use))});
}

void http_api::operate_destination(const api_pipeline& of, destination_id which, operate::kind what,
                                   const net::responder& answer) {
  if (auto trouble = journal_trouble()) return answer(std::move(*trouble));
  auto done = [&of, which, what, answer](const result<std::uint64_t>& outcome) {
    if (outcome)
      spdlog::info("destination {}: {} by an operator", label_of(of, which),
                   what == operate::kind::pause ? "paused" : "resumed");
    answer(outcome ? changed_response(*outcome) : operation_problem(outcome.error()));
  };
  caf::anon_send(of.actor, operate{what, which, std::nullopt, reply<std::uint64_t>(std::move(done))});
}

void http_api::retry_all_held(const api_pipeline& of, const net::responder& answer) {
  if (auto trouble = journal_trouble()) return answer(std::move(*trouble));
  std::vector<destination_id> all;
  for (const auto& [label, id] : of.destinations) all.push_back(id);
  api::gather<std::uint64_t>(
    all.size(),
    [&](std::size_t i, reply<std::uint64_t> done) {
      caf::anon_send(of.actor, operate{operate::kind::retry, all[i], std::nullopt, std::move(done)});
    },
    [&of, all, answer](const std::vector<result<std::uint64_t>>& outcomes) {
      for (std::size_t i = 0; i < outcomes.size(); ++i)
        if (const auto count = outcomes[i].value_or(0); count > 0)
          spdlog::info("destination {}: {} tried again by an operator", label_of(of, all[i]),
                       counted(count, "held message") + (count == 1 ? " is" : " are"));
      std::uint64_t changed = 0;
      for (const auto& one : outcomes) {
        if (!one) return answer(operation_problem(one.error()));
        changed += *one;
      }
      answer(changed_response(changed));
    });
}

/// Another pipeline that is known here alone would come back without what it gave.
void http_api::restart_after(const api_pipeline& recovered) {
  setup_.measured->diverged.recovered(recovered.name);
  const auto others = setup_.measured->diverged.known_here_alone();
  if (others.empty()) return setup_.restart();
  spdlog::warn("pipeline {} runs again once pipeline {} is recovered, too: what that one gave is known to this process "
               "alone",
               recovered.name, *others.begin());
}

/// The pipeline runs again when everything has been opened anew, which begins once this is answered.
void http_api::recover_pipeline(const api_pipeline& of, const net::http_request& request,
                                const net::responder& answer) {
  const auto wanted = read_wanted_recovery(request.body);
  if (!wanted) return answer(api::error_response(wanted.error()));
  auto use = [this, &of, answer, dry = wanted->dry_run](const result<store::recovery>& how) {
    if (!how) return answer(operation_problem(how.error()));
    answer(api::json_response(200, recovery_json(of, *how, !dry).dump()));
    if (dry) return;
    spdlog::warn("pipeline {} is recovered, under epoch {}, after position {}", of.name, how->owner.value(),
                 how->last.value());
    restart_after(of);
  };
  recover wish{of.shard, wanted->dry_run, reply<store::recovery>(std::move(use))};
  wish.take_over = wanted->take_over;
  caf::anon_send(of.actor, std::move(wish));
}

} // namespace reseq::actors
