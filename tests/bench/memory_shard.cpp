#include "memory_shard.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

namespace reseq::bench {
namespace {

constexpr std::size_t pool_size = 1024;

time_point clock_now() { return std::chrono::steady_clock::now(); }

std::vector<message_ptr> make_pool() {
  std::vector<message_ptr> pool;
  for (std::size_t i = 0; i < pool_size; ++i)
    pool.push_back(std::make_shared<const message>("m-" + std::to_string(i), "",
                                                   content{std::string(100, 'x'), "application/json", {}}));
  return pool;
}

std::vector<core::destination_setup> lanes(const memory_shard_layout& layout) {
  std::vector<core::destination_setup> all;
  for (std::uint32_t i = 1; i <= layout.destinations; ++i) {
    core::destination_setup one;
    one.id = destination_id{i};
    one.settings.name = "d" + std::to_string(i);
    one.settings.window = layout.window;
    one.settings.batch = layout.batch;
    one.settings.max_unsaved = layout.window;
    one.last = sequence{layout.backlog};
    all.push_back(std::move(one));
  }
  return all;
}

} // namespace

memory_shard::memory_shard(const memory_shard_layout& layout)
  : layout_(layout), pool_(make_pool()), assigned_(layout.destinations + 1, sequence{layout.backlog}),
    arrived_(layout.destinations + 1), now_(clock_now()), pipeline_(table_.add_pipeline({})),
    shard_(lanes(layout), give_up::hold, 1, now_), accepted_(layout.backlog * layout.destinations) {}

worker_id memory_shard::add_worker(std::uint32_t slots) { return table_.join(slots, {pipeline_}); }

destination_id memory_shard::destination_of(std::uint64_t message) const {
  return destination_id{static_cast<std::uint32_t>(message % layout_.destinations) + 1};
}

void memory_shard::accept(std::size_t count) {
  batch_.resize(count);
  for (auto& one : batch_) {
    const auto to = destination_of(accepted_);
    one.at = position{++accepted_};
    one.message = message_at(one.at);
    one.enrolled.assign(1, {to, ++assigned_[to.value()]});
  }
  shard_.accepted(batch_, now_);
}

std::vector<core::dispatch> memory_shard::assign() { return table_.assign(now_ = clock_now()); }

void memory_shard::answer(worker_id worker, dispatch_id copy, content_ptr result) {
  const auto done = table_.answer(worker, copy, core::chain_index{0}, core::attempt_end::done, {}, now_);
  if (done) finished_.push_back({done->key.at, done->key.chain, {std::move(result), std::nullopt}, done->work.asked});
}

void memory_shard::perform() {
  now_ = clock_now();
  if (!finished_.empty()) shard_.worked(std::exchange(finished_, {}), now_);
  for (;;) {
    auto todo = shard_.take();
    for (const auto& [at, chain] : todo.withdrawn) table_.withdraw({pipeline_, at, chain}, now_);
    for (auto& work : todo.work)
      table_.submit({pipeline_, work.at, work.chain}, work.head, now_, {std::move(work.message), work.asked});
    for (const auto& [at, chain] : todo.heads) table_.make_head({pipeline_, at, chain}, now_);
    for (const auto& [at, chain] : todo.holding) table_.hold_back({pipeline_, at, chain}, now_);
    for (const auto& wanted : todo.reads) read(wanted);
    for (const auto& request : todo.sends) deliver(request);
    if (todo.save) shard_.saved(now_);
    if (todo.sends.empty() && todo.reads.empty() && !todo.save) return;
  }
}

void memory_shard::deliver(const core::send_request& request) {
  auto& last = arrived_[request.destination.value()];
  for (const auto& item : request.items) {
    if (item.seq != ++last) {
      std::fprintf(stderr, "sequence %llu was delivered in place of %llu\n",
                   static_cast<unsigned long long>(item.seq.value()), static_cast<unsigned long long>(last.value()));
      std::exit(1);
    }
  }
  delivered_ += request.items.size();
  shard_.answered(request.destination, request.id, core::confirmed{}, now_, {});
}

/// Sequence S of destination D stands at position (S - 1) * destinations + D.
void memory_shard::read(const core::read_request& wanted) {
  std::vector<core::backlog_item> items;
  const auto last = assigned_[wanted.destination.value()];
  for (auto seq = wanted.from; seq <= last && items.size() < wanted.max_messages; ++seq) {
    const position at{(seq.value() - 1) * layout_.destinations + wanted.destination.value()};
    items.push_back({seq, at, message_at(at)});
  }
  shard_.backlog(wanted.destination, std::move(items), now_);
}

} // namespace reseq::bench
