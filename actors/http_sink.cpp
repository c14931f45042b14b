#include <mutex>
#include <utility>

#include <caf/actor_cast.hpp>

#include "actors/sinks.hpp"
#include "actors/wall_clock.hpp"

namespace reseq::actors {
namespace {

constexpr auto batch_type = "application/x-ndjson";

struct outgoing {
  std::string content_type;
  header_list headers;
  std::shared_ptr<const std::string> body;
};

outgoing single(const wire::delivery& d) {
  // The payload stays where it is; the request keeps its owner alive.
  return {d.body->content_type, wire::delivery_headers(d), {d.body, &d.body->payload}};
}

outgoing batched(const sink_setup& setup, const std::vector<core::send_item>& items) {
  constexpr std::size_t beside_payload = 384; // ids, numbers and headers, mostly
  std::size_t size = 0;
  for (const auto& item : items) size += item.body->payload.size() + beside_payload;
  std::string lines;
  lines.reserve(size);
  for (const auto& item : items) wire::append_envelope(lines, to_delivery(setup, item));
  const auto first = to_delivery(setup, items.front());
  std::vector<sequence> all;
  all.reserve(items.size());
  for (const auto& item : items) all.push_back(item.seq);
  const bool by_key = setup.destination.order == delivery_order::key;
  const auto id =
    by_key ? wire::scattered_batch_id(first, all) : wire::batch_id(first, to_delivery(setup, items.back()));
  return {batch_type,
          {{"Idempotency-Key", id},
           {"Reseq-Pipeline", setup.pipeline},
           {"Reseq-Destination", setup.destination.name},
           {"Reseq-Epoch", std::to_string(setup.owner.value())}},
          std::make_shared<const std::string>(std::move(lines))};
}

} // namespace

struct client_pool::idle_clients {
  std::mutex mutex;
  std::vector<net::http_client*> all;
};

client_pool::client_pool(std::size_t connections, net::loop& loop, const net::url& to)
  : idle_(std::make_shared<idle_clients>()) {
  for (std::size_t i = 0; i < connections; ++i) {
    clients_.push_back(std::make_unique<net::http_client>(loop, to));
    idle_->all.push_back(clients_.back().get());
  }
}

void client_pool::post(net::client_request request, duration timeout, net::http_client::done_handler done) {
  const auto take = [this] {
    const std::lock_guard lock(idle_->mutex);
    auto* const client = idle_->all.back();
    idle_->all.pop_back();
    return client;
  };
  auto* const client = take();
  // It is idle again before anybody hears of the answer, and may send another.
  auto give_back = [idle = idle_, client, done = std::move(done)](result<net::client_answer> got) {
    {
      const std::lock_guard lock(idle->mutex);
      idle->all.push_back(client);
    }
    done(std::move(got));
  };
  client->send(std::move(request), timeout, std::move(give_back));
}

sink_actor::behavior_type http_sink(sink_actor::stateful_pointer<http_sink_state> self, sink_setup setup,
                                    net::loop* loop, net::url to) {
  const auto connections = setup.destination.order == delivery_order::key ? setup.destination.connections : 1U;
  self->state.clients = std::make_unique<client_pool>(connections, *loop, to);
  return {
    [self, setup = std::move(setup)](const deliver& wanted) {
      const auto owner = caf::actor_cast<shard_actor>(self->current_sender());
      const auto& items = wanted.request.items;
      auto out = setup.destination.batch > 1 ? batched(setup, items) : single(to_delivery(setup, items.front()));
      auto answer = [owner, epoch_now = setup.owner, destination = wanted.request.destination,
                     id = wanted.request.id](const result<net::client_answer>& got) {
        caf::anon_send(owner, delivered{destination, id, read_answer(got, epoch_now, wall_now())});
      };
      net::client_request request;
      request.content_type = std::move(out.content_type);
      request.headers = std::move(out.headers);
      request.body = std::move(out.body);
      self->state.clients->post(std::move(request), setup.destination.timeout, std::move(answer));
    },
    [](const ask_received& question) { question.done(std::optional<store::receiver_record>{}); },
  };
}

} // namespace reseq::actors
