#include "resequencer_fixture.hpp"

#include "journal_fixture.hpp"

namespace reseq::test {

std::vector<sequence> sequences(const sequence_list& numbers) { return {numbers.begin(), numbers.end()}; }

sequence_list numbers(const std::vector<sequence>& sequences) {
  sequence_list out;
  for (const auto seq : sequences) out.push_back(seq.value());
  return out;
}

sequence_list range(std::uint64_t first, std::uint64_t last) {
  sequence_list out;
  for (auto seq = first; seq <= last; ++seq) out.push_back(seq);
  return out;
}

core::lane_update step(std::uint32_t destination, std::uint64_t version, std::uint64_t number,
                       const sequence_list& admitted, const sequence_list& ready, const sequence_list& settled) {
  core::lane_update out;
  out.destination = destination_id{destination};
  out.version = core::lane_version{version};
  out.step = core::lane_step{number};
  out.admitted = sequences(admitted);
  if (!admitted.empty()) out.reached = out.admitted.back();
  out.ready = sequences(ready);
  out.settled = sequences(settled);
  return out;
}

core::work_key key(std::uint64_t at, std::uint32_t chain) { return {position{at}, core::chain_index{chain}}; }

core::stored_result stored(core::work_key of, const std::string& message_id, const std::string& payload) {
  content body{payload, "text/plain", {{"traceparent", "00-" + message_id}}};
  return {of, message_id, {std::make_shared<const content>(std::move(body)), {}}};
}

std::vector<core::lane_name> lanes(std::uint32_t count) {
  std::vector<core::lane_name> out;
  for (std::uint32_t i = 1; i <= count; ++i) out.push_back({destination_id{i}, "d" + std::to_string(i)});
  return out;
}

lane_owner::lane_owner(std::unique_ptr<store::resequencer> access, std::uint64_t number, std::uint32_t count)
  : access_(std::move(access)) {
  found = must(access_->open(epoch{number}, lanes(count)));
}

result<core::lane_answers> lane_owner::apply(std::vector<core::lane_update> updates) {
  core::lane_updates all;
  all.lanes = std::move(updates);
  return access_->apply(all);
}

core::lane_answer lane_owner::must_apply(core::lane_update update) {
  const auto answers = must(apply({std::move(update)}));
  REQUIRE(answers.lanes.size() == 1);
  REQUIRE(answers.lanes.front().agrees);
  return answers.lanes.front();
}

} // namespace reseq::test
