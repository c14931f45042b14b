#include <chrono>
#include <utility>

#include <caf/send.hpp>

#include "actors/api/http_api.hpp"
#include "actors/wall_clock.hpp"

namespace reseq::actors {
namespace {

using clock = std::chrono::steady_clock;

constexpr auto between_looks = std::chrono::seconds{1};

net::http_response receipt_response(const receipt& r) {
  return api::json_response(r.duplicate ? 200 : 202, wire::to_json(r));
}

/// After a transient refusal nothing that was sent later on the connection may be accepted: it closes.
net::http_response refusal(const error& what) {
  auto made = api::error_response(what);
  made.close = made.status == 503 || made.status == 507;
  return made;
}

/// A destination that was full stays refused on a connection. Once somebody comes upon that, who perhaps waited as long
/// as the answer said, the connection ends, unless more has come on it, which may be for others.
bool ends_connection(const error& what) { return what.code == errc::full; }

/// A receiver that does not take so much would never take the message.
result<void> check_carried(const header_list& headers, std::uint64_t most) {
  std::uint64_t bytes = 0;
  for (const auto& [name, value] : headers) bytes += name.size() + value.size();
  if (bytes <= most) return {};
  return fail(errc::too_large,
              "those that destinations get are " + std::to_string(bytes) +
                " bytes in all, more than http.max_carried allows (" + std::to_string(most) + ")",
              "headers");
}

void append_line(std::string& out, const result<receipt>& one) {
  if (one)
    wire::append_json(out, *one);
  else
    out += wire::to_json(wire::problem_of(one.error()));
  out += '\n';
}

} // namespace

bool http_api::is_refused(std::uint64_t connection, const api_pipeline& to, destination_id destination) const {
  const auto found = connections_.find(connection);
  if (found == connections_.end() || found->second.empty()) return false; // as nearly always
  return found->second.contains({to.name, to.name_of(destination)});
}

result<submission> http_api::make_submission(const api_pipeline& to, wire::incoming&& in, std::uint64_t connection) {
  if (!in.pipeline.empty() && in.pipeline != to.name)
    return fail(errc::unprocessable, "this path is pipeline " + to.name + "'s, not " + in.pipeline + "'s", "pipeline");
  std::vector<destination_id> to_all;
  std::optional<error> only_again; // a destination may have left since it was accepted
  if (auto routes = to.router->route(in.destinations, in.body.headers))
    to_all = std::move(*routes);
  else
    only_again = std::move(routes.error());
  for (const auto destination : to_all)
    if (is_refused(connection, to, destination))
      return fail(errc::full,
                  "an earlier message for it was refused on this connection, and what was sent later must not overtake "
                  "that; begin anew on another connection",
                  to.name_of(destination));
  const auto print = wire::fingerprint(in);
  in.body.headers = to.router->carried(std::move(in.body.headers));
  if (auto fits = check_carried(in.body.headers, setup_.http.max_carried); !fits)
    return tl::unexpected(std::move(fits.error()));
  return submission{
    std::make_shared<const message>(std::move(in.id), std::move(in.key), std::move(in.body), exact_wall_now()), print,
    std::move(to_all), std::move(only_again)};
}

void http_api::count(const api_pipeline& to, const receipt& given) const {
  if (!given.duplicate && given.at != position{}) return; // counted by its shard
  const prometheus::Labels labels{{"pipeline", to.name}};
  if (given.duplicate) {
    setup_.measured->duplicates.Add(labels).Increment();
  } else {
    setup_.measured->accepted.Add(labels).Increment();
    setup_.measured->unrouted.Add(labels).Increment();
  }
}

/// What was sent later may be on its way already, so a destination that was full stays refused on this connection.
void http_api::remember_refusals(std::uint64_t connection, const api_pipeline& to,
                                 const std::vector<result<receipt>>& receipts) {
  for (const auto& one : receipts) {
    if (one || one.error().code != errc::full) continue;
    loop_.post([this, connection, name = to.name, destination = one.error().where] {
      if (const auto open = connections_.find(connection); open != connections_.end())
        open->second.emplace(name, destination);
    });
  }
}

std::optional<error> http_api::journal_hangs() const {
  const auto trouble = setup_.measured->journal.hangs(clock::now());
  if (!trouble) return std::nullopt;
  return error{errc::unavailable, "cannot be written: " + trouble->what, "journal"};
}

void http_api::pass_on(submit request) {
  if (auto trouble = journal_hangs()) return request.done(tl::unexpected(std::move(*trouble)));
  while (!waiting_.empty() && *waiting_.front().decided) waiting_.pop_front();
  request.decided = std::make_shared<std::atomic<bool>>(false);
  waiting_.push_back({request.decided, request.done});
  caf::anon_send(setup_.journal, std::move(request));
  if (!std::exchange(looking_, true)) look_later();
}

void http_api::look_later() {
  loop_.after(between_looks, [this, alive = alive_] {
    if (*alive) look_at_waiting();
  });
}

/// The last one first: the journal, should it go on just now, takes up none that is behind a refused one.
void http_api::look_at_waiting() {
  const auto trouble = journal_hangs();
  while (trouble && !waiting_.empty()) {
    const auto last = std::move(waiting_.back());
    waiting_.pop_back();
    if (!last.decided->exchange(true)) last.done(tl::unexpected(*trouble));
  }
  while (!waiting_.empty() && *waiting_.front().decided) waiting_.pop_front();
  looking_ = !waiting_.empty();
  if (looking_) look_later();
}

void http_api::submit_one(const api_pipeline& to, net::http_request& request, const net::responder& answer) {
  connections_.try_emplace(request.connection);
  auto in = wire::from_http(request.headers, std::move(request.body));
  if (!in) return answer(api::error_response(in.error()));
  auto made = make_submission(to, std::move(*in), request.connection);
  if (!made) {
    auto refused = api::error_response(made.error());
    refused.close_if_last = ends_connection(made.error());
    return answer(std::move(refused));
  }
  const auto started = clock::now();
  reply<std::vector<result<receipt>>> done{[this, &to, answer, started, connection = request.connection](
                                             const result<std::vector<result<receipt>>>& receipts) {
    if (!receipts) return answer(refusal(receipts.error()));
    setup_.measured->accept.Observe(seconds(clock::now() - started));
    remember_refusals(connection, to, *receipts);
    const auto& one = receipts->front();
    if (one) count(to, *one);
    answer(one ? receipt_response(*one) : refusal(one.error()));
  }};
  pass_on({to.shard, {std::move(*made)}, std::move(done)});
}

void http_api::submit_batch(const api_pipeline& to, net::http_request& request, const net::responder& answer) {
  connections_.try_emplace(request.connection);
  auto lines = wire::check_batch_headers(request.headers).and_then([&] {
    return wire::from_ndjson(request.body, {setup_.http.max_message, max_batch_lines});
  });
  if (!lines) {
    lines.error().what += "; nothing of the batch is accepted";
    return answer(api::error_response(lines.error()));
  }
  std::vector<submission> good;
  std::map<std::size_t, error> bad; // by line; all others are in `good`
  for (std::size_t i = 0; i < lines->size(); ++i) {
    auto made = make_submission(to, std::move((*lines)[i]), request.connection);
    if (made)
      good.push_back(std::move(*made));
    else
      bad.emplace(i, std::move(made.error()));
  }
  const auto started = clock::now();
  reply<std::vector<result<receipt>>> done{
    [this, &to, answer, started, bad = std::move(bad), count_of_lines = lines->size(),
     connection = request.connection](const result<std::vector<result<receipt>>>& receipts) {
      if (!receipts) return answer(refusal(receipts.error()));
      setup_.measured->accept.Observe(seconds(clock::now() - started));
      remember_refusals(connection, to, *receipts);
      std::string body;
      bool closes = false;
      auto next = receipts->begin();
      for (std::size_t i = 0; i < count_of_lines; ++i) {
        if (const auto wrong = bad.find(i); wrong != bad.end()) {
          closes = closes || ends_connection(wrong->second);
          append_line(body, tl::unexpected(wrong->second));
          continue;
        }
        if (*next) count(to, **next);
        append_line(body, *next++);
      }
      answer({200, "application/x-ndjson", {}, std::move(body), false, closes});
    }};
  if (good.empty()) return done(std::vector<result<receipt>>{});
  pass_on({to.shard, std::move(good), std::move(done)});
}

} // namespace reseq::actors
