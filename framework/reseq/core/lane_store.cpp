#include "reseq/core/lane_store.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace reseq::core {
namespace {

tl::unexpected<error> fenced(epoch by) {
  return fail(errc::fenced, "a later owner has the lanes, of epoch " + std::to_string(by.value()));
}

std::vector<sequence> release_head(std::set<sequence>& pending, std::set<sequence>& ready) {
  std::vector<sequence> released;
  while (!pending.empty() && !ready.empty() && *pending.begin() == *ready.begin()) {
    released.push_back(*pending.begin());
    pending.erase(pending.begin());
    ready.erase(ready.begin());
  }
  return released;
}

result<void> check(const lane_update& update) {
  const auto where = "destination " + std::to_string(update.destination.value());
  if (update.version == lane_version{} || update.step == lane_step{})
    return fail(errc::invalid, "versions and steps are numbered from 1", where);
  if (std::ranges::adjacent_find(update.admitted, std::greater_equal<>{}) != update.admitted.end())
    return fail(errc::invalid, "sequences are admitted in ascending order", where);
  if (!update.admitted.empty() && update.reached < update.admitted.back())
    return fail(errc::invalid, "more is admitted than was assigned", where);
  for (const auto* all : {&update.admitted, &update.ready, &update.settled})
    for (const auto seq : *all)
      if (seq == sequence{} || seq > greatest_sequence)
        return fail(errc::invalid, "there is no sequence " + std::to_string(seq.value()), where);
  if (update.reached > greatest_sequence)
    return fail(errc::invalid, "there is no sequence " + std::to_string(update.reached.value()), where);
  return {};
}

} // namespace

error ahead(const lane_name& lane, sequence reached) {
  return {errc::diverged,
          "Redis was told of sequence " + std::to_string(reached.value()) + " of " + lane.name +
            ", and the journal has assigned none after " + std::to_string(lane.assigned.value()),
          {}};
}

result<void> check(const lane_updates& updates) {
  std::set<destination_id> seen;
  for (const auto& lane : updates.lanes) {
    if (auto fine = check(lane); !fine) return fine;
    if (!seen.insert(lane.destination).second)
      return fail(errc::invalid, "is there twice", "destination " + std::to_string(lane.destination.value()));
  }
  return {};
}

result<lanes_found> lane_store::open(epoch ours, std::span<const lane_name> lanes) {
  if (owner_ > ours) return fenced(owner_);
  for (const auto& lane : lanes)
    if (const auto at = lanes_.find(lane.destination); at != lanes_.end() && at->second.reached > lane.assigned)
      return tl::unexpected(ahead(lane, at->second.reached));
  lanes_found found;
  for (const auto& [id, lane] : lanes_)
    if (std::ranges::find(lanes, id, &lane_name::destination) != lanes.end()) found.lanes.push_back({id, lane.reached});
  for (const auto& [key, kept] : results_) found.results.push_back(key);
  owner_ = ours;
  forget_lanes();
  return found;
}

void lane_store::forget_lanes() {
  for (auto& [id, lane] : lanes_) lane.forget();
}

void lane_store::kept_lane::forget() {
  const auto far = reached;
  *this = {};
  reached = far;
}

lanes_seen lane_store::look(std::span<const lane_name> lanes) const {
  lanes_seen seen{owner_, {}, results_.empty() ? position{} : results_.rbegin()->first.at};
  for (const auto& [id, lane] : lanes_)
    if (std::ranges::find(lanes, id, &lane_name::destination) != lanes.end()) seen.lanes.push_back({id, lane.reached});
  return seen;
}

result<lane_answers> lane_store::apply(epoch ours, const lane_updates& updates) {
  if (auto fine = check(updates); !fine) return tl::unexpected(std::move(fine.error()));
  if (owner_ > ours) return fenced(owner_);
  if (std::exchange(owner_, ours) != ours) forget_lanes();

  if (updates.forget_results) results_.clear();
  for (const auto& one : updates.results) results_.insert_or_assign(one.key, one);
  for (const auto& key : updates.unneeded) results_.erase(key);
  lane_answers answers;
  for (const auto& update : updates.lanes) answers.lanes.push_back(apply(update));
  answers.results = results_.size();
  return answers;
}

lane_answer lane_store::apply(const lane_update& update) {
  const auto [found, never_taken] = lanes_.try_emplace(update.destination);
  auto& at = found->second;
  const bool again = update.version == at.version && update.step == at.step;
  const bool anew = update.step == lane_step{1} && update.version > at.version;
  const bool next = update.version == at.version && update.step == at.step + 1;
  if (!again && !anew && !next) {
    if (never_taken) lanes_.erase(found);
    return {};
  }
  if (!again) {
    if (anew) at.forget();
    at.version = update.version;
    at.step = update.step;
    for (const auto seq : update.admitted) at.pending.insert(seq);
    for (const auto seq : update.ready) at.ready.insert(seq);
    for (const auto seq : update.settled) {
      at.pending.erase(seq);
      at.ready.erase(seq);
    }
    at.reached = std::max(at.reached, update.reached);
    at.released = update.releases ? release_head(at.pending, at.ready) : std::vector<sequence>{};
  }
  return {true, at.released, at.pending.size(), at.ready.size()};
}

std::uint64_t lane_store::sequences() const {
  std::uint64_t sum = 0;
  for (const auto& [id, lane] : lanes_) sum += lane.pending.size() + lane.ready.size();
  return sum;
}

void lane_store::lose(part what, destination_id lane) {
  const auto at = lanes_.find(lane);
  switch (what) {
  case part::marks:
    owner_ = {};
    lanes_.clear();
    break;
  case part::pending:
    if (at != lanes_.end()) at->second.pending.clear();
    break;
  case part::ready:
    if (at != lanes_.end()) at->second.ready.clear();
    break;
  case part::results: results_.clear(); break;
  }
}

std::vector<stored_result> lane_store::load(std::span<const work_key> keys) const {
  std::vector<stored_result> found;
  for (const auto& key : keys)
    if (const auto kept = results_.find(key); kept != results_.end()) found.push_back(kept->second);
  return found;
}

} // namespace reseq::core
