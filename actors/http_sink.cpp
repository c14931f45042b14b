#include <utility>

#include <caf/actor_cast.hpp>

#include "actors/sinks.hpp"

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
  std::string lines;
  for (const auto& item : items) wire::append_envelope(lines, to_delivery(setup, item));
  const auto id = wire::batch_id(to_delivery(setup, items.front()), to_delivery(setup, items.back()));
  return {batch_type,
          {{"Idempotency-Key", id},
           {"Reseq-Pipeline", setup.pipeline},
           {"Reseq-Destination", setup.destination.name},
           {"Reseq-Epoch", std::to_string(setup.owner.value())}},
          std::make_shared<const std::string>(std::move(lines))};
}

} // namespace

sink_actor::behavior_type http_sink(sink_actor::stateful_pointer<http_sink_state> self, sink_setup setup,
                                    net::loop* loop, net::url to) {
  self->state.client = std::make_unique<net::http_client>(*loop, std::move(to));
  return {
    [self, setup = std::move(setup)](const deliver& wanted) {
      const auto owner = caf::actor_cast<shard_actor>(self->current_sender());
      const auto& items = wanted.request.items;
      auto out = setup.destination.batch > 1 ? batched(setup, items) : single(to_delivery(setup, items.front()));
      auto answer = [owner, epoch_now = setup.owner, destination = wanted.request.destination,
                     id = wanted.request.id](const result<net::client_answer>& got) {
        const auto wall = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
        caf::anon_send(owner, delivered{destination, id, read_answer(got, epoch_now, wall)});
      };
      self->state.client->post(std::move(out.content_type), std::move(out.headers), std::move(out.body),
                               setup.destination.timeout, std::move(answer));
    },
  };
}

} // namespace reseq::actors
