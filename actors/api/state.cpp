#include <algorithm>
#include <charconv>

#include <caf/send.hpp>

#include "actors/api/gather.hpp"
#include "actors/api/http_api.hpp"
#include "actors/api/json.hpp"
#include "reseq/wire/json.hpp"

namespace reseq::actors {

using nlohmann::json;

namespace {

using statuses = std::vector<core::destination_status>;

/// Whether the dispatcher knows of what was asked for.
bool is_known(const result<std::optional<named_task_status>>& task) { return task && *task; }

std::string dump(const json& what) {
  return what.dump(-1, ' ', false, json::error_handler_t::replace); // errors of transforms may be any bytes
}

json destination_json(const api_setup& setup, const api_pipeline& of, const core::destination_status& status) {
  auto made = api::to_json(of, status);
  made["owner"] = setup.node;
  return made;
}

/// Null while it can be written.
json journal_json(const api_setup& setup) {
  const auto trouble = setup.measured->journal.look(std::chrono::steady_clock::now());
  if (!trouble) return nullptr;
  return {
    {"last_error", trouble->what}, {"since", api::timestamp(api::to_wall(trouble->since))}, {"hangs", trouble->hangs}};
}

json pipeline_json(const api_setup& setup, const api_pipeline& of, const statuses& all) {
  json destinations = json::array();
  for (const auto& one : all) destinations.push_back(destination_json(setup, of, one));
  return {{"name", of.name},
          {"shards", 1},
          {"owner", setup.node},
          {"epoch", of.owner.value()},
          {"journal", journal_json(setup)},
          {"destinations", std::move(destinations)}};
}

/// Which chain makes what `destination` gets.
core::chain_index chain_of(const api_pipeline& of, destination_id destination) {
  return core::chain_index{of.own_chains.contains(destination) ? destination.value() : 0};
}

/// Which dead letters: `?limit=N&after=DESTINATION/SEQUENCE`. A destination that is no longer configured is a number.
struct letters_page {
  std::uint32_t limit = 100;
  std::optional<core::enrolment> after;
};

constexpr std::uint32_t most_letters = 1000;

template <class Number>
bool read_number(std::string_view text, Number& into) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), into);
  return failed == std::errc{} && end == text.data() + text.size();
}

/// No name begins so: behind it stands the number of a destination that has left the configuration.
constexpr char left = '~';

std::string cursor_of(const api_pipeline& of, core::enrolment last) {
  auto label = of.name_of(last.destination);
  if (label.empty()) label = left + std::to_string(last.destination.value());
  return label + "/" + std::to_string(last.seq.value());
}

std::optional<destination_id> destination_in_cursor(const api_pipeline& of, std::string_view label) {
  if (const auto known = of.destinations.find(std::string(label)); known != of.destinations.end()) return known->second;
  std::uint32_t number = 0;
  if (!label.starts_with(left) || !read_number(label.substr(1), number)) return std::nullopt;
  return destination_id{number};
}

result<letters_page> page_of(const api_pipeline& of, std::string_view query) {
  letters_page page;
  while (!query.empty()) {
    const auto one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(one.size() + 1, query.size()));
    const auto name = one.substr(0, one.find('='));
    const auto value = one.substr(std::min(name.size() + 1, one.size()));
    if (name == "limit") {
      if (!read_number(value, page.limit) || page.limit < 1 || page.limit > most_letters)
        return fail(errc::invalid, "takes a number from 1 to " + std::to_string(most_letters), "limit");
    } else if (name == "after") {
      const auto label = value.substr(0, value.find('/'));
      const auto which = destination_in_cursor(of, label);
      std::uint64_t seq = 0;
      if (!which || !read_number(value.substr(std::min(label.size() + 1, value.size())), seq))
        return fail(errc::invalid, "takes a destination of this pipeline and a sequence, as \"next\" says them",
                    "after");
      page.after = core::enrolment{*which, sequence{seq}};
    } else {
      return fail(errc::invalid, "there is no such parameter; there are limit and after", std::string(name));
    }
  }
  return page;
}

} // namespace

void http_api::list_pipelines(const net::responder& answer) {
  api::gather<statuses>(
    setup_.pipelines.size(),
    [&](std::size_t i, reply<statuses> done) {
      caf::anon_send(setup_.pipelines[i].actor, ask_status{std::nullopt, std::move(done)});
    },
    [this, answer](const std::vector<result<statuses>>& all) {
      json list = json::array();
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (!all[i]) return answer(api::error_response(all[i].error()));
        list.push_back(pipeline_json(setup_, setup_.pipelines[i], *all[i]));
      }
      answer(api::json_response(200, dump({{"pipelines", std::move(list)}})));
    });
}

void http_api::show_pipeline(const api_pipeline& of, const net::responder& answer) {
  caf::anon_send(of.actor, ask_status{std::nullopt, reply<statuses>([this, &of, answer](const result<statuses>& all) {
                                        if (!all) return answer(api::error_response(all.error()));
                                        answer(api::json_response(200, dump(pipeline_json(setup_, of, *all))));
                                      })});
}

/// Of a held message whose key is parked, or that has not been read yet since the start, the shard knows only the
/// place: its id is in the journal.
void http_api::name_heads(const api_pipeline& of, core::destination_status status,
                          std::function<void(const core::destination_status&)> then) {
  using message = std::optional<store::stored_message>;
  std::vector<position> unnamed;
  const auto note = [&](const core::blocked_by& head) {
    if (head.message_id.empty() && head.at != position{}) unnamed.push_back(head.at);
  };
  std::ranges::for_each(status.heads, note);
  if (status.head && status.heads.empty()) note(*status.head);
  api::gather<message>(
    unnamed.size(),
    [&](std::size_t i, reply<message> done) {
      caf::anon_send(setup_.reader, ask_message{of.shard, unnamed[i], {}, std::move(done)});
    },
    [status = std::move(status), then = std::move(then)](const std::vector<result<message>>& found) mutable {
      for (const auto& one : found) {
        if (!one || !*one) continue;
        const auto name = [&](core::blocked_by& head) {
          if (head.at == (*one)->at) head.message_id = (*one)->message->id();
        };
        std::ranges::for_each(status.heads, name);
        if (status.head) name(*status.head);
      }
      then(status);
    });
}

/// What the dispatcher knows of the head belongs into `blocked_by`: one question after the other.
void http_api::show_destination(const api_pipeline& of, destination_id which, const net::responder& answer) {
  const auto ask_dispatcher = [this, &of, answer](const core::destination_status& status) {
    auto made = destination_json(setup_, of, status);
    if (!status.head || (status.head->phase != "transform" && status.head->phase != "held"))
      return answer(api::json_response(200, dump(made)));
    const bool held = status.head->phase == "held";
    const auto add_attempts = [made, answer](const result<std::optional<named_task_status>>& task) mutable {
      if (is_known(task)) {
        const auto attempts = api::to_json(**task);
        auto& head = made["blocked_by"];
        head["attempts"] = attempts["failed"];
        for (const auto* field : {"last_error", "next_attempt", "history", "quarantined", "suspect", "workers",
                                  "workers_apart", "slots", "hanging_slots"})
          head[field] = attempts[field];
      }
      answer(api::json_response(200, dump(made)));
    };
    caf::anon_send(setup_.dispatcher, ask_task{{of.index, status.head->at, status.head->chain},
                                               held,
                                               reply<std::optional<named_task_status>>(add_attempts)});
  };
  caf::anon_send(of.actor,
                 ask_status{which, reply<statuses>([this, &of, answer, ask_dispatcher](const result<statuses>& one) {
                              if (!one) return answer(api::error_response(one.error()));
                              name_heads(of, one->front(), ask_dispatcher);
                            })});
}

namespace {

/// Of headers that came several times, the list of their values.
json headers_json(const header_list& headers) {
  json made = json::object();
  for (const auto& [name, value] : headers) {
    auto& slot = made[name];
    if (slot.is_null())
      slot = value;
    else
      slot = slot.get<std::string>() + ", " + value;
  }
  return made;
}

json message_json(const store::stored_message& found) {
  return {{"shard", 0},
          {"position", found.at.value()},
          {"id", found.message->id()},
          {"key", found.message->key().empty() ? json(nullptr) : json(found.message->key())},
          {"content_type", found.message->content_type()},
          {"bytes", found.message->payload().size()},
          {"headers", headers_json(found.message->headers())},
          {"accepted", api::timestamp(found.accepted)},
          {"destinations", json::array()}};
}

/// `?id=…`, percent-encoded as far as a query wants it.
result<std::string> wanted_id(std::string_view query) {
  constexpr std::string_view name = "id=";
  const auto malformed = [] { return fail(errc::invalid, "takes ?id=ID, the message's, percent-encoded", "id"); };
  if (!query.starts_with(name) || query.size() == name.size() || query.find('&') != std::string_view::npos)
    return malformed();
  query.remove_prefix(name.size());
  std::string made;
  for (std::size_t i = 0; i < query.size(); ++i) {
    if (query[i] != '%') {
      made += query[i];
      continue;
    }
    unsigned char byte = 0;
    if (i + 2 >= query.size()) return malformed();
    const auto* const digits = query.data() + i + 1;
    if (const auto read = std::from_chars(digits, digits + 2, byte, 16); read.ptr != digits + 2) return malformed();
    made += static_cast<char>(byte);
    i += 2;
  }
  if (!wire::json::valid_utf8(made)) return malformed();
  return made;
}

} // namespace

/// What was skipped or is a dead letter is settled as well, and the journal keeps which: `then` gets it as such.
void http_api::tell_ends(const api_pipeline& of, std::vector<core::sequence_status> all,
                         std::function<void(const std::vector<core::sequence_status>&)> then) {
  api::gather<store::recorded_end>(
    all.size(),
    [&](std::size_t i, reply<store::recorded_end> done) {
      if (all[i].state != "settled") return done(store::recorded_end::none);
      caf::anon_send(setup_.reader, ask_end{of.shard, {all[i].destination, all[i].seq}, std::move(done)});
    },
    [all, then = std::move(then)](const std::vector<result<store::recorded_end>>& found) mutable {
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (!found[i] || *found[i] == store::recorded_end::none) continue;
        all[i].state = *found[i] == store::recorded_end::skipped ? "skipped" : "dead_letter";
      }
      then(all);
    });
}

void http_api::describe(const api_pipeline& of, const store::stored_message& what, const net::responder& answer) {
  using attempts = std::optional<named_task_status>;
  using sequences = std::vector<core::sequence_status>;
  const auto ask_attempts = [this, &of, answer](json made, const sequences& found, position at) {
    api::gather<attempts>(
      found.size(),
      [&](std::size_t i, reply<attempts> done) {
        caf::anon_send(
          setup_.dispatcher,
          ask_task{{of.index, at, chain_of(of, found[i].destination)}, found[i].state == "held", std::move(done)});
      },
      [made, found, answer, &of](const std::vector<result<attempts>>& tasks) mutable {
        for (std::size_t i = 0; i < found.size(); ++i) {
          json one{{"destination", of.name_of(found[i].destination)},
                   {"sequence", found[i].seq.value()},
                   {"state", found[i].state}};
          if (is_known(tasks[i])) one["attempts"] = api::to_json(**tasks[i]);
          made["destinations"].push_back(std::move(one));
        }
        answer(api::json_response(200, dump(made)));
      });
  };
  auto use = [this, &of, made = message_json(what), at = what.at, answer,
              ask_attempts](const result<sequences>& of_each) {
    if (!of_each) return answer(api::error_response(of_each.error()));
    tell_ends(of, *of_each, [=](const sequences& all) { ask_attempts(made, all, at); });
  };
  caf::anon_send(of.actor, ask_sequences{what.enrolled, what.message->key(), reply<sequences>(std::move(use))});
}

void http_api::show_message(const api_pipeline& of, position at, const net::responder& answer) {
  auto use = [this, &of, answer, at](const result<std::optional<store::stored_message>>& found) {
    if (!found) return answer(api::error_response(found.error()));
    if (*found) return describe(of, **found, answer);
    answer(
      api::problem_response(wire::make_problem(404, "there is no message at position " + std::to_string(at.value()) +
                                                      ", or retention or a recovery has removed it")));
  };
  caf::anon_send(setup_.reader,
                 ask_message{of.shard, at, {}, reply<std::optional<store::stored_message>>(std::move(use))});
}

/// In a query as forms write it, "+" stands for a space: it is one where no id has the "+" itself.
void http_api::find_message(const api_pipeline& of, const net::http_request& request, const net::responder& answer) {
  const auto id = wanted_id(request.query);
  if (!id) return answer(api::error_response(id.error()));
  auto spaced = request.query;
  std::ranges::replace(spaced, '+', ' ');
  find_message(of, *id, *wanted_id(spaced), answer);
}

void http_api::find_message(const api_pipeline& of, const std::string& id, const std::string& otherwise,
                            const net::responder& answer) {
  auto use = [this, &of, answer, id, otherwise](const result<std::optional<store::stored_message>>& found) {
    if (!found) return answer(api::error_response(found.error()));
    if (*found) return describe(of, **found, answer);
    if (id != otherwise) return find_message(of, otherwise, otherwise, answer);
    answer(api::problem_response(
      wire::make_problem(404, "pipeline " + of.name +
                                " has no message with this id: none was accepted, it went to no destination, or "
                                "retention has removed it")));
  };
  caf::anon_send(setup_.reader,
                 ask_message{of.shard, std::nullopt, id, reply<std::optional<store::stored_message>>(std::move(use))});
}

void http_api::show_held(const api_pipeline& of, const net::responder& answer) {
  caf::anon_send(of.actor, ask_status{std::nullopt, reply<statuses>([&of, answer](const result<statuses>& all) {
                                        if (!all) return answer(api::error_response(all.error()));
                                        json list = json::array();
                                        for (const auto& destination : *all)
                                          for (const auto& held : destination.held)
                                            list.push_back(api::to_json(of, held));
                                        answer(api::json_response(200, dump({{"held", std::move(list)}})));
                                      })});
}

void http_api::show_dead_letters(const api_pipeline& of, const net::http_request& request,
                                 const net::responder& answer) {
  using letters = std::vector<store::dead_letter>;
  const auto page = page_of(of, request.query);
  if (!page) return answer(api::error_response(page.error()));
  auto use = [&of, answer, limit = page->limit](const result<letters>& found) {
    if (!found) return answer(api::error_response(found.error()));
    json list = json::array();
    for (const auto& letter : *found) {
      auto one = api::to_json(of, letter.record);
      one["id"] = letter.message_id;
      one["bytes"] = letter.bytes;
      list.push_back(std::move(one));
    }
    json next;
    if (found->size() == limit) {
      const auto& last = found->back().record;
      next = cursor_of(of, {last.destination, last.seq});
    }
    answer(api::json_response(200, dump({{"dead_letters", std::move(list)}, {"next", std::move(next)}})));
  };
  caf::anon_send(setup_.reader, ask_dead_letters{of.shard, page->after, page->limit, reply<letters>(std::move(use))});
}

} // namespace reseq::actors
