#include "reseq/store/redis/update_call.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

#include "reseq/store/redis/result_text.hpp"
#include "reseq/store/redis/scripts.hpp"

namespace reseq::store::redis {
namespace {

// A thousand sequences take Redis some two milliseconds, a mebibyte of results about one.
constexpr std::size_t most_sequences = 2000;
constexpr std::size_t most_lanes = 200;
constexpr std::size_t most_result_bytes = 1U << 20U;

/// A run of a released text is never longer than a window can be.
constexpr std::uint64_t longest_run = 1U << 24U;

tl::unexpected<error> not_ours() {
  return fail(errc::corrupt, "the script's answer cannot be read", "the resequencer in Redis");
}

/// The part of the updates that becomes one call.
struct part {
  std::span<const core::stored_result> results;
  std::span<const core::lane_update> lanes;
  bool first = false;
  bool last = false;
};

/// Takes results off the front, up to so many bytes but at least one.
std::span<const core::stored_result> take_results(std::span<const core::stored_result>& from) {
  std::size_t count = 0;
  for (std::size_t bytes = 0; count < from.size() && bytes < most_result_bytes; ++count)
    if (const auto& body = from[count].done.body) bytes += size_bytes(*body);
  const auto taken = from.first(count);
  from = from.subspan(count);
  return taken;
}

/// Takes lanes off the front, up to so many sequences but at least one.
std::span<const core::lane_update> take_lanes(std::span<const core::lane_update>& from) {
  std::size_t count = 0;
  for (std::size_t sequences = 0; count < from.size() && count < most_lanes && sequences < most_sequences; ++count)
    sequences += from[count].admitted.size() + from[count].ready.size() + from[count].settled.size();
  const auto taken = from.first(count);
  from = from.subspan(count);
  return taken;
}

/// Results first, each lane in one piece.
std::vector<part> divide(const core::lane_updates& updates) {
  std::vector<part> parts;
  std::span results(updates.results);
  std::span lanes(updates.lanes);
  do {
    part next;
    next.first = parts.empty();
    next.results = take_results(results);
    if (results.empty()) next.lanes = take_lanes(lanes);
    next.last = results.empty() && lanes.empty();
    parts.push_back(next);
  } while (!parts.back().last);
  return parts;
}

std::vector<sequence> in_order(std::vector<sequence> all) {
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

void add_lane(command& to, const core::lane_update& lane) {
  to.number(lane.version.value()).number(lane.step.value()).number(lane.releases ? 1 : 0);
  to.number(lane.reached.value());
  const auto ready = in_order(lane.ready);
  const auto settled = in_order(lane.settled);
  for (const auto* all : {&lane.admitted, &ready, &settled}) to.number(all->size());
  for (const auto* all : {&lane.admitted, &ready, &settled})
    for (const auto seq : *all) to.number(seq.value());
}

/// As `update.lua` takes it.
command call_of(const part& what, const core::lane_updates& updates, epoch ours, const shard_names& names) {
  const auto& prefix = names.prefix;
  command out("EVALSHA");
  out.add(update_script.sha1).number(2 + 2 * what.lanes.size()).add(prefix + "shard").add(prefix + "results");
  for (const auto& lane : what.lanes) {
    const auto key = prefix + "lane:" + names.lanes.at(lane.destination);
    out.add(key + ":pending").add(key + ":ready");
  }
  out.number(ours.value()).number(what.lanes.size());
  for (const auto& lane : what.lanes) out.add("lane:" + names.lanes.at(lane.destination));
  out.number(what.first && updates.forget_results ? 1 : 0).number(what.results.size());
  for (const auto& one : what.results) out.add(encode_key(one.key)).add(encode_result(one, names.origin));
  const auto unneeded = what.last ? std::span(updates.unneeded) : std::span<const core::work_key>{};
  out.number(unneeded.size());
  for (const auto key : unneeded) out.add(encode_key(key));
  for (const auto& lane : what.lanes) add_lane(out, lane);
  return out;
}

std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// "17-20 23"
std::optional<std::vector<sequence>> decode_runs(std::string_view text) {
  std::vector<sequence> out;
  while (!text.empty()) {
    if (!out.empty()) text.remove_prefix(1);
    const auto first = take_number(text);
    if (!first) return std::nullopt;
    auto last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      last = take_number(text);
    }
    if (!last || *last < *first || *last - *first > longest_run) return std::nullopt;
    for (auto seq = *first; seq <= *last; ++seq) out.emplace_back(seq);
  }
  return out;
}

} // namespace

std::vector<command> update_calls(const core::lane_updates& updates, epoch ours, const shard_names& names) {
  std::vector<command> calls;
  for (const auto& one : divide(updates)) calls.push_back(call_of(one, updates, ours, names));
  return calls;
}

result<void> check_epoch(const reply& answer, epoch ours) {
  if (answer.size() == 0) return not_ours();
  const auto said = answer[0];
  auto text = said.text();
  const auto in_force = take_number(text);
  if (!in_force) return not_ours();
  if (*in_force == ours.value()) return {};
  return fail(errc::fenced, "a later owner has the lanes, of epoch " + std::to_string(*in_force));
}

result<core::lane_answers> read_answers(std::span<const reply> answers, epoch ours) {
  core::lane_answers out;
  for (const auto& answer : answers) {
    if (auto fine = check_epoch(answer, ours); !fine) return tl::unexpected(std::move(fine.error()));
    if (answer.size() % 3 != 2) return not_ours();
    out.results = static_cast<std::uint64_t>(answer[1].integer());
    for (std::size_t i = 2; i < answer.size(); i += 3) {
      const auto released = answer[i];
      if (released.type() == reply::kind::nil) {
        out.lanes.emplace_back();
        continue;
      }
      auto runs = decode_runs(released.text());
      if (released.type() != reply::kind::text || !runs) return not_ours();
      out.lanes.push_back({true, std::move(*runs), static_cast<std::uint64_t>(answer[i + 1].integer()),
                           static_cast<std::uint64_t>(answer[i + 2].integer())});
    }
  }
  return out;
}

} // namespace reseq::store::redis
