#include "receivers.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "owner.hpp"
#include "world.hpp"

namespace reseq::simulation {
namespace {

using std::chrono::milliseconds;

const char* text(const core::receiver_answer& answer) {
  if (std::holds_alternative<core::confirmed>(answer)) return "confirms";
  if (std::holds_alternative<core::refused>(answer)) return "refuses";
  return std::holds_alternative<core::stale>(answer) ? "has seen a later epoch and rejects" : "fails";
}

} // namespace

receivers::receivers(world& with) : world_(with), away_(with.plan.destinations.size()) {}

void receivers::deliver(const core::send_request& request) {
  if (world_.plan.of(request.destination).transactional) return write_file(request);
  const auto number = ++last_number_;
  const bool hangs = world_.fault(world_.plan.faults.receiver_hangs);
  wire_.push_back({request, world_.boss->number, number, hangs, false});
  const auto limit = world_.plan.of(request.destination).settings.timeout;
  const auto sink = static_cast<party>(first_sink + request.destination.value() - 1);
  world_.mail.ring_at(world_.now + limit, sink, [this, number] { give_up_waiting(number); });
}

/// As `actors/file_sink`: what the file has already is confirmed without writing.
void receivers::write_file(const core::send_request& request) {
  auto& book = world_.book_of(request.destination);
  const auto& faults = world_.plan.faults;
  const bool down = is_away(request.destination) || world_.fault(faults.receiver_fails);
  const bool torn = world_.fault(faults.connection_breaks);
  if (!down) {
    const auto last = book.highest();
    auto room = torn ? world_.choose.below(static_cast<std::uint32_t>(request.items.size() + 1)) : request.items.size();
    for (const auto& item : request.items)
      if (item.seq > last && room > 0) {
        book.follows(item);
        book.took(item, world_.boss->number, false);
        --room;
      }
  }
  if (down || torn) return reply(request, core::failing{"the disk is full", std::nullopt});
  book.confirmed(request);
  reply(request, core::confirmed{});
}

void receivers::lose_owner() {
  for (auto& w : wire_) w.abandoned = true;
  std::erase_if(wire_, [&](const wired&) { return world_.choose.chance(700); });
}

void receivers::give_up_waiting(std::uint64_t number) {
  const auto found = std::ranges::find(wire_, number, &wired::number);
  if (found == wire_.end()) return;
  reply(found->request, core::failing{"no answer in time", std::nullopt});
  found->abandoned = true;
  if (world_.calm || world_.choose.chance(700)) wire_.erase(found);
}

std::uint32_t receivers::under_way() const {
  return static_cast<std::uint32_t>(std::ranges::count(wire_, false, &wired::hangs));
}

void receivers::act() {
  auto nth = world_.choose.below(under_way());
  const auto found = std::ranges::find_if(wire_, [&](const wired& w) { return !w.hangs && nth-- == 0; });
  const auto what = std::move(*found);
  wire_.erase(found);
  auto answer = decide(what);
  if (!what.abandoned) reply(what.request, std::move(answer));
}

core::receiver_answer receivers::decide(const wired& what) {
  const auto& plan = world_.plan.of(what.request.destination);
  const auto& faults = world_.plan.faults;
  auto& book = world_.book_of(what.request.destination);
  if (what.abandoned) world_.tell("d", plan.id, ": a request that was given up still arrives: ", what.request);
  if (is_away(plan.id)) return core::failing{"away", std::nullopt};
  if (world_.fault(faults.receiver_fails)) {
    const bool wish = world_.choose.chance(300);
    return core::failing{"503", wish ? std::optional<duration>{milliseconds{world_.choose.below(5000)}} : std::nullopt};
  }
  if (world_.fault(faults.claims_later_epoch)) return core::stale{what.owner + 1 + world_.choose.below(3)};
  if (plan.checks_epoch && what.owner < book.newest()) return core::stale{book.newest()};
  if (refused(what)) return core::refused{"422"};
  if (std::ranges::any_of(what.request.items, [&](const auto& item) { return is_poisoned(plan.id, item); }))
    return core::failing{"500", std::nullopt};
  if (world_.fault(faults.connection_breaks)) {
    take(what, world_.choose.below(static_cast<std::uint32_t>(what.request.items.size() + 1)));
    return core::failing{"the connection broke", std::nullopt};
  }
  take(what, what.request.items.size());
  if (!what.abandoned) book.confirmed(what.request);
  return core::confirmed{};
}

bool receivers::refused(const wired& what) {
  const auto d = what.request.destination;
  const auto& items = what.request.items;
  const auto refuses_it = [&](const core::send_item& item) {
    const bool poison = poisoned_ && poisoned_->refuses && is_poisoned(d, item);
    return refuses(d, item.at) || (poison && !world_.book_of(d).has(item.seq));
  };
  const bool any = std::ranges::any_of(items, refuses_it);
  if (any && items.size() == 1) world_.book_of(d).refuses(items.front().seq);
  return any;
}

bool receivers::refuses(destination_id d, position at) const {
  const auto luck = (at.value() * 2654435761U + d.value() * 40503U) >> 3U;
  return !world_.plan.of(d).transactional && luck % 1000 < world_.plan.outcomes.refused;
}

void receivers::take(const wired& what, std::size_t items) {
  auto& book = world_.book_of(what.request.destination);
  for (std::size_t i = 0; i < items; ++i) book.took(what.request.items[i], what.owner, what.abandoned);
}

void receivers::reply(const core::send_request& request, core::receiver_answer answer) {
  const auto d = request.destination;
  world_.tell("d", d, " ", text(answer), " ", request);
  const auto sink = static_cast<party>(first_sink + d.value() - 1);
  world_.mail.post(sink, shard_party, [this, d, id = request.id, said = std::move(answer)] {
    world_.book_of(d).answered(id, said, world_.now);
    world_.boss->lanes.delivered(d, id, said);
  });
}

void receivers::go_away(destination_id d) {
  world_.tell("d", d, " goes away");
  away_[d.value() - 1] = true;
}

void receivers::go_back(destination_id d) {
  auto& book = world_.book_of(d);
  const auto to =
    book.latest_up_to(sequence{world_.choose.below(static_cast<std::uint32_t>(book.highest().value()) + 1)});
  world_.tell("d", d, " was restored from an older copy, of when it had ", to);
  book.goes_back(to);
}

void receivers::poison(destination_id d, std::string key, bool refuses) {
  world_.tell("d", d, refuses ? " refuses" : " fails for", " the messages with key \"", key, "\"");
  poisoned_ = {d, std::move(key), refuses};
}

bool receivers::is_poisoned(destination_id d, const core::send_item& item) const {
  return poisoned_ && poisoned_->destination == d && poisoned_->key == item.message->key();
}

void receivers::recover() {
  for (auto& w : wire_) w.hangs = false;
}

} // namespace reseq::simulation
