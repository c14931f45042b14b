#include "reseq/store/group_commit.hpp"

#include <algorithm>
#include <iterator>

namespace reseq::store {

namespace {

/// Commits of one kind may go on failing while others work.
bool is_away(const error& why) { return why.code == errc::in_doubt || why.code == errc::unavailable; }

} // namespace

const error* group_commit::refusal(shard_handle shard) const {
  const auto found = refused_.find(shard);
  return found == refused_.end() ? nullptr : &found->second;
}

void group_commit::refuse(std::span<const gone_back> found) {
  for (const auto& [shard, why] : found) refuse(shard, {errc::unavailable, "has diverged: " + why, "journal"});
}

std::uint64_t group_commit::bytes_of(const message& what) const { return what.size_bytes() + limits_.bytes_beside; }

group_commit::news group_commit::let_go(shard_handle shard) {
  shards_.erase(shard);
  doubted_.erase(shard);
  std::erase_if(troubled_, [&](const auto& one) { return one.first == shard; });
  auto left = batch_.extract(shard);
  if (!left) return {shard, {}, {}, 0, {}};
  for (const auto& one : left.mapped().submissions) batch_bytes_ -= bytes_of(*one.message);
  written dropped{std::move(left.mapped().requests), left.mapped().change.has_value(), {}};
  return settle(shard, dropped, fail(errc::unavailable, "its pipeline is being recovered"));
}

void group_commit::submit(shard_handle shard, std::vector<submission> wanted, answer_to to) {
  auto& of = batch_[shard];
  for (const auto& one : wanted) batch_bytes_ += bytes_of(*one.message);
  of.requests.push_back({wanted.size(), std::move(to)});
  std::ranges::move(wanted, std::back_inserter(of.submissions));
  due_ = due_ || batch_bytes_ >= limits_.max_batch_bytes;
}

void group_commit::save(shard_handle shard, core::journal_change change) { batch_[shard].change = std::move(change); }

group_commit::step group_commit::next() {
  if (!has_room()) return step::nothing;
  if (due_) return step::now;
  if (flushing_ || batch_.empty()) return step::nothing;
  flushing_ = true;
  return step::soon;
}

void group_commit::flushed() {
  flushing_ = false;
  due_ = due_ || (has_room() && !batch_.empty()); // without room `soon` is said again when there is
}

std::vector<shard_commit> group_commit::begin() {
  due_ = false;
  batch_bytes_ = 0;
  std::vector<shard_commit> commits;
  commits.reserve(batch_.size());
  for (auto& [shard, of] : std::exchange(batch_, {})) {
    auto& mine = under_way_[shard];
    mine.saves = of.change.has_value();
    mine.requests = std::move(of.requests);
    if (!of.submissions.empty()) mine.has.insert(kind::submissions);
    if (mine.saves && !of.change->empty()) mine.has.insert(kind::change);
    commits.push_back({shard, std::move(of.submissions), std::move(of.change).value_or(core::journal_change{})});
  }
  return commits;
}

group_commit::outcome group_commit::finish(result<std::vector<shard_committed>> done) {
  outcome out;
  out.how = done ? worked() : failed(done.error());
  std::size_t index = 0;
  for (auto& [shard, of] : under_way_) {
    auto told = done ? settle(shard, of, std::move((*done)[index++]))
                     : settle(shard, of, tl::unexpected(this->told(shard, done.error())));
    if (told.saved || !told.accepted.empty() || !told.receipts.empty()) out.shards.push_back(std::move(told));
  }
  for (const auto& told : out.shards) untaken_bytes_ += told.bytes;
  under_way_.clear();
  return out;
}

/// What a failed commit is to one shard: that another one has gone back is not its trouble.
error group_commit::told(shard_handle shard, const error& why) const {
  if (why.code != errc::diverged) return why;
  const auto* no = refusal(shard);
  return no != nullptr
           ? *no
           : error{errc::unavailable, "was to be written together with a shard that has diverged", "journal"};
}

group_commit::health group_commit::worked() {
  bool empty = true;
  for (const auto& [shard, of] : under_way_) {
    doubted_.erase(shard);
    empty = empty && of.has.empty();
    for (const auto what : of.has) troubled_.erase({shard, what});
  }
  if (empty) troubled_.clear(); // it has tried out everything
  if (!troubled_.empty()) return health::works_in_part;
  away_ = false;
  return std::exchange(failing_, false) ? health::works_again : health::works;
}

group_commit::health group_commit::failed(const error& why) {
  if (why.code == errc::diverged) return health::works_in_part; // it is there, and others are written
  for (const auto& [shard, of] : under_way_) {
    if (why.code == errc::in_doubt) doubted_.insert(shard);
    if (is_away(why))
      for (const auto what : of.has) troubled_.emplace(shard, what);
  }
  failed_elsewhere(why);
  return std::exchange(failing_, true) ? health::failed : health::fails_now;
}

void group_commit::failed_elsewhere(const error& why) {
  away_ = why.transient();
  if (away_ && !std::exchange(looking_, true)) look_wanted_ = true;
}

void group_commit::look_again() {
  looking_ = look_wanted_ = away_ || !doubted_.empty();
  if (!looking_) return;
  for (const auto shard : doubted_) batch_[shard];
  if (batch_.empty() && !shards_.empty()) batch_[*shards_.begin()];
  if (batch_.empty()) due_ = true; // all shards were let go: the journal alone is asked
}

group_commit::news group_commit::settle(shard_handle shard, written& of, result<shard_committed> done) const {
  news out{shard, {}, {}, 0, {}};
  if (of.saves) out.saved = done.has_value();
  if (!done) {
    for (auto& one : of.requests) out.receipts.push_back({std::move(one.to), tl::unexpected(done.error())});
    return out;
  }
  if (shards_.contains(shard)) out.accepted = std::move(done->accepted);
  for (const auto& one : out.accepted) out.bytes += bytes_of(*one.message);
  auto next = done->receipts.begin();
  for (auto& one : of.requests) {
    const auto end = std::next(next, static_cast<std::ptrdiff_t>(one.count));
    out.receipts.push_back(
      {std::move(one.to), std::vector<result<receipt>>(std::make_move_iterator(next), std::make_move_iterator(end))});
    next = end;
  }
  return out;
}

} // namespace reseq::store
