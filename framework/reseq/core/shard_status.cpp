// What people see of a shard.
#include <utility>

#include "reseq/core/shard_state.hpp"

namespace reseq::core {
namespace {

bool shown_as_held(const shard_target& t, sequence seq) {
  const auto found = t.held.find(seq);
  return found != t.held.end() && found->second.durable;
}

lane_state state_of(const shard_target& t) {
  if (t.book.paused()) return lane_state::paused;
  if (shown_as_held(t, t.window.head())) return lane_state::held;
  return t.delivery.failing() ? lane_state::failing : lane_state::running;
}

} // namespace

std::vector<destination_status> shard::status() const {
  std::vector<destination_status> all;
  all.reserve(state_->targets.size());
  for (const auto& t : state_->targets) all.push_back(state_->status(t));
  return all;
}

std::optional<destination_status> shard::status(destination_id destination) const {
  const auto* t = std::as_const(*state_).find(destination);
  if (t == nullptr) return std::nullopt;
  return state_->status(*t);
}

std::optional<sequence_status> shard::find(destination_id destination, sequence seq) const {
  const auto* t = std::as_const(*state_).find(destination);
  if (t == nullptr || seq == sequence{} || seq > t->last) return std::nullopt;
  const auto named = [&](const char* name) { return sequence_status{destination, seq, name}; };
  if (t->book.is_settled(seq)) return named("settled");
  if (shown_as_held(*t, seq)) return named("held");
  const auto* slot = t->window.find(seq);
  if (slot == nullptr) return named("enrolled");
  switch (slot->state) {
  case slot_state::sent: return named("sent");
  case slot_state::ready: return named("ready");
  case slot_state::held: return named(slot->body ? "ready" : "pending"); // until the record of it is durable
  case slot_state::pending:
  case slot_state::settled: break;
  }
  return named("pending");
}

destination_status shard::state::status(const shard_target& t) const {
  destination_status shown;
  shown.id = t.id;
  shown.name = t.name;
  shown.state = state_of(t);
  shown.accepted = t.last;
  shown.settled = t.book.saved_watermark();
  shown.lag = t.last - shown.settled;
  shown.pending = t.window.pending();
  shown.ready = t.window.ready();
  shown.delivered = t.delivered;
  shown.redelivered = t.redelivered;
  shown.head = blocked(t);
  for (const auto& [seq, held] : t.held)
    if (held.durable) shown.held.push_back(held.record);
  return shown;
}

std::optional<blocked_by> shard::state::blocked(const shard_target& t) const {
  const auto head = t.window.head();
  const auto undurable = t.window.cursor() < head; // outcomes before it are not saved yet
  if (head == t.window.next() && head > t.last && !undurable) return std::nullopt;

  blocked_by shown;
  shown.seq = head;
  shown.chain = t.chain;
  shown.since = t.window.head_since();
  shown.ready_behind = t.window.ready();
  const auto* slot = t.window.find(head);
  if (slot == nullptr) {
    shown.phase = head > t.last ? "saving" : "reading";
    return shown;
  }
  shown.at = slot->at;
  shown.message_id = slot->message->id();
  if (slot->state == slot_state::pending) {
    shown.phase = "transform";
    return shown;
  }
  if (const auto held = t.held.find(head); held != t.held.end()) {
    shown.phase = held->second.durable ? "held" : "saving";
    shown.attempts = held->second.record.attempts;
    shown.last_error = held->second.record.last_error;
    return shown;
  }
  --shown.ready_behind;
  shown.phase = undurable ? "saving" : "delivery";
  shown.attempts = slot->deliveries;
  shown.next_attempt = t.delivery.not_before();
  shown.last_error = t.delivery.last_error();
  return shown;
}

} // namespace reseq::core
