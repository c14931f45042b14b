// What people see of a shard.
#include <algorithm>
#include <utility>

#include "reseq/core/shard_state.hpp"

namespace reseq::core {
namespace {

/// Of a destination with order by key.
constexpr std::size_t shown_heads = 10;

bool shown_as_held(const shard_target& t, sequence seq) {
  const auto found = t.held.find(seq);
  return found != t.held.end() && found->second.durable;
}

lane_state state_of(const shard_target& t) {
  if (t.book.paused()) return lane_state::paused;
  if (t.keys) return t.keys->delivery.away() ? lane_state::failing : lane_state::running;
  if (shown_as_held(t, t.window.head())) return lane_state::held;
  return t.delivery.failing() ? lane_state::failing : lane_state::running;
}

/// With order by key: everything that waits there is to be sent, and has failed.
bool all_have_failed(const std::vector<blocked_by>& heads) {
  const auto has_failed = [](const blocked_by& head) { return head.phase == "delivery" && !head.last_error.empty(); };
  return !heads.empty() && heads.size() < shown_heads && std::ranges::all_of(heads, has_failed);
}

/// Ready, and not sent because nothing more may be before something is saved.
template <class Window>
bool waits_for_saving(const lane_slot& slot, const Window& in) {
  return slot.state == slot_state::ready && slot.deliveries == 0 && in.waits_for_saving();
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

std::string_view shard::name(destination_id destination) const {
  const auto* t = std::as_const(*state_).find(destination);
  return t == nullptr ? std::string_view{"?"} : std::string_view{t->name};
}

bool shard::is_failing(destination_id destination) const {
  const auto* t = std::as_const(*state_).find(destination);
  if (t == nullptr) return false;
  return t->keys ? t->keys->delivery.away() : t->delivery.failing();
}

std::optional<sequence_status> shard::find(destination_id destination, sequence seq, std::string_view key) const {
  const auto* t = std::as_const(*state_).find(destination);
  if (t == nullptr || seq == sequence{} || seq > t->last) return std::nullopt;
  const auto named = [&](const char* name) { return sequence_status{destination, seq, name}; };
  if (shown_as_held(*t, seq)) return named("held");
  if (t->keys ? t->keys->window.is_settled(seq, key) : t->book.is_settled(seq)) return named("settled");
  const auto* slot = t->find(seq);
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
  shown.state = diverged ? lane_state::diverged : state_of(t);
  shown.reason = diverged.value_or("");
  shown.accepted = t.last;
  shown.settled = t.keys ? t.keys->window.saved_watermark() : t.book.saved_watermark();
  shown.lag = t.unsettled(t.keys ? t.keys->window.saved_messages() : shown.settled.value());
  shown.pending = t.keys ? t.keys->window.pending() : t.window.pending();
  shown.ready = t.keys ? t.keys->window.ready() : t.window.ready();
  shown.delivered = t.delivered;
  shown.redelivered = t.redelivered;
  shown.by_key = t.keys != nullptr;
  if (t.keys) {
    for (const auto& key : t.keys->window.oldest(shown_heads)) shown.heads.push_back(blocked(t, key));
    if (shown.state == lane_state::running && all_have_failed(shown.heads)) shown.state = lane_state::failing;
    shown.parked = t.keys->window.parked_keys();
    if (!shown.heads.empty()) shown.head = shown.heads.front();
  } else {
    shown.head = blocked(t);
  }
  for (const auto& [seq, held] : t.held)
    if (held.durable) shown.held.push_back(held.record);
  return shown;
}

std::optional<blocked_by> shard::state::blocked(const shard_target& t) const {
  const auto head = t.window.head();
  const auto undurable = t.window.cursor() < head; // outcomes before it are not saved yet
  if (head == t.window.next() && head > t.end() && !undurable) return std::nullopt;

  blocked_by shown;
  shown.seq = head;
  shown.chain = t.chain;
  shown.since = t.window.head_since();
  shown.ready_behind = t.window.ready();
  const auto* slot = t.window.find(head);
  if (slot != nullptr) {
    shown.at = slot->at;
    shown.message_id = slot->message->id();
  }
  // After a start that is known before the message has been read; after a retry it is tried again.
  if (const auto held = t.held.find(head); held != t.held.end() && (!slot || slot->state != slot_state::pending)) {
    shown.at = held->second.record.at;
    shown.phase = held->second.durable ? "held" : "saving";
    shown.attempts = held->second.record.attempts;
    shown.last_error = held->second.record.last_error;
    return shown;
  }
  if (slot == nullptr) {
    shown.phase = head > t.end() ? "saving" : "reading";
    return shown;
  }
  if (slot->state == slot_state::pending) {
    shown.phase = "transform";
    return shown;
  }
  --shown.ready_behind;
  const bool unreleased = outside && head >= outside->limit(t.id);
  const bool unsaved = undurable || waits_for_saving(*slot, t.window);
  shown.phase = unsaved ? "saving" : unreleased ? "resequencer" : "delivery";
  shown.attempts = slot->deliveries;
  shown.asked_at = t.delivery.asked_at();
  shown.next_attempt = t.delivery.not_before();
  shown.last_error = t.delivery.last_error();
  return shown;
}

blocked_by shard::state::blocked(const shard_target& t, const blocked_key& key) const {
  blocked_by shown;
  shown.seq = key.head;
  shown.key = std::string{key.key};
  shown.chain = t.chain;
  shown.since = key.since;
  shown.ready_behind = key.ready_behind;
  const auto* slot = key.inside ? t.find(key.head) : nullptr;
  if (slot != nullptr) {
    shown.at = slot->at;
    shown.message_id = slot->message->id();
  }
  if (const auto held = t.held.find(key.head); key.held && held != t.held.end()) {
    const auto& record = held->second.record;
    shown.phase = held->second.durable ? "held" : "saving";
    shown.at = record.at;
    shown.attempts = record.attempts;
    shown.last_error = record.last_error;
  } else if (slot == nullptr) {
    shown.phase = "reading";
  } else if (slot->state == slot_state::pending) {
    shown.phase = "transform";
  } else {
    shown.phase = key.saving || waits_for_saving(*slot, t.keys->window) ? "saving" : "delivery";
    shown.attempts = slot->deliveries;
    shown.asked_at = t.keys->delivery.asked_at(key.head);
    shown.next_attempt = key.rests_until ? key.rests_until : t.keys->delivery.not_before();
    shown.last_error = std::string{key.last_error};
  }
  return shown;
}

} // namespace reseq::core
