#include <chrono>
#include <utility>

#include "owner.hpp"
#include "world.hpp"

namespace reseq::simulation {
namespace {

constexpr store::shard_handle ours{1};
constexpr auto look_every = std::chrono::milliseconds{500};

} // namespace

writer::writer(world& with) : world_(with), group_({with.plan.max_untaken_bytes, with.plan.max_batch_bytes, 0}) {
  group_.add(ours);
}

void writer::submit(std::vector<submission> wanted, store::group_commit::answer_to done) {
  group_.submit(ours, std::move(wanted), std::move(done));
  go_on();
}

void writer::save(core::journal_change change) {
  group_.save(ours, std::move(change));
  go_on();
}

void writer::taken(std::uint64_t bytes) {
  group_.taken(bytes);
  go_on();
}

void writer::go_on() {
  using step = store::group_commit::step;
  auto next = group_.next();
  for (; next == step::now; next = group_.next()) commit();
  if (next == step::soon)
    world_.mail.post(writer_party, writer_party, [this] {
      group_.flushed();
      go_on();
    });
  if (group_.wants_look())
    world_.mail.ring_at(world_.now + look_every, writer_party, [this] {
      group_.look_again();
      go_on();
    });
}

void writer::commit() {
  const auto parts = group_.begin();
  auto outcome = group_.finish(world_.disk.commit(parts));
  for (auto& news : outcome.shards) tell(news);
}

void writer::tell(store::group_commit::news& news) {
  if (news.saved)
    world_.mail.post(writer_party, shard_party, [this, durable = *news.saved] { world_.boss->lanes.saved(durable); });
  if (!news.accepted.empty())
    world_.mail.post(writer_party, shard_party, [this, bytes = news.bytes, accepted = std::move(news.accepted)] {
      world_.boss->lanes.accepted(accepted, bytes);
    });
  for (auto& [to, what] : news.receipts) to(std::move(what));
}

} // namespace reseq::simulation
