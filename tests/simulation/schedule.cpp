#include "schedule.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "choices.hpp"
#include "owner.hpp"
#include "story.hpp"
#include "violation.hpp"
#include "world.hpp"

namespace reseq::simulation {
namespace {

outcome run(choices from, bool with_story) {
  outcome out;
  story told{with_story};
  world all{from, told};
  try {
    all.run();
  } catch (const violation& broken) {
    out.promise = broken.promise();
    out.broken = broken.what();
  } catch (const std::exception& thrown) {
    out.promise = "a state machine threw";
    out.broken = out.promise + ": " + thrown.what();
  }
  out.steps = all.steps();
  out.choices = from.tape();
  out.story = told.lines();
  return out;
}

/// Tries changes to a tape for as long as there is time, and keeps those that leave it failing.
class shrinker {
public:
  shrinker(tape first, std::function<bool(const tape&)> fails, std::chrono::seconds limit)
    : fails_(std::move(fails)), best_(std::move(first)), end_(std::chrono::steady_clock::now() + limit) {}

  tape run() {
    for (tape before; before != best_ && has_time();) {
      before = best_;
      cut_end();
      for (auto size = best_.size() / 2; size > 0; size /= 2) change_spans(size);
      lower_numbers();
    }
    return best_;
  }

private:
  [[nodiscard]] bool has_time() const { return std::chrono::steady_clock::now() < end_; }

  bool keep(tape candidate) {
    while (!candidate.empty() && candidate.back() == 0) candidate.pop_back();
    if (candidate == best_ || !has_time() || !fails_(candidate)) return false;
    best_ = std::move(candidate);
    return true;
  }

  void cut_end() {
    for (auto size = best_.size() / 2; size > 0; size /= 2)
      while (best_.size() > size && keep({best_.begin(), best_.end() - static_cast<std::ptrdiff_t>(size)})) {
      }
  }

  void change_spans(std::size_t size) {
    for (std::size_t from = 0; from + size <= best_.size() && has_time();) {
      const auto first = static_cast<std::ptrdiff_t>(from);
      const auto last = static_cast<std::ptrdiff_t>(from + size);
      auto without = best_;
      without.erase(without.begin() + first, without.begin() + last);
      if (keep(std::move(without))) continue;
      auto zeroed = best_;
      std::fill(zeroed.begin() + first, zeroed.begin() + last, 0U);
      keep(std::move(zeroed));
      from += size;
    }
  }

  void lower_numbers() {
    for (std::size_t i = 0; i < best_.size() && has_time(); ++i)
      for (auto by = best_[i]; by > 0; by /= 2) {
        if (i >= best_.size() || best_[i] < by) continue;
        auto lower = best_;
        lower[i] -= by;
        keep(std::move(lower));
      }
  }

  std::function<bool(const tape&)> fails_;
  tape best_;
  std::chrono::steady_clock::time_point end_;
};

} // namespace

outcome run_seed(std::uint64_t seed, bool with_story) { return run(choices{seed}, with_story); }

outcome run_tape(const tape& recorded, bool with_story) { return run(choices{recorded}, with_story); }

tape shrink(const tape& first, std::function<bool(const tape&)> fails, std::chrono::seconds limit) {
  return shrinker{first, std::move(fails), limit}.run();
}

} // namespace reseq::simulation
