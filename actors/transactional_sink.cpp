#include <utility>
#include <vector>

#include <caf/actor_cast.hpp>

#include "actors/sinks.hpp"

namespace reseq::actors {

sink_actor::behavior_type transactional_sink(sink_actor::stateful_pointer<transactional_sink_state> self,
                                             sink_setup setup, receiver_maker make) {
  self->state.receiver = make();
  self->state.receiver->open();
  return {
    [self, setup = std::move(setup)](const deliver& wanted) {
      std::vector<store::received> items;
      items.reserve(wanted.request.items.size());
      for (const auto& item : wanted.request.items) {
        items.push_back({item, {}});
        wire::append_headers_object(items.back().headers, *item.body);
      }
      auto answer = self->state.receiver->deliver(items);
      const auto owner = caf::actor_cast<shard_actor>(self->current_sender());
      self->send(owner, delivered{wanted.request.destination, wanted.request.id, std::move(answer)});
    },
  };
}

} // namespace reseq::actors
