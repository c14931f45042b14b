#include <utility>
#include <vector>

#include <caf/actor_cast.hpp>

#include "actors/sinks.hpp"

namespace reseq::actors {
namespace {

/// Whether it lacks something that was delivered. Asked only when it takes nothing.
bool has_gone_back(store::transactional_receiver& receiver, const core::send_item& next) {
  const auto has = receiver.open();
  return has && next.previous && has->last < *next.previous;
}

} // namespace

sink_actor::behavior_type transactional_sink(sink_actor::stateful_pointer<transactional_sink_state> self,
                                             sink_setup setup, receiver_maker make) {
  self->state.receiver = make();
  static_cast<void>(self->state.receiver->open()); // trouble comes again with the first delivery
  return {
    [self, setup = std::move(setup)](const deliver& wanted) {
      std::vector<store::received> items;
      items.reserve(wanted.request.items.size());
      for (const auto& item : wanted.request.items) {
        items.push_back({item, {}});
        wire::append_headers_object(items.back().headers, *item.body);
      }
      auto& state = self->state;
      auto answer = state.receiver->deliver(items);
      if (std::holds_alternative<core::failing>(answer) && !state.has_gone_back &&
          has_gone_back(*state.receiver, items.front().item)) {
        state.has_gone_back = true;
        setup.restart();
      }
      const auto owner = caf::actor_cast<shard_actor>(self->current_sender());
      self->send(owner, delivered{wanted.request.destination, wanted.request.id, std::move(answer)});
    },
    [self](const ask_received& question) {
      question.done(self->state.receiver->open().map([](auto has) { return std::optional(std::move(has)); }));
    },
  };
}

} // namespace reseq::actors
