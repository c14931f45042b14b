#include "reseq/store/redis/update_call.hpp"

#include <charconv>
#include <optional>
#include <utility>

#include "reseq/store/redis/result_text.hpp"

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

/// A part of the updates that becomes one call.
class call {
public:
  [[nodiscard]] bool takes_result() const { return results_.size_bytes() < most_result_bytes; }
  [[nodiscard]] bool takes_lane() const { return lanes_ < most_lanes && sequences_ < most_sequences; }

  void forget_results() { forget_ = true; }
  void add(const core::stored_result& one) { results_.add(encode_key(one.key)).add(encode_result(one)); }
  void add_unneeded(core::work_key key) { unneeded_.add(encode_key(key)); }

  void add(const core::lane_update& lane, std::string_view prefix, const std::string& name) {
    ++lanes_;
    sequences_ += lane.admitted.size() + lane.ready.size() + lane.settled.size();
    const auto key = std::string(prefix) + "lane:" + name;
    keys_.add(key + ":pending").add(key + ":ready");
    fields_.add("lane:" + name);
    steps_.number(lane.version.value()).number(lane.step.value()).number(lane.releases ? 1 : 0);
    steps_.number(lane.admitted.empty() ? 0 : lane.admitted.back().value());
    for (const auto* all : {&lane.admitted, &lane.ready, &lane.settled}) steps_.number(all->size());
    for (const auto* all : {&lane.admitted, &lane.ready, &lane.settled})
      for (const auto seq : *all) steps_.number(seq.value());
  }

  [[nodiscard]] command made(epoch ours, std::string_view prefix) const {
    command out;
    out.number(2 + keys_.size()).add(std::string(prefix) + "shard").add(std::string(prefix) + "results").append(keys_);
    out.number(ours.value()).number(lanes_).append(fields_);
    out.number(forget_ ? 1 : 0).number(results_.size() / 2).append(results_);
    return out.number(unneeded_.size()).append(unneeded_).append(steps_);
  }

private:
  bool forget_ = false;
  std::size_t lanes_ = 0;
  std::size_t sequences_ = 0;
  command results_;
  command unneeded_;
  command keys_;
  command fields_;
  command steps_;
};

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

std::vector<command> update_calls(const core::lane_updates& updates, epoch ours, std::string_view prefix,
                                  const std::map<destination_id, std::string>& lanes) {
  std::vector<call> calls(1);
  if (updates.forget_results) calls.back().forget_results();
  for (const auto& one : updates.results) {
    if (!calls.back().takes_result()) calls.emplace_back();
    calls.back().add(one);
  }
  for (const auto key : updates.unneeded) calls.back().add_unneeded(key);
  for (const auto& lane : updates.lanes) {
    if (!calls.back().takes_lane()) calls.emplace_back();
    calls.back().add(lane, prefix, lanes.at(lane.destination));
  }
  std::vector<command> made;
  made.reserve(calls.size());
  for (const auto& one : calls) made.push_back(one.made(ours, prefix));
  return made;
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
