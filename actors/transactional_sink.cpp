#include <utility>
#include <vector>

#include <caf/actor_cast.hpp>
#include <spdlog/spdlog.h>

#include "actors/sinks.hpp"

namespace reseq::actors {
namespace {

/// Whether it lacks something that was delivered. Asked only when it takes nothing.
bool has_gone_back(store::transactional_receiver& receiver, const core::send_item& next) {
  const auto has = receiver.open();
  return has && next.previous && has->last < *next.previous;
}

/// Whether it has what is to be delivered, although nobody has compared the two. Perhaps that comes from a history
/// which the journal has lost. `errc::unavailable`: nobody knows, and nothing may be delivered.
result<bool> has_unknown(transactional_sink_state& state, const core::send_item& next) {
  if (state.compared) return false;
  const auto has = state.receiver->open();
  if (!has && has.error().code == errc::unavailable) return tl::unexpected(has.error());
  state.compared = has && has->last < next.seq;
  return has && !state.compared;
}

} // namespace

sink_actor::behavior_type transactional_sink(sink_actor::stateful_pointer<transactional_sink_state> self,
                                             sink_setup setup, receiver_maker make) {
  self->state.compared = setup.compared;
  self->state.receiver = make();
  return {
    [self, setup = std::move(setup)](const deliver& wanted) {
      std::vector<store::received> items;
      items.reserve(wanted.request.items.size());
      for (const auto& item : wanted.request.items) {
        items.push_back({item, {}});
        wire::append_headers_object(items.back().headers, *item.body);
      }
      auto& state = self->state;
      const auto& first = items.front().item;
      const auto unknown = has_unknown(state, first);
      core::receiver_answer answer =
        core::failing{"it has what is still to be delivered, and is compared with the journal first", std::nullopt};
      if (!unknown)
        answer = core::failing{unknown.error().text(), std::nullopt};
      else if (!*unknown)
        answer = state.receiver->deliver(items);
      const bool failing = unknown && std::holds_alternative<core::failing>(answer);
      if (failing && !state.restarting && (*unknown || has_gone_back(*state.receiver, first))) {
        state.restarting = true;
        spdlog::warn("destination {}/{}: {}: everything is opened anew, to compare it with the journal", setup.pipeline,
                     setup.destination.name,
                     *unknown ? "it has what is still to be delivered" : "it lacks what was delivered to it");
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
