#include "resequencer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <utility>

#include "owner.hpp"
#include "violation.hpp"
#include "world.hpp"

namespace reseq::simulation {
namespace {

constexpr std::size_t most_kept = 4;

/// As over a network: what is stored is nobody's memory but the resequencer's.
void copy_bodies(std::vector<core::stored_result>& results) {
  for (auto& one : results)
    if (one.done.body) one.done.body = std::make_shared<const content>(*one.done.body);
}

} // namespace

void resequencer::called(epoch owner, core::mirror_call call) {
  const auto& f = world_.plan.faults;
  if (call.updates) copy_bodies(call.updates->results);
  const bool breaks = world_.fault(f.resequencer_fails);
  world_.tell("the resequencer is told of ", call.updates ? call.updates->lanes.size() : 0, " lanes",
              call.updates ? "" : ": it is opened", away_ || breaks ? "; there is no answer" : "");
  if (away_ || breaks) {
    if (call.updates && late_.size() < most_kept && world_.fault(500)) late_.push_back({owner, *call.updates});
    reply([this, id = call.id] { world_.boss->lanes.lanes_failed(id, error{errc::unavailable, "away", {}}); }, false);
    return;
  }
  answer(owner, call, world_.fault(f.resequencer_is_late));
}

void resequencer::answer(epoch owner, const core::mirror_call& call, bool late) {
  if (!call.updates) {
    std::vector<core::lane_name> names;
    for (const auto& d : world_.plan.destinations) names.push_back({d.id, d.settings.name, world_.disk.last(d.id)});
    const auto found = store_.open(owner, names);
    require(found || found.error().code != errc::diverged, "Ahead", [&] { return found.error().what; });
    reply(
      [this, id = call.id, found] {
        found ? world_.boss->lanes.lanes_opened(id, *found) : world_.boss->lanes.lanes_failed(id, found.error());
      },
      late);
    return;
  }
  const auto answers = store_.apply(owner, *call.updates);
  reply(
    [this, id = call.id, answers] {
      answers ? world_.boss->lanes.lanes_answered(id, *answers) : world_.boss->lanes.lanes_failed(id, answers.error());
    },
    late);
}

void resequencer::asked(std::vector<core::work_key> keys) {
  if (away_ || world_.fault(world_.plan.faults.resequencer_fails))
    return reply([this] { world_.boss->lanes.loaded(fail(errc::unavailable, "away")); }, false);
  auto found = store_.load(keys);
  world_.tell("the resequencer has ", found.size(), " of ", keys.size(), " results");
  copy_bodies(found);
  reply([this, found] { world_.boss->lanes.loaded(found); }, world_.fault(world_.plan.faults.resequencer_is_late));
}

void resequencer::reply(std::function<void()> what, bool late) {
  const auto post = [this, what = std::move(what)] { world_.mail.post(resequencer_party, shard_party, what); };
  if (!late) return post();
  world_.mail.ring_at(world_.now + std::chrono::milliseconds{1 + world_.choose.below(600)}, resequencer_party, post);
}

void resequencer::lose_owner() { do_late_calls(); }

void resequencer::do_late_calls() {
  for (const auto& call : std::exchange(late_, {})) static_cast<void>(store_.apply(call.owner, call.updates));
}

void resequencer::strike() {
  using part = core::lane_store::part;
  struck_ = true;
  const auto how = world_.choose.below(7);
  world_.tell("the resequencer is struck, way ", how);
  switch (how) {
  case 0: store_ = {}; break;
  case 1:
    if (older_.size() < most_kept) older_.push_back(store_);
    break;
  case 2:
    if (!older_.empty()) store_ = older_[world_.choose.below(static_cast<std::uint32_t>(older_.size()))];
    break;
  case 3: away_ = !away_; break;
  case 4: {
    constexpr std::array parts{part::marks, part::pending, part::ready, part::results};
    const auto count = static_cast<std::uint32_t>(world_.plan.destinations.size());
    store_.lose(parts[world_.choose.below(4)], destination_id{1 + world_.choose.below(count)});
    break;
  }
  case 5: plant(); break;
  default: do_late_calls();
  }
}

/// Results as another journal's messages at the same positions would have left behind.
void resequencer::plant() {
  content body;
  body.content_type = "of another message";
  core::lane_updates planted;
  for (std::uint64_t n = 0; n < 20; ++n)
    planted.results.push_back({{position{n + 1}, core::chain_index{}},
                               "of another history",
                               {std::make_shared<const content>(body), std::nullopt}});
  static_cast<void>(store_.apply(world_.disk.owner(), planted));
}

bool resequencer::keeps_results() const {
  auto copy = store_;
  return !struck_ && !away_ && !copy.open(world_.disk.owner() + 1, {})->results.empty();
}

bool resequencer::lags() const {
  if (struck_ || away_) return false;
  return std::ranges::any_of(world_.plan.destinations, [this](const destination_plan& d) {
    const auto seen = store_.look(std::array{core::lane_name{d.id, d.settings.name}}).lanes;
    return (seen.empty() ? sequence{} : seen.front().reached) < world_.disk.last(d.id);
  });
}

bool resequencer::keeps_sequences() const { return !struck_ && !away_ && store_.sequences() > 0; }

} // namespace reseq::simulation
