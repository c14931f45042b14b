#include <iterator>
#include <utility>

#include "owner.hpp"
#include "world.hpp"

namespace reseq::simulation {

void writer::submit(std::vector<submission> wanted, receipts done) {
  submits_.push_back({wanted.size(), std::move(done)});
  for (auto& s : wanted) {
    batch_bytes_ += s.message->size_bytes();
    submissions_.push_back(std::move(s));
  }
  if (batch_bytes_ >= world_.plan.max_batch_bytes && untaken_bytes_ < world_.plan.max_untaken_bytes)
    commit();
  else
    schedule();
}

void writer::save(core::journal_change change) {
  change_ = std::move(change);
  schedule();
}

void writer::taken(std::uint64_t bytes) {
  untaken_bytes_ -= bytes;
  schedule();
}

void writer::schedule() {
  const bool nothing = submits_.empty() && !change_;
  if (flushing_ || nothing || untaken_bytes_ >= world_.plan.max_untaken_bytes) return;
  flushing_ = true;
  world_.mail.post(writer_party, writer_party, [this] {
    flushing_ = false;
    if (untaken_bytes_ < world_.plan.max_untaken_bytes) commit(); // else `taken` asks for another
  });
}

void writer::commit() {
  if (submits_.empty() && !change_) return;
  const auto submissions = std::exchange(submissions_, {});
  const auto submits = std::exchange(submits_, {});
  const auto change = std::exchange(change_, std::nullopt);
  batch_bytes_ = 0;
  auto outcome = world_.disk.commit(submissions, change.value_or(core::journal_change{}));
  if (change)
    world_.mail.post(writer_party, shard_party,
                     [this, durable = outcome.has_value()] { world_.boss->lanes.saved(durable); });
  if (!outcome) {
    for (const auto& request : submits) request.done(tl::unexpected(outcome.error()));
    schedule();
    return;
  }
  auto next = outcome->receipts.begin();
  for (const auto& request : submits) {
    const auto end = std::next(next, static_cast<std::ptrdiff_t>(request.count));
    request.done(std::vector<result<receipt>>(next, end));
    next = end;
  }
  if (!outcome->accepted.empty()) {
    std::uint64_t bytes = 0;
    for (const auto& m : outcome->accepted) bytes += m.message->size_bytes();
    untaken_bytes_ += bytes;
    world_.mail.post(writer_party, shard_party,
                     [this, bytes, news = std::move(outcome->accepted)] { world_.boss->lanes.accepted(news, bytes); });
  }
  schedule();
}

} // namespace reseq::simulation
