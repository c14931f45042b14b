// How many bytes a supervisor keeps for each message, beside the message itself: while it is at a worker, while its
// result waits for an older one, and while it waits in the journal. Counts what the state machines and the dispatcher
// actor allocate.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <malloc.h>

#include "actors/dispatcher.hpp"
#include "actors/system.hpp"
#include "report.hpp"
#include "reseq/core/shard.hpp"
#include "virtual_system.hpp"

namespace {

std::atomic<std::int64_t> live_bytes = 0;

void* count(void* made) {
  if (made == nullptr) throw std::bad_alloc{};
  live_bytes += static_cast<std::int64_t>(malloc_usable_size(made) + sizeof(std::size_t)); // and malloc's own
  return made;
}

void discount(void* gone) noexcept {
  if (gone != nullptr) live_bytes -= static_cast<std::int64_t>(malloc_usable_size(gone) + sizeof(std::size_t));
  std::free(gone);
}

} // namespace

void* operator new(std::size_t size) { return count(std::malloc(size)); }
void* operator new(std::size_t size, std::align_val_t align) {
  return count(std::aligned_alloc(static_cast<std::size_t>(align), size));
}
void operator delete(void* gone) noexcept { discount(gone); }
void operator delete(void* gone, std::size_t) noexcept { discount(gone); }
void operator delete(void* gone, std::align_val_t) noexcept { discount(gone); }
void operator delete(void* gone, std::size_t, std::align_val_t) noexcept { discount(gone); }

namespace {

using namespace reseq;

constexpr std::uint32_t in_flight = 10'000;

double per_message(std::int64_t before) { return static_cast<double>(live_bytes - before) / in_flight; }

std::vector<message_ptr> make_messages() {
  std::vector<message_ptr> all;
  for (std::uint32_t i = 0; i < 2 * in_flight; ++i)
    all.push_back(std::make_shared<const message>("m-" + std::to_string(i), "", content{"payload", "text/plain", {}}));
  return all;
}

std::vector<core::accepted_message> accept(const std::vector<message_ptr>& messages, std::uint32_t from) {
  std::vector<core::accepted_message> all;
  for (std::uint32_t i = from; i < from + in_flight; ++i)
    all.push_back({position{i + 2}, messages[i], {{destination_id{1}, sequence{i + 2}}}});
  return all;
}

actors::worker_actor::behavior_type idle_worker(actors::worker_actor::pointer) {
  return {[](const actors::welcome&) {}, [](const actors::orders&) {}, [](const actors::dismissed&) {}};
}

/// Bytes for each message that is at a worker.
double dispatcher_bytes(std::vector<core::work_request> work) {
  test::virtual_system system;
  actors::dispatcher_setup setup;
  setup.pipelines = {{"bench", "print", {}, {{"receiver", destination_id{1}}}}};
  setup.measured = std::make_shared<actors::metrics>();
  const auto dispatcher = system.spawn(
    actors::become<actors::dispatcher_state, actors::dispatcher_actor, actors::dispatcher_setup>, std::move(setup));
  const auto worker = system.spawn(idle_worker);
  system.send(dispatcher, actors::hello{actors::protocol_version, "", "node", in_flight, {"bench"}, {"print"}}, worker);
  const auto before = live_bytes.load() - static_cast<std::int64_t>(work.capacity() * sizeof(core::work_request));
  actors::work_wanted wanted{core::pipeline_index{0}, {}, std::move(work), {}};
  system.send(dispatcher, std::move(wanted));
  return per_message(before);
}

/// A window is small until a first result was seen: the first message's.
void know_a_result(core::shard& shard, const message_ptr& message, time_point now) {
  shard.accepted({{position{1}, message, {{destination_id{1}, sequence{1}}}}}, now);
  const auto first = shard.take().work.at(0);
  shard.worked({{first.at, first.chain, {content_ptr{message, &message->body()}, {}}, first.asked}}, now);
  shard.answered(destination_id{1}, shard.take().sends.at(0).id, core::confirmed{}, now, {});
  static_cast<void>(shard.take());
}

void run() {
  const auto now = std::chrono::steady_clock::now();
  const auto messages = make_messages();
  core::destination_setup lane;
  lane.id = destination_id{1};
  lane.settings.window = in_flight;
  lane.settings.max_unsaved = 1;
  const auto before = live_bytes.load();
  core::shard shard({lane}, give_up::hold, 1, now);

  know_a_result(shard, messages.back(), now);
  shard.accepted(accept(messages, 0), now);
  auto work = shard.take().work;
  const auto handed_over = work.capacity() * sizeof(core::work_request);
  const auto shard_pending = per_message(before + static_cast<std::int64_t>(handed_over));
  const auto dispatcher = dispatcher_bytes(work);

  const auto waiting_from = live_bytes.load();
  shard.accepted(accept(messages, in_flight), now);
  static_cast<void>(shard.take());
  const auto waiting = per_message(waiting_from);

  std::vector<core::asking> asked;
  for (const auto& one : work) asked.push_back(one.asked);
  work = {};
  std::vector<core::finished_work> done;
  for (std::uint32_t i = 1; i < in_flight; ++i) // all but the head
    done.push_back(
      {position{i + 2}, core::chain_index{}, {content_ptr{messages[i], &messages[i]->body()}, {}}, asked[i]});
  shard.worked(std::exchange(done, {}), now);
  const auto ready = per_message(before);

  std::printf("bytes for each of %u messages of one destination\n\n%-32s %8s %12s %8s\n", in_flight, "", "shard",
              "dispatcher", "all");
  std::printf("%-32s %8.0f %12.0f %8.0f\n", "at a worker", shard_pending, dispatcher, shard_pending + dispatcher);
  std::printf("%-32s %8.0f %12s %8.0f\n", "ready, behind an older one", ready, "-", ready);
  std::printf("%-32s %8.0f %12s %8.0f\n", "in the journal", waiting, "-", waiting);
  bench::report(
    {"memory of a message in flight", bench::rounded(shard_pending + dispatcher, 0) + " bytes", "-", "-", "under 300"});
  bench::report({"memory of a message that waits", bench::rounded(waiting, 0) + " bytes", "-", "-", "0"});
}

} // namespace

int main() { run(); }
