#include "reseq/store/id_run.hpp"

#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "catch.hpp"

namespace reseq::test {

using store::id_entry;
using store::id_run;

namespace {

/// Everything, `step` entries at a time.
std::vector<id_entry> all_of(const id_run& run, std::size_t step) {
  std::vector<id_entry> out;
  id_run::cursor at;
  while (out.size() < run.size()) at = run.copy(at, step, out);
  run.copy(at, step, out); // nothing is left
  return out;
}

std::vector<position> found_in(const id_run& run, std::uint64_t key) {
  std::vector<position> out;
  run.find(key, out);
  return out;
}

} // namespace

TEST_CASE("entries come in the order of their keys and positions, in pieces of any size, and are found") {
  const std::uint64_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (const std::size_t expected : {0U, 1U, 64U, 5000U}) {
    id_run run(expected);
    for (int generation = 0; generation < 2; ++generation) {
      std::multiset<id_entry> model;
      for (std::uint64_t i = 1; i <= 1000; ++i) {
        const std::uint64_t key = i % 3 == 0 ? i : random(); // some that a hash would not give
        const id_entry entry{i % 7 == 0 && !model.empty() ? model.begin()->key : key, position{i}};
        run.add(entry);
        model.insert(entry);
      }
      REQUIRE(run.size() == model.size());
      for (const std::size_t step : {1U, 7U, 1000U})
        REQUIRE(all_of(run, step) == std::vector(model.begin(), model.end()));
      for (const auto& [key, at] : model) {
        std::vector<position> same;
        for (auto it = model.lower_bound({key, {}}); it != model.end() && it->key == key; ++it) same.push_back(it->at);
        REQUIRE(found_in(run, key) == same);
      }
      REQUIRE(found_in(run, ~model.rbegin()->key).empty());
      run.clear();
      REQUIRE(run.size() == 0);
      REQUIRE(found_in(run, model.begin()->key).empty());
    }
  }
}

} // namespace reseq::test
