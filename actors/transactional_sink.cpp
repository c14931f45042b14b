#include <utility>
#include <vector>

#include <caf/actor_cast.hpp>
#include <spdlog/spdlog.h>

#include "actors/sinks.hpp"

namespace reseq::actors {
namespace {

/// Whether a later owner of the same journal's was there: to open everything anew would take it all from that one.
bool is_taken_over(const store::receiver_record& known, epoch ours) { return is_ours(known) && known.owner > ours; }

/// Once, when something was delivered: an answer that does not come delays that alone.
void tell_of_risk(transactional_sink_state& state, const sink_setup& setup) {
  if (std::exchange(state.asked_for_risk, true)) return;
  const auto risk = state.receiver->durability_risk();
  if (!risk.empty()) spdlog::warn("destination {}/{}: its server {}", setup.pipeline, setup.destination.name, risk);
}

/// Why it is to be compared with the journal anew, if it is: it lacks something that was delivered, or another journal
/// has taken it over, or it does not say any more whose messages it has. Asked only when it takes nothing.
const char* find_change(store::transactional_receiver& receiver, const core::send_item& next, epoch ours) {
  const auto has = receiver.open();
  if (has && is_taken_over(*has, ours)) return nullptr;
  if (has && !has->foreign.empty()) return "it belongs to another installation now";
  if (has && !has->unclaimed.empty()) return "it does not say whose messages it has";
  if (has && next.previous && has->last < *next.previous) return "it lacks what was delivered to it";
  return nullptr;
}

/// Whether it has what is to be delivered, although nobody has compared the two. Perhaps that comes from a history
/// which the journal has lost. (Not if a later owner was there: `deliver` says so.) `errc::unavailable`: nobody knows,
/// and nothing may be delivered.
result<bool> has_unknown(transactional_sink_state& state, const core::send_item& next, epoch ours) {
  if (state.compared) return false;
  const auto has = state.receiver->open();
  if (!has && has.error().code == errc::unavailable) return tl::unexpected(has.error());
  if (has && is_taken_over(*has, ours)) return false;
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
      const auto unknown = has_unknown(state, first, setup.owner);
      core::receiver_answer answer =
        core::failing{"it has what is still to be delivered, and is compared with the journal first", std::nullopt};
      if (!unknown)
        answer = core::failing{unknown.error().text(), std::nullopt};
      else if (!*unknown)
        answer = state.receiver->deliver(items);
      const bool failing = unknown && std::holds_alternative<core::failing>(answer);
      const char* changed = nullptr;
      if (failing && !state.restarting)
        changed = *unknown ? "it has what is still to be delivered" : find_change(*state.receiver, first, setup.owner);
      if (changed) {
        state.restarting = true;
        spdlog::warn("destination {}/{}: {}: everything is opened anew, to compare it with the journal", setup.pipeline,
                     setup.destination.name, changed);
        setup.restart();
      }
      const auto owner = caf::actor_cast<shard_actor>(self->current_sender());
      const bool confirmed = std::holds_alternative<core::confirmed>(answer);
      self->send(owner, delivered{wanted.request.destination, wanted.request.id, std::move(answer)});
      if (confirmed) tell_of_risk(state, setup);
    },
    [self](const ask_received& question) {
      auto& receiver = *self->state.receiver;
      auto has = question.take_over ? receiver.take_over(*question.take_over) : receiver.open();
      question.done(std::move(has).map([](auto known) { return std::optional(std::move(known)); }));
    },
  };
}

} // namespace reseq::actors
