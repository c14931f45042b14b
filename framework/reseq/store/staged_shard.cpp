#include "reseq/store/staged_shard.hpp"

#include <utility>

namespace reseq::store {

core::sequenced staged_shard::sequence(std::span<const submission> wanted, const known_ids& known) {
  auto decided = core::sequence_batch(shard_->heads, wanted, known);
  submissions_ += wanted.size();
  for (const auto& [destination, last] : decided.next.destinations) remember(destination);
  shard_->heads.take(decided.next);
  return decided;
}

void staged_shard::settle(const core::journal_change& change) {
  for (const auto& saved : change.progress) {
    remember(saved.destination);
    shard_->settle(saved);
  }
}

void staged_shard::stored(const core::accepted_message& what, std::optional<std::uint64_t> id_key) {
  fresh_.push_back({id_key, &what});
}

std::vector<position> staged_shard::find(std::uint64_t id_key) const {
  auto found = shard_->behind.find(id_key);
  for (const auto& fresh : fresh_)
    if (fresh.id_key == id_key) found.push_back(fresh.what->at);
  return found;
}

const write_behind::slice& staged_shard::indexes() { return indexes_ = shard_->behind.due(submissions_); }

void staged_shard::undo() {
  shard_->heads.last = last_before_;
  shard_->has_unrouted = had_unrouted_;
  for (; !undo_.empty(); undo_.pop_back()) {
    auto& [destination, before, backlog] = undo_.back();
    shard_->heads.destinations[destination] = std::move(before);
    shard_->backlogs[destination] = backlog;
  }
}

void staged_shard::publish() {
  shard_->behind.written(indexes_);
  for (const auto& [id_key, what] : fresh_) shard_->behind.add(what->at, id_key, what->enrolled);
}

void staged_shard::remember(destination_id destination) {
  undo_.push_back({destination, shard_->heads.destinations.at(destination), shard_->backlogs.at(destination)});
}

} // namespace reseq::store
