#include "reseq/store/redis/redis_resequencer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "reseq/core/lane_store.hpp"
#include "reseq/store/redis/result_text.hpp"
#include "reseq/store/redis/scripts.hpp"
#include "reseq/store/redis/update_call.hpp"

namespace reseq::store::redis {
namespace {

/// How many results one answer may carry: each can be as large as `http.max_result`.
constexpr std::size_t load_at_once = 16;

std::vector<core::work_key> decode_keys(const reply& fields) {
  std::vector<core::work_key> out;
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (const auto key = decode_key(fields[i].text())) out.push_back(*key);
  std::ranges::sort(out);
  return out;
}

command values_of(std::string_view hash, std::span<const core::work_key> keys) {
  command wanted("HMGET");
  wanted.add(hash);
  for (const auto key : keys) wanted.add(encode_key(key));
  return wanted;
}

sequence decode_sequence(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return sequence{value};
}

} // namespace

redis_resequencer::redis_resequencer(std::shared_ptr<client> through, const shard_id& shard, std::string origin)
  : client_(std::move(through)), prefix_("reseq:{" + shard.pipeline + ":" + std::to_string(shard.shard) + "}:"),
    origin_(std::move(origin)) {}

result<core::lanes_found> redis_resequencer::open(epoch ours, std::span<const core::lane_name> lanes) {
  command call("EVALSHA");
  call.add(open_script.sha1)
    .number(2)
    .add(prefix_ + "shard")
    .add(prefix_ + "results")
    .number(ours.value())
    .add(prefix_ + "lane:");
  for (const auto& lane : lanes) call.add(lane.name).number(lane.assigned.value());
  const auto answers = client_->run(open_script, std::array{std::move(call)});
  if (!answers) return tl::unexpected(answers.error());
  const auto& answer = answers->front();
  if (answer.size() == 4)
    for (const auto& lane : lanes)
      if (lane.name == answer[1].text()) return tl::unexpected(core::ahead(lane, decode_sequence(answer[2].text())));
  if (auto fine = check_epoch(answer, ours); !fine) return tl::unexpected(std::move(fine.error()));
  if (answer.size() != 3) return fail(errc::corrupt, "the script's answer cannot be read", prefix_);

  ours_ = ours;
  lanes_.clear();
  for (const auto& lane : lanes) lanes_.emplace(lane.destination, lane.name);
  core::lanes_found found;
  found.results = decode_keys(answer[1]);
  const auto left = answer[2];
  for (const auto& [id, name] : lanes_)
    for (std::size_t i = 0; i + 1 < left.size(); i += 2)
      if (left[i].text() == name) found.lanes.push_back({id, decode_sequence(left[i + 1].text())});
  return found;
}

result<core::lanes_seen> redis_resequencer::look(std::span<const core::lane_name> lanes) {
  command marks("HMGET");
  marks.add(prefix_ + "shard").add("epoch");
  for (const auto& lane : lanes) marks.add("lane:" + lane.name);
  command results("HKEYS");
  results.add(prefix_ + "results");
  const auto answers = client_->run(std::array{std::move(marks), std::move(results)});
  if (!answers) return tl::unexpected(answers.error());
  const auto& found = answers->front();
  core::lanes_seen seen{epoch{decode_sequence(found[0].text()).value()}, {}, {}};
  constexpr std::string_view field = " reached=";
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const auto mark = found[i + 1].text();
    if (const auto at = mark.find(field); at != std::string_view::npos)
      seen.lanes.push_back({lanes[i].destination, decode_sequence(mark.substr(at + field.size()))});
  }
  std::ranges::sort(seen.lanes, {}, &core::lanes_found::lane::destination);
  const auto keys = decode_keys((*answers)[1]);
  if (!keys.empty()) seen.last = keys.back().at;
  return seen;
}

result<core::lane_answers> redis_resequencer::apply(const core::lane_updates& updates) {
  if (auto fine = core::check(updates); !fine) return tl::unexpected(std::move(fine.error()));
  for (const auto& lane : updates.lanes)
    if (!lanes_.contains(lane.destination))
      return fail(errc::invalid, "is no lane of this shard", "destination " + std::to_string(lane.destination.value()));
  const auto answers = client_->run(update_script, update_calls(updates, ours_, {prefix_, origin_, lanes_}));
  if (!answers) return tl::unexpected(answers.error());
  return read_answers(*answers, ours_);
}

result<std::vector<core::stored_result>> redis_resequencer::load(std::span<const core::work_key> keys) {
  std::vector<core::stored_result> found;
  for (; !keys.empty(); keys = keys.subspan(std::min(load_at_once, keys.size()))) {
    const auto some = keys.first(std::min(load_at_once, keys.size()));
    const auto answers = client_->run(std::array{values_of(prefix_ + "results", some)});
    if (!answers) return tl::unexpected(answers.error());
    const auto& values = answers->front();
    for (std::size_t i = 0; i < values.size() && i < some.size(); ++i)
      if (values[i].type() == reply::kind::text)
        if (auto one = decode_result(some[i], values[i].text(), origin_)) found.push_back(std::move(*one));
  }
  return found;
}

} // namespace reseq::store::redis
