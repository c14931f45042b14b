/// Everything a supervisor does over HTTP.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/api/routes.hpp"
#include "actors/metrics.hpp"
#include "actors/protocol.hpp"
#include "reseq/config/settings.hpp"
#include "reseq/core/router.hpp"
#include "reseq/net/http_server.hpp"
#include "reseq/wire/incoming.hpp"
#include "reseq/wire/receipt.hpp"

namespace reseq::actors {

/// A batch is read in one piece on the thread that all connections share, and is written in one transaction.
constexpr std::size_t max_batch_lines = 10'000;

/// A pipeline as the API reaches it.
struct api_pipeline {
  std::string name;
  store::shard_handle shard;
  core::pipeline_index index;
  epoch owner;
  std::shared_ptr<const core::router> router;
  std::map<std::string, destination_id> destinations;
  std::unordered_map<destination_id, std::string> names; ///< theirs
  std::set<destination_id> own_chains;                   ///< destinations with transforms of their own
  shard_actor actor;

  [[nodiscard]] std::string name_of(destination_id id) const;
};

struct api_setup {
  std::string node;
  config::http_settings http;
  std::vector<api_pipeline> pipelines;
  journal_actor journal;
  reader_actor reader;
  dispatcher_actor dispatcher;
  std::shared_ptr<metrics> measured;
  std::function<void()> restart; ///< a shard was recovered, and everything is to be opened again
};

/// `handle`, `closed` and what they start run on the loop's thread; answers come from wherever they are made.
class http_api {
public:
  http_api(api_setup setup, net::loop& on);
  /// Nothing of it runs on the loop any more when this is done.
  ~http_api();
  http_api(const http_api&) = delete;
  http_api& operator=(const http_api&) = delete;

  /// The server's options: who is admitted, how large a body may be, and what it takes besides.
  [[nodiscard]] net::server_options options(std::string host, std::uint16_t port) const;

  void handle(net::http_request request, const net::responder& answer);
  void closed(std::uint64_t connection);

  /// From now on `/readyz` says no and submissions get 503. Any thread.
  void drain() { draining_ = true; }

private:
  [[nodiscard]] std::optional<net::http_response> admit(const net::http_request& head) const;
  [[nodiscard]] const api_pipeline* find(const std::string& name) const;
  [[nodiscard]] std::optional<net::http_response> refuse_credentials(const net::http_request& head,
                                                                     api::endpoint what) const;

  /// 503 while the journal cannot be written.
  [[nodiscard]] std::optional<net::http_response> journal_trouble() const;

  /// 503 while a pipeline has diverged, with all of them: whoever watches this supervisor is to tell a person.
  [[nodiscard]] std::optional<net::http_response> divergence() const;

  /// Gives it to the journal; refuses it when that hangs, at once or once it has waited for long behind a commit.
  void pass_on(submit request);
  void look_later();
  void look_at_waiting();
  [[nodiscard]] std::optional<error> journal_hangs() const;

  void submit_one(const api_pipeline& to, net::http_request& request, const net::responder& answer);
  void submit_batch(const api_pipeline& to, net::http_request& request, const net::responder& answer);
  [[nodiscard]] result<submission> make_submission(const api_pipeline& to, wire::incoming&& in,
                                                   std::uint64_t connection);
  [[nodiscard]] bool is_refused(std::uint64_t connection, const api_pipeline& to, destination_id destination) const;
  void count(const api_pipeline& to, const receipt& given) const;
  void remember_refusals(std::uint64_t connection, const api_pipeline& to,
                         const std::vector<result<receipt>>& receipts);

  void list_pipelines(const net::responder& answer);
  void show_pipeline(const api_pipeline& of, const net::responder& answer);
  void show_destination(const api_pipeline& of, destination_id which, const net::responder& answer);
  void show_message(const api_pipeline& of, position at, const net::responder& answer);
  void find_message(const api_pipeline& of, const net::http_request& request, const net::responder& answer);
  void find_message(const api_pipeline& of, const std::string& id, const std::string& otherwise,
                    const net::responder& answer);
  void describe(const api_pipeline& of, const store::stored_message& what, const net::responder& answer);
  void name_heads(const api_pipeline& of, core::destination_status status,
                  std::function<void(const core::destination_status&)> then);
  void tell_ends(const api_pipeline& of, std::vector<core::sequence_status> all,
                 std::function<void(const std::vector<core::sequence_status>&)> then);
  void show_held(const api_pipeline& of, const net::responder& answer);
  void show_dead_letters(const api_pipeline& of, const net::http_request& request, const net::responder& answer);
  void scrape(const net::responder& answer);

  void operate_message(const api_pipeline& of, const api::route& where, const net::http_request& request,
                       const net::responder& answer);
  void operate_destination(const api_pipeline& of, destination_id which, operate::kind what,
                           const net::responder& answer);
  void retry_all_held(const api_pipeline& of, const net::responder& answer);
  void recover_pipeline(const api_pipeline& of, const net::http_request& request, const net::responder& answer);
  void restart_after(const api_pipeline& recovered);

  api_setup setup_;
  net::loop& loop_;
  std::atomic<bool> draining_{false};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true); ///< the loop's
  struct waiting {
    std::shared_ptr<std::atomic<bool>> decided;
    reply<std::vector<result<receipt>>> done;
  };
  std::deque<waiting> waiting_; ///< in the journal's mailbox; some of the first ones no longer
  bool looking_ = false;        ///< at them, in a while
  /// Open connections, and which destinations a connection has been refused for.
  std::unordered_map<std::uint64_t, std::set<std::pair<std::string, std::string>>> connections_;
};

namespace api {

/// Answers as the API makes them.
net::http_response json_response(unsigned status, std::string body);
net::http_response problem_response(const wire::problem& what);
net::http_response error_response(const error& what);

} // namespace api
} // namespace reseq::actors
