// The small containers of core/detail, each against an obvious model.
#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "reseq/core/detail/ascending_queue.hpp"
#include "reseq/core/detail/dense_index.hpp"
#include "reseq/core/work.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace reseq::core::detail;

namespace {

using index_key = std::pair<std::uint64_t, std::uint64_t>; // number and salt

/// A `dense_index` beside a map that holds the same.
class compared_index {
public:
  void put(index_key key, slot where) {
    auto& place = index_.at(key.first, key.second);
    REQUIRE(place == known(key));
    model_[key] = place = where;
  }
  void erase(index_key key) {
    index_.erase(key.first, key.second);
    model_.erase(key);
  }
  void check(index_key key) const { REQUIRE(index_.find(key.first, key.second) == known(key)); }
  void check_all() const {
    for (const auto& [key, where] : model_) REQUIRE(index_.find(key.first, key.second) == where);
  }
  [[nodiscard]] bool has(index_key key) const { return model_.contains(key); }
  [[nodiscard]] std::size_t size() const { return model_.size(); }

private:
  [[nodiscard]] slot known(index_key key) const {
    const auto found = model_.find(key);
    return found == model_.end() ? no_slot : found->second;
  }

  dense_index index_;
  std::map<index_key, slot> model_;
};

/// An `ascending_queue` beside a set that holds the same.
class compared_queue {
  auto place() {
    return [this](slot what) -> std::uint32_t& { return places_[what]; };
  }

public:
  void push(std::uint64_t key, slot what) {
    queue_.push(key, what, place());
    model_.emplace(key, what);
    keys_[what] = key;
  }
  void erase(slot what) {
    REQUIRE(queue_.key_at(places_.at(what)) == keys_.at(what));
    queue_.erase(places_.at(what), place());
    model_.erase({keys_.at(what), what});
    keys_.erase(what);
  }
  void check() const {
    REQUIRE(queue_.empty() == model_.empty());
    if (model_.empty()) return;
    REQUIRE(queue_.top_key() == model_.begin()->first);
    REQUIRE(keys_.at(queue_.top()) == queue_.top_key());
  }
  [[nodiscard]] slot top() const { return queue_.top(); }
  [[nodiscard]] const std::map<slot, std::uint64_t>& keys() const { return keys_; }

private:
  ascending_queue<std::uint64_t> queue_;
  std::set<std::pair<std::uint64_t, slot>> model_;
  std::map<slot, std::uint64_t> keys_;
  std::map<slot, std::uint32_t> places_;
};

} // namespace

TEST_CASE("an index of numbers finds what was put there, and nothing else") {
  const auto seed = GENERATE(range(1U, 21U));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  // Close together, or far apart; with one salt, or many.
  const auto distance = std::uint64_t{1} << (random() % 3 * 20);
  const auto salts = random() % 2 == 0 ? 1 : 50;
  const auto any = [&] { return index_key{random() % 300 * distance, random() % salts << 32U}; };
  compared_index index;
  for (slot step = 0; step < 20'000; ++step) {
    const auto key = any();
    const bool filling = step / 2000 % 2 == 0;
    if (!index.has(key) && filling)
      index.put(key, step);
    else if (index.has(key) && (!filling || random() % 4 == 0))
      index.erase(key);
    index.check(any());
    if (step % 500 == 0) index.check_all();
  }
}

TEST_CASE("an index of numbers follows a window that moves on") {
  const std::uint64_t start = GENERATE(0U, 1U, UINT64_MAX - 5000);
  compared_index index;
  for (std::uint64_t n = 0; n < 5000; ++n) {
    index.put({start + n, 7}, static_cast<slot>(n));
    if (n >= 100) index.erase({start + n - 100, 7});
    index.check({start + n, 7});
    index.check({start + n, 8});
    if (n >= 100) index.check({start + n - 100, 7});
  }
  CHECK(index.size() == 100);
  index.check_all();
}

TEST_CASE("the least key is on top, in whatever order keys come and go") {
  const auto seed = GENERATE(range(1U, 21U));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto disorder = random() % 3; // none, some, and nothing but that
  compared_queue queue;
  std::uint64_t now = 1000;
  for (slot step = 0; step < 5000; ++step) {
    const bool filling = step / 500 % 2 == 0;
    if (queue.keys().empty() || random() % 8 < (filling ? 6 : 2)) {
      now += random() % 2;
      const bool stray = disorder == 2 || (disorder == 1 && random() % 4 == 0);
      queue.push(stray ? random() % now : now, step);
    } else if (random() % 2 == 0) {
      queue.erase(queue.top());
    } else {
      auto any = queue.keys().lower_bound(static_cast<slot>(random() % (step + 1)));
      if (any == queue.keys().end()) any = queue.keys().begin();
      queue.erase(any->first);
    }
    queue.check();
  }
}

TEST_CASE("chains of a message are a list, however many there are") {
  std::vector<chain_index> wanted;
  chain_list chains;
  CHECK(chains.size() == 0);
  for (std::uint32_t i = 0; i < 5; ++i) {
    wanted.push_back(chain_index{3 * i});
    chains.push_back(chain_index{3 * i});
    CHECK(chains == wanted);
    CHECK(chains.size() == wanted.size());
    CHECK(chains.front() == wanted.front());
    CHECK(chains[i] == wanted[i]);
    auto moved = chain_list{chains};
    CHECK(chain_list{std::move(moved)} == wanted);
  }
}
