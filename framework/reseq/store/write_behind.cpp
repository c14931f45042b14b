#include "reseq/store/write_behind.hpp"

#include <algorithm>
#include <functional>

#include "reseq/store/codec.hpp"

namespace reseq::store {

namespace {

/// Rows longer than this many chunks are split: one decodes a whole row to read one sequence.
constexpr std::size_t chunks_a_row = 4;

/// A slice writes a generation in half the messages that the next one takes to collect.
constexpr std::size_t written_per_message = 2;
constexpr std::size_t written_at_least = 8;

} // namespace

void write_behind::start(position indexed) {
  const std::lock_guard lock(mutex_);
  indexed_ = last_ = indexed;
}

void write_behind::start(destination_id destination, sequence last) {
  const std::lock_guard lock(mutex_);
  lanes_[destination].first = last + 1;
}

void write_behind::add(position at, std::optional<std::uint64_t> id_key, std::span<const core::enrolment> enrolled) {
  const std::lock_guard lock(mutex_);
  last_ = at;
  if (id_key) collecting_.add({*id_key, at});
  for (const auto& [destination, seq] : enrolled) {
    lane& of = lanes_[destination];
    if (seq != of.first + of.positions.size()) continue;
    of.positions.push_back(at);
    // Shifted by the destination: lanes that always go together do not complete their chunks together.
    const bool complete = (seq.value() + destination.value()) % limits_.chunk_sequences == 0;
    if (complete && !of.full) {
      of.full = true;
      full_lanes_.push_back(destination);
    }
  }
  if (!target_ && last_ - indexed_ >= limits_.generation_messages) begin_generation();
}

void write_behind::begin_generation() {
  std::swap(frozen_, collecting_);
  frozen_at_ = {};
  frozen_left_ = frozen_.size();
  for (const auto& [destination, of] : lanes_)
    if (!of.positions.empty()) sweep_.push_back(destination);
  std::sort(sweep_.begin(), sweep_.end(), std::greater<>{});
  target_ = last_;
}

position write_behind::indexed() const {
  const std::lock_guard lock(mutex_);
  return indexed_;
}

sequence write_behind::last(destination_id destination) const {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(destination);
  return found == lanes_.end() ? sequence{} : found->second.first + found->second.positions.size() - 1;
}

void write_behind::append_chunks(destination_id destination, const lane& of, std::vector<chunk>& out) const {
  const std::span<const position> all(of.positions);
  const std::size_t most = limits_.chunk_sequences * chunks_a_row;
  for (std::size_t from = 0; from < all.size(); from += most) {
    const auto row = all.subspan(from, std::min(most, all.size() - from));
    out.push_back({destination, of.first + from, of.first + from + row.size() - 1, row.back(), encode_positions(row)});
  }
}

write_behind::slice write_behind::due(std::size_t messages) const {
  const std::lock_guard lock(mutex_);
  const std::size_t quota = written_at_least + written_per_message * messages;
  slice out;
  for (const auto destination : full_lanes_) append_chunks(destination, lanes_.at(destination), out.chunks);
  if (!target_) return out;

  out.ids_end = frozen_.copy(frozen_at_, quota, out.ids);
  out.swept = std::min(quota, sweep_.size());
  for (std::size_t i = 0; i < out.swept; ++i) {
    const auto destination = sweep_[sweep_.size() - 1 - i];
    if (const auto& of = lanes_.at(destination); !of.full) append_chunks(destination, of, out.chunks);
  }
  if (out.ids.size() == frozen_left_ && out.swept == sweep_.size()) out.indexed = target_;
  return out;
}

write_behind::slice write_behind::everything() const {
  const std::lock_guard lock(mutex_);
  slice out;
  out.everything = true;
  out.indexed = last_;
  for (const auto& [destination, of] : lanes_) append_chunks(destination, of, out.chunks);
  frozen_.copy(frozen_at_, frozen_left_, out.ids);
  collecting_.copy({}, collecting_.size(), out.ids);
  std::sort(out.ids.begin(), out.ids.end());
  return out;
}

void write_behind::trim(const chunk& done) {
  lane& of = lanes_.at(done.destination);
  const auto count = static_cast<std::ptrdiff_t>(done.last - done.first + 1);
  of.positions.erase(of.positions.begin(), of.positions.begin() + count);
  of.first = done.last + 1;
  of.full = false;
}

void write_behind::written(const slice& done) {
  const std::lock_guard lock(mutex_);
  for (const auto& row : done.chunks) trim(row);
  full_lanes_.clear();
  if (done.everything) {
    collecting_.clear();
    sweep_.clear();
  } else {
    frozen_at_ = done.ids_end;
    frozen_left_ -= done.ids.size();
    sweep_.resize(sweep_.size() - done.swept);
  }
  if (!done.indexed) return;
  indexed_ = *done.indexed;
  target_.reset();
  frozen_.clear();
  frozen_left_ = 0;
}

std::vector<position> write_behind::find(std::uint64_t id_key) const {
  const std::lock_guard lock(mutex_);
  std::vector<position> found;
  collecting_.find(id_key, found);
  frozen_.find(id_key, found);
  return found;
}

std::optional<write_behind::tail_view> write_behind::tail(destination_id destination, sequence from,
                                                          std::size_t limit) const {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(destination);
  if (found == lanes_.end()) return std::nullopt;
  const lane& of = found->second;
  tail_view out{of.first, {}};
  const std::size_t skip = from > of.first ? from - of.first : 0;
  if (skip >= of.positions.size()) return out;
  const auto first = of.positions.begin() + static_cast<std::ptrdiff_t>(skip);
  out.positions.assign(first, first + static_cast<std::ptrdiff_t>(std::min(limit, of.positions.size() - skip)));
  return out;
}

} // namespace reseq::store
