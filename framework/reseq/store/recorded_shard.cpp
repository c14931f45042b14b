#include "reseq/store/recorded_shard.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "reseq/core/lane_updates.hpp"
#include "reseq/model/counted.hpp"

namespace reseq::store {

namespace {

/// Keeps sums with sequences from overflowing.
constexpr std::uint64_t most_pending = std::uint64_t{1} << 60U;

} // namespace

std::uint64_t missing_after(const core::progress_record& progress, std::span<const lost_sequences> lost) {
  std::uint64_t missing = 0;
  for (const auto& one : lost)
    if (one.range.last > std::max(progress.watermark, progress.reached)) missing += one.range.size();
  return missing;
}

result<void> check_recovery(const owned_shard& shard, const recovery& how) {
  if (how.owner <= shard.owner || how.last < shard.heads.last)
    return fail(errc::invalid, "epochs and positions only grow", "recovery");
  const auto known = [&](destination_id id) { return shard.heads.destinations.contains(id); };
  for (const auto& [id, range] : how.missing) {
    const auto named = "destination " + std::to_string(id.value());
    if (!known(id)) return fail(errc::invalid, "is not known", named);
    if (range.first == sequence{} || range.last < range.first || range.last > core::greatest_sequence)
      return fail(errc::invalid, "there are no such sequences", named);
    const auto last = shard.behind.last(id);
    if (range.first <= last && range.last > last) return fail(errc::invalid, "would lose what is there", named);
  }
  for (const auto& one : how.rewound)
    if (!known(one.destination))
      return fail(errc::invalid, "is not known", "destination " + std::to_string(one.destination.value()));
  return {};
}

result<void> check_names(std::span<const destination_spec> specs) {
  std::set<std::string_view> names;
  for (const auto& spec : specs)
    if (!names.insert(spec.name).second) return fail(errc::invalid, "two destinations are called so", spec.name);
  return {};
}

recorded_shard::destination& recorded_shard::at(destination_id id) {
  auto& found = recorded_[id];
  found.progress.destination = id;
  return found;
}

std::vector<std::pair<destination_id, std::string>> recorded_shard::add_new(std::span<const destination_spec> specs,
                                                                            owned_shard& owned) {
  std::set<std::string, std::less<>> names;
  for (const auto& [id, found] : recorded_) names.insert(found.name);
  std::uint32_t last = recorded_.empty() ? 0 : recorded_.rbegin()->first.value();
  std::vector<std::pair<destination_id, std::string>> added;
  for (const auto& spec : specs) {
    if (names.contains(spec.name)) continue;
    const destination_id id{++last};
    at(id).name = spec.name;
    owned.behind.start(id, sequence{});
    added.emplace_back(id, spec.name);
  }
  return added;
}

std::vector<std::pair<std::string, std::uint64_t>> recorded_shard::backlogs(const owned_shard& owned) const {
  std::vector<std::pair<std::string, std::uint64_t>> all;
  for (const auto& [id, found] : recorded_) {
    const sequence settled{found.progress.settled_messages() + missing_after(found.progress, found.lost)};
    const auto last = owned.behind.last(id);
    if (last > settled) all.emplace_back(found.name, last - settled);
  }
  std::ranges::sort(all);
  return all;
}

result<void> recorded_shard::check_leavers(std::span<const destination_spec> specs, const owned_shard& owned) const {
  for (const auto& [name, messages] : backlogs(owned))
    if (std::ranges::find(specs, name, &destination_spec::name) == specs.end())
      return fail(
        errc::conflict,
        "is no longer configured and still has " + counted(messages, "undelivered message") +
          ": deliver what waits first, by configuring it again (to a file:// if its receiver is gone for good)",
        "destination " + owned.name.pipeline + "/" + name);
  return {};
}

void recorded_shard::describe(std::span<const destination_spec> specs, owned_shard& owned, shard_state& state) {
  std::map<std::string_view, destination_id> by_name;
  for (const auto& [id, found] : recorded_) by_name[found.name] = id;
  for (const auto& spec : specs) {
    const destination_id id = by_name.at(spec.name);
    auto& found = recorded_.at(id);
    const sequence last = owned.behind.last(id);
    owned.heads.destinations[id] = {spec.name, last, {}};
    owned.backlogs[id].max_pending = std::min(spec.max_pending, most_pending);
    if (!found.lost.empty()) owned.lost[id] = found.lost;
    owned.settle(found.progress);
    state.destinations.push_back({id, spec.name, last, std::move(found.progress), std::move(found.held),
                                  std::move(found.parked), std::move(found.lost)});
  }
}

} // namespace reseq::store
