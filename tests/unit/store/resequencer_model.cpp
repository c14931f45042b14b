// Random owners with random updates, some of them lost, late or said twice, against the obvious account in memory.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "journal_fixture.hpp"
#include "reseq/core/lane_store.hpp"
#include "resequencer_contract.hpp"
#include "resequencer_fixture.hpp"

namespace reseq::test {

namespace {

constexpr std::uint32_t lane_count = 4;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Draws updates that are mostly what an owner would say, now and then nonsense.
class speaker {
public:
  explicit speaker(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool chance(unsigned percent) { return below(100) < percent; }

  core::lane_updates next() {
    core::lane_updates out;
    for (std::uint32_t lane = 1; lane <= lane_count; ++lane)
      if (chance(50)) out.lanes.push_back(next_step(lane));
    out.forget_results = chance(2);
    for (std::uint64_t n = below(4); n > 0; --n)
      out.results.push_back(stored(any_key(), "m" + std::to_string(below(9))));
    for (std::uint64_t n = below(4); n > 0; --n) out.unneeded.push_back(any_key());
    return out;
  }

  core::work_key any_key() { return key(1 + below(12), static_cast<std::uint32_t>(below(2))); }

private:
  struct said {
    std::uint64_t version = 0;
    std::uint64_t step = 0;
    std::uint64_t next = 1;
    std::vector<std::uint64_t> open; ///< may be made ready or settled
  };

  core::lane_update next_step(std::uint32_t lane) {
    auto& of = lanes_[lane];
    if (of.step == 0 || chance(5)) {
      ++of.version;
      of.step = 0;
      of.open.clear();
      if (chance(20)) of.next = 99'999'999'999'990;
    }
    if (chance(3)) ++of.step; // one is left out
    std::vector<std::uint64_t> admitted;
    for (std::uint64_t n = below(6); n > 0; --n) {
      of.next += chance(10) ? 2 : 1;
      admitted.push_back(of.next);
      of.open.push_back(of.next);
    }
    auto out =
      step(lane, of.version, ++of.step, admitted, take(of.open, 5), chance(30) ? take(of.open, 2) : sequence_list{});
    out.releases = lane != lane_count || chance(10);
    return out;
  }

  sequence_list take(std::vector<std::uint64_t>& from, std::uint64_t most) {
    sequence_list out;
    for (auto n = below(most); n > 0 && !from.empty(); --n) {
      const auto at = from.begin() + static_cast<std::ptrdiff_t>(below(std::min<std::uint64_t>(from.size(), 6)));
      out.push_back(*at);
      if (chance(95)) from.erase(at);
    }
    return out;
  }

  std::mt19937_64 random_;
  std::map<std::uint32_t, said> lanes_;
};

void compare(store::resequencer& real, core::lane_store& model, epoch ours, const core::lane_updates& updates) {
  const auto expected = model.apply(ours, updates);
  const auto got = real.apply(updates);
  REQUIRE(got.has_value() == expected.has_value());
  if (expected)
    REQUIRE(*got == *expected);
  else
    REQUIRE(got.error().code == expected.error().code);
}

void compare_results(store::resequencer& real, const core::lane_store& model, const std::vector<core::work_key>& keys) {
  const auto by_key = [](const core::stored_result& a, const core::stored_result& b) { return a.key < b.key; };
  auto got = must(real.load(keys));
  auto expected = model.load(keys);
  std::ranges::sort(got, by_key);
  std::ranges::sort(expected, by_key);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    REQUIRE(got[i].key == expected[i].key);
    REQUIRE(got[i].message_id == expected[i].message_id);
    REQUIRE(*got[i].done.body == *expected[i].done.body);
  }
}

void run(const place_factory& make, std::uint64_t seed) {
  const auto place = make();
  core::lane_store model;
  std::uint64_t owner = 0;
  speaker says(seed);
  std::vector<std::pair<epoch, std::unique_ptr<store::resequencer>>> owners;
  std::deque<core::lane_updates> late;
  for (int steps = 0; steps < 120; ++steps) {
    if (owners.empty() || says.chance(3)) {
      const epoch ours{++owner};
      auto access = place->access();
      const auto expected = *model.open(ours, lanes(lane_count));
      const auto found = must(access->open(ours, lanes(lane_count)));
      REQUIRE(found.lanes == expected.lanes);
      REQUIRE(found.results == expected.results);
      owners.emplace_back(ours, std::move(access));
    }
    auto& [ours, access] = owners.size() > 1 && says.chance(5) ? owners[owners.size() - 2] : owners.back();
    late.push_back(says.next());
    if (says.chance(3)) continue; // never gets there, or late
    compare(*access, model, ours, late.back());
    if (says.chance(15)) compare(*access, model, ours, late[says.below(late.size())]);
    if (late.size() > 4) late.pop_front();
    if (says.chance(20)) compare_results(*access, model, {key(1), key(2, 1), says.any_key()});
  }
}

} // namespace

void check_against_model(const place_factory& make) {
  const auto first = from_environment("RESEQ_TEST_SEED", 1);
  const auto rounds = from_environment("RESEQ_TEST_ROUNDS", 30);
  for (auto seed = first; seed < first + rounds; ++seed) {
    CAPTURE(seed);
    run(make, seed);
  }
}

} // namespace reseq::test
