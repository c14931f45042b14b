#include "reseq/store/receiver_survey.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "reseq/core/progress.hpp"

namespace reseq::store {

namespace {

constexpr std::uint32_t letters_at_once = 1000;

const destination_state* find(const shard_state& shard, destination_id id) {
  const auto found = std::ranges::find(shard.destinations, id, &destination_state::id);
  return found == shard.destinations.end() ? nullptr : &*found;
}

/// The first sequence from `seq` on that no recovery found to be missing.
sequence after_lost(const destination_state& of, sequence seq) {
  for (const auto& [range, recovered, why] : of.lost)
    if (range.first <= seq && seq <= range.last) seq = range.last + 1;
  return seq;
}

/// Whether the journal still has the message; of what a recovery found to be missing, whether it has the one after
/// that.
result<bool> has(journal& from, shard_handle shard, const destination_state& of, sequence seq) {
  seq = after_lost(of, seq);
  if (seq > of.last) return true;
  const auto items = from.read(shard, of.id, seq, 1, 1);
  if (!items && items.error().code == errc::not_found) return false;
  if (!items) return tl::unexpected(items.error());
  return !items->empty() && items->front().seq == seq;
}

/// The first message after `last` that the journal still has. Messages leave it in the order in which they came.
result<sequence> first_after(journal& from, shard_handle shard, const destination_state& of, sequence last) {
  auto low = last + 1;
  for (auto high = of.progress.watermark + 1; low < high;) {
    const sequence middle{low.value() + (high - low) / 2};
    const auto there = has(from, shard, of, middle);
    if (!there) return tl::unexpected(there.error());
    if (*there)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/// Dead letters of the destination after `last`, up to the watermark.
result<std::vector<sequence>> dead_letters_after(journal& from, shard_handle shard, const destination_state& of,
                                                 sequence last) {
  std::vector<sequence> all;
  core::enrolment after{of.id, last};
  for (;;) {
    const auto some = from.dead_letters(shard, after, letters_at_once);
    if (!some) return tl::unexpected(some.error());
    for (const auto& one : *some) {
      after = {one.record.destination, one.record.seq};
      if (after.destination != of.id || after.seq > of.progress.watermark) return all;
      all.push_back(after.seq);
    }
    if (some->size() < letters_at_once) return all;
  }
}

/// What lies after `last` and before `next`, which the journal no longer has, and no recovery found to be missing
/// before. Nothing if all of that was given up, and is not to be delivered.
std::vector<core::sequence_range> missing_of(const destination_state& of, sequence last, sequence next,
                                             std::span<const sequence> given_up) {
  std::vector<core::sequence_range> missing;
  auto from = last + 1;
  for (const auto& [range, recovered, why] : of.lost) {
    if (range.last < from) continue;
    if (range.first >= next) break;
    if (range.first > from) missing.push_back({from, range.first - 1});
    from = range.last + 1;
  }
  if (from < next) missing.push_back({from, next - 1});
  const auto is_needed = [&](const core::sequence_range& range) {
    const auto first = std::ranges::lower_bound(given_up, range.first);
    const auto end = std::ranges::upper_bound(given_up, range.last);
    return static_cast<std::uint64_t>(end - first) < range.size();
  };
  if (std::ranges::none_of(missing, is_needed)) missing.clear();
  return missing;
}

/// The id of what the journal has under that sequence, if it has anything.
result<std::optional<std::string>> id_of(journal& from, shard_handle shard, const destination_state& of, sequence seq) {
  using id = std::optional<std::string>;
  if (seq == sequence{} || seq > of.last || after_lost(of, seq) != seq) return id{};
  const auto items = from.read(shard, of.id, seq, 1, 1);
  if (!items && items.error().code != errc::not_found) return tl::unexpected(items.error());
  if (!items || items->empty() || items->front().seq != seq) return id{};
  return id{items->front().message->id()};
}

std::string label(const destination_state& of) { return "the receiver of destination " + of.name; }

} // namespace

result<void> recognize(journal& from, const shard_state& shard, std::span<receiver_seen> seen) {
  for (auto& [id, has] : seen) {
    const auto* of = find(shard, id);
    if (of == nullptr || has.unclaimed.empty()) continue;
    const auto ours = id_of(from, shard.handle, *of, has.last);
    if (!ours) return tl::unexpected(ours.error());
    if (*ours && **ours == has.last_message) has.unclaimed.clear();
  }
  return {};
}

std::optional<std::string> find_unclaimed(const shard_state& shard, std::span<const receiver_seen> seen) {
  for (const auto& [id, has] : seen)
    if (const auto* of = find(shard, id); of != nullptr && !has.unclaimed.empty())
      return label(*of) + " " + belongs_elsewhere(has);
  return std::nullopt;
}

std::optional<std::string> find_ahead(const shard_state& shard, std::span<const receiver_seen> seen) {
  for (const auto& [id, has] : seen) {
    const auto* of = find(shard, id);
    if (of == nullptr) continue;
    if (!has.foreign.empty()) return label(*of) + " " + belongs_elsewhere(has);
    if (has.owner > shard.owner)
      return label(*of) + " knows of epoch " + std::to_string(has.owner.value()) + ", and the journal of none after " +
             std::to_string(shard.owner.value());
    if (has.last > of->last)
      return label(*of) + " is ahead of the journal: " + described(has) +
             ", and the journal has given it none beyond sequence " + std::to_string(of->last.value());
  }
  return std::nullopt;
}

result<std::optional<std::string>> find_other_history(journal& from, const shard_state& shard,
                                                      std::span<const receiver_seen> seen) {
  for (const auto& [id, has] : seen) {
    const auto* of = find(shard, id);
    if (of == nullptr || has.last_message.empty()) continue;
    const auto ours = id_of(from, shard.handle, *of, has.last);
    if (!ours) return tl::unexpected(ours.error());
    if (*ours && **ours != has.last_message)
      return std::optional(
        label(*of) + " has another history: " + described(has) + ", which is message " + **ours +
        " in the journal. No recovery mends that: empty the table and delete its row in "
        "reseq.delivered (of a stream: delete it, and its key reseq:{…}:receiver:…), or name another "
        "one, and start again");
  }
  return std::optional<std::string>{};
}

result<rewinding> plan_rewinding(journal& from, const shard_state& shard, std::span<const receiver_seen> seen) {
  rewinding plan;
  for (const auto& [id, has] : seen) {
    const auto* of = find(shard, id);
    if (of == nullptr || !core::progress::is_ahead_of(of->progress, has.last)) continue;
    const auto next = first_after(from, shard.handle, *of, has.last);
    if (!next) return tl::unexpected(next.error());
    const auto given_up = dead_letters_after(from, shard.handle, *of, has.last);
    if (!given_up) return tl::unexpected(given_up.error());
    const auto gone = missing_of(*of, has.last, *next, *given_up);
    // What is passed over as missing is not settled, too.
    const auto kept = gone.empty() ? given_up->begin() : std::ranges::lower_bound(*given_up, *next);
    plan.progress.push_back(core::progress::gone_back(of->progress, has.last, std::span(kept, given_up->end())));
    plan.why += (plan.why.empty() ? "" : "; ") + std::string("the receiver of destination ") + of->name +
                " has gone back: " + described(has) + ", and sequence " +
                std::to_string(of->progress.last_delivered.value()) + " was delivered there";
    if (gone.empty()) continue;
    for (const auto& range : gone) plan.missing.push_back({id, range});
    plan.why += ", and the journal keeps nothing before sequence " + std::to_string(next->value()) + " any more";
  }
  return plan;
}

} // namespace reseq::store
