#include "actors/api/http_api.hpp"

#include <algorithm>

#include <sys/resource.h>

namespace reseq::actors {

using api::endpoint;
using api::problem_response;
using api::route;

namespace api {

net::http_response json_response(unsigned status, std::string body) {
  body += '\n';
  return {status, "application/json", {}, std::move(body), false};
}

net::http_response problem_response(const wire::problem& what) {
  net::http_response made{what.status, std::string{wire::problem_type}, {}, wire::to_json(what) + "\n", false};
  if (what.retry_after_s) made.headers.push_back({"Retry-After", std::to_string(*what.retry_after_s)});
  return made;
}

net::http_response error_response(const error& what) { return problem_response(wire::problem_of(what)); }

} // namespace api

namespace {

constexpr std::size_t descriptors_besides = 512; // the journal, workers, connections that are being refused
constexpr rlim_t fewest_connections = 16;

/// What a message of a batch takes in memory beside its bytes, from reading it until its receipt.
constexpr std::uint64_t bytes_a_line = 1000;

bool is_batch(std::string_view path) { return path.ends_with("/messages/batch"); }

bool has_bearer(const header_list& headers, const std::string& token) {
  constexpr std::string_view scheme = "Bearer ";
  const auto given = find_header(headers, "authorization");
  if (given.size() != scheme.size() + token.size() || !given.starts_with(scheme)) return false;
  unsigned differing = 0; // the same time wherever they differ
  for (std::size_t i = 0; i < token.size(); ++i)
    differing |= static_cast<unsigned char>(given[scheme.size() + i]) ^ static_cast<unsigned char>(token[i]);
  return differing == 0;
}

/// One call for each line, where `count` would look at each byte.
std::size_t lines_of(std::string_view body) {
  std::size_t lines = 1;
  for (auto at = body.find('\n'); at != std::string_view::npos; at = body.find('\n', at + 1)) ++lines;
  return lines;
}

/// As many producers as leave descriptors for everything else: an acceptor that has none keeps the processor busy.
std::uint32_t room_for_connections(const std::vector<api_pipeline>& pipelines, std::uint32_t most) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return most;
  std::size_t others = descriptors_besides;
  for (const auto& one : pipelines) others += one.destinations.size();
  const auto room = limit.rlim_cur > others ? limit.rlim_cur - others : 0;
  return static_cast<std::uint32_t>(std::clamp<rlim_t>(room, fewest_connections, most));
}

} // namespace

std::string api_pipeline::name_of(destination_id id) const {
  const auto found = names.find(id);
  return found == names.end() ? std::string{} : found->second;
}

http_api::http_api(api_setup setup, net::loop& on) : setup_(std::move(setup)), loop_(on) {}

http_api::~http_api() {
  loop_.run([this] { *alive_ = false; });
}

net::server_options http_api::options(std::string host, std::uint16_t port) const {
  net::server_options made;
  made.host = std::move(host);
  made.port = port;
  made.max_connections = room_for_connections(setup_.pipelines, made.max_connections);
  made.max_body = std::max(setup_.http.max_batch, setup_.http.max_message);
  made.body_limit = [one = setup_.http.max_message, batch = setup_.http.max_batch](std::string_view,
                                                                                   std::string_view path) {
    if (is_batch(path)) return batch;
    return path.ends_with("/messages") ? one : std::uint64_t{64} << 10U;
  };
  made.handling_cost = [](const net::http_request& whole) -> std::uint64_t {
    if (!is_batch(whole.path)) return 0;
    return bytes_a_line * std::min(lines_of(whole.body), max_batch_lines);
  };
  made.admit = [this](const net::http_request& head) { return admit(head); };
  return made;
}

const api_pipeline* http_api::find(const std::string& name) const {
  const auto found = std::ranges::find(setup_.pipelines, name, &api_pipeline::name);
  return found == setup_.pipelines.end() ? nullptr : &*found;
}

std::optional<net::http_response> http_api::refuse_credentials(const net::http_request& head, endpoint what) const {
  const auto& needed = api::is_submission(what) ? setup_.http.token : setup_.http.control_token;
  if (what == endpoint::livez || what == endpoint::readyz || needed.empty() || has_bearer(head.headers, needed))
    return std::nullopt;
  auto made = problem_response(wire::make_problem(
    401, std::string{"this needs \"Authorization: Bearer …\" with "} +
           (api::is_submission(what) ? "http.token" : "http.control_token") + " of this supervisor's configuration"));
  made.headers.push_back({"WWW-Authenticate", "Bearer"});
  return made;
}

/// Decides over everything that can be decided before the body is read.
std::optional<net::http_response> http_api::admit(const net::http_request& head) const {
  const auto matched = api::match(head.method, head.path);
  if (const auto* unknown = std::get_if<wire::problem>(&matched)) return problem_response(*unknown);
  if (const auto* other = std::get_if<api::wrong_method>(&matched)) {
    auto made = problem_response(wire::make_problem(405, "this path takes " + other->allow));
    made.headers.push_back({"Allow", other->allow});
    return made;
  }
  const auto& where = std::get<route>(matched);
  if (auto refusal = refuse_credentials(head, where.what)) return refusal;
  if (where.pipeline.empty()) return std::nullopt;
  const auto* pipeline = find(where.pipeline);
  if (!pipeline) return problem_response(wire::make_problem(404, "there is no pipeline " + where.pipeline));
  if (!where.destination.empty() && !pipeline->destinations.contains(where.destination))
    return problem_response(
      wire::make_problem(404, "pipeline " + where.pipeline + " has no destination " + where.destination));
  if (where.shard != 0)
    return problem_response(
      wire::make_problem(404, "pipeline " + where.pipeline + " has no shard " + std::to_string(where.shard)));
  if (draining_ && api::is_submission(where.what)) {
    auto made = problem_response(wire::make_problem(503, "this supervisor is stopping"));
    made.close = true;
    return made;
  }
  return std::nullopt;
}

std::optional<net::http_response> http_api::journal_trouble() const {
  const auto trouble = setup_.measured->journal.look(std::chrono::steady_clock::now());
  if (!trouble) return std::nullopt;
  return problem_response(wire::make_problem(503, "the journal cannot be written: " + trouble->what));
}

std::optional<net::http_response> http_api::divergence() const {
  std::string detail;
  for (const auto& [pipeline, why] : setup_.measured->diverged.all())
    detail += (detail.empty() ? "pipeline " : "; pipeline ") + pipeline + " has diverged, and accepts nothing: " + why;
  if (detail.empty()) return std::nullopt;
  return problem_response(wire::make_problem(503, std::move(detail)));
}

void http_api::closed(std::uint64_t connection) { connections_.erase(connection); }

void http_api::handle(net::http_request request, const net::responder& answer) {
  if (auto refusal = admit(request)) return answer(std::move(*refusal));
  const auto where = std::get<route>(api::match(request.method, request.path));
  const auto* pipeline = find(where.pipeline);
  const auto destination = where.destination.empty() ? destination_id{} : pipeline->destinations.at(where.destination);
  switch (where.what) {
  case endpoint::livez: return answer(api::json_response(200, R"({"status":"alive"})"));
  case endpoint::readyz:
    if (draining_) return answer(problem_response(wire::make_problem(503, "this supervisor is stopping")));
    if (auto trouble = journal_trouble()) return answer(std::move(*trouble));
    if (auto trouble = divergence()) return answer(std::move(*trouble));
    return answer(api::json_response(200, R"({"status":"ready"})"));
  case endpoint::metrics: return scrape(answer);
  case endpoint::pipelines: return list_pipelines(answer);
  case endpoint::pipeline: return show_pipeline(*pipeline, answer);
  case endpoint::destination: return show_destination(*pipeline, destination, answer);
  case endpoint::message: return show_message(*pipeline, where.at, answer);
  case endpoint::message_by_id: return find_message(*pipeline, request, answer);
  case endpoint::held: return show_held(*pipeline, answer);
  case endpoint::dead_letters: return show_dead_letters(*pipeline, request, answer);
  case endpoint::submit: return submit_one(*pipeline, request, answer);
  case endpoint::submit_batch: return submit_batch(*pipeline, request, answer);
  case endpoint::retry_message:
  case endpoint::skip_message: return operate_message(*pipeline, where, request, answer);
  case endpoint::retry_held: return retry_all_held(*pipeline, answer);
  case endpoint::pause: return operate_destination(*pipeline, destination, operate::kind::pause, answer);
  case endpoint::recover: return recover_pipeline(*pipeline, request, answer);
  case endpoint::resume: return operate_destination(*pipeline, destination, operate::kind::resume, answer);
  }
}

} // namespace reseq::actors
