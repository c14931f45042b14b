#include "actors/receivers.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <set>
#include <span>

#include <spdlog/spdlog.h>

#include "actors/wall_clock.hpp"
#include "reseq/store/postgres/function_receiver.hpp"
#include "reseq/store/postgres/table_receiver.hpp"
#include "reseq/store/redis/stream_receiver.hpp"

namespace reseq::actors {
namespace {

constexpr std::size_t most_at_once = 16;
constexpr auto patience = std::chrono::seconds{3};

/// Shared with threads that may outlast whoever waits for them.
struct questions {
  explicit questions(receivers_by_id all) : receivers(std::move(all)) {}

  void answer() {
    while (const auto* next = take()) {
      auto has = next->second()->open();
      if (!has) continue;
      const std::lock_guard hold{mutex};
      seen.push_back({next->first, std::move(*has)});
    }
  }

  const std::pair<destination_id, receiver_maker>* take() {
    const std::lock_guard hold{mutex};
    return closed || asked == receivers.size() ? nullptr : &receivers[asked++];
  }

  std::vector<store::receiver_seen> close() {
    const std::lock_guard hold{mutex};
    closed = true;
    return std::move(seen);
  }

  const receivers_by_id receivers;
  std::mutex mutex;
  std::size_t asked = 0;
  bool closed = false;
  std::vector<store::receiver_seen> seen;
};

struct survey {
  std::vector<store::receiver_seen> seen;
  std::vector<std::future<void>> late;
};

survey ask(receivers_by_id receivers) {
  const auto until = std::chrono::steady_clock::now() + patience;
  const auto all = std::make_shared<questions>(std::move(receivers));
  survey out;
  for (std::size_t i = 0; i < std::min(all->receivers.size(), most_at_once); ++i)
    out.late.push_back(std::async(std::launch::async, [all] { all->answer(); }));
  std::erase_if(out.late, [&](std::future<void>& one) { return one.wait_until(until) == std::future_status::ready; });
  out.seen = all->close();
  return out;
}

/// Each start asks a receiver twice, and what there is to say of it is the same.
void tell_once(const std::string& destination, const std::string& news) {
  static std::mutex mutex;
  static std::set<std::string> told;
  const std::lock_guard hold{mutex};
  if (told.insert(destination + news).second) spdlog::warn("destination {}: {}", destination, news);
}

result<std::optional<std::string>> find_divergence(store::journal& journal, const store::shard_state& shard,
                                                   std::span<const store::receiver_seen> seen) {
  using reason = std::optional<std::string>;
  if (auto ahead = store::find_ahead(shard, seen)) {
    // Perhaps ahead only of what was read: who owns the shard meanwhile goes on accepting and delivering.
    const auto owner = journal.current_epoch(shard.handle);
    if (!owner) return tl::unexpected(owner.error());
    if (*owner != shard.owner) return fail(errc::fenced, "a later owner has taken the shard over");
    return ahead;
  }
  return store::find_other_history(journal, shard, seen).map([&](reason other) {
    return other ? other : store::find_unclaimed(shard, seen);
  });
}

} // namespace

result<receiver_maker> transactional_receiver(const destination_settings& destination,
                                              const delivery_function& function, const store::receiver_owner& owner) {
  const auto timeout = destination.timeout;
  const auto wrong = [&](const error& why) { return fail(why.code, why.what, "destination " + destination.name); };
  const auto tell = [label = owner.pipeline + "/" + owner.destination](const std::string& news) {
    tell_once(label, news);
  };
  if (function)
    return [to = destination.url, owner, timeout, function, tell] {
      return std::make_unique<store::postgres::function_receiver>(store::postgres::server_url(to), owner, timeout,
                                                                  function, tell);
    };
  if (destination.url.starts_with("postgresql://")) {
    auto table = store::postgres::parse_table_url(destination.url);
    if (!table) return wrong(table.error());
    return [to = std::move(*table), owner, timeout, tell] {
      return std::make_unique<store::postgres::table_receiver>(to, owner, timeout, tell);
    };
  }
  const bool other = destination.url.starts_with("http") || destination.url.starts_with("file://");
  if (other || destination.url.find("://") == std::string::npos) return receiver_maker{};
  auto stream = store::redis::parse_stream_url(destination.url);
  if (!stream) return wrong(stream.error());
  return [to = std::move(*stream), owner, timeout] {
    return std::make_unique<store::redis::stream_receiver>(to, owner, timeout);
  };
}

result<opened_shard>
open_with_receivers(store::journal& journal, const std::string& pipeline,
                    const std::function<result<store::shard_state>()>& open,
                    const std::function<result<receivers_by_id>(const store::shard_state&)>& receivers_of) {
  auto state = open();
  if (!state) return tl::unexpected(state.error());
  auto receivers = receivers_of(*state);
  if (!receivers) return tl::unexpected(receivers.error());
  auto [seen, late] = ask(std::move(*receivers));
  opened_shard out{std::move(*state), {}, {}, {}, std::move(late)};
  if (auto known = store::recognize(journal, out.state, seen); !known) return tl::unexpected(known.error());
  for (const auto& [id, has] : seen) out.compared.emplace(id, store::is_ours(has) ? has.last : sequence{});
  auto divergence = find_divergence(journal, out.state, seen);
  if (!divergence) return tl::unexpected(divergence.error());
  out.diverged = std::move(*divergence);
  if (out.diverged) return out;
  auto back = store::plan_rewinding(journal, out.state, seen);
  if (!back) return tl::unexpected(back.error());
  if (back->progress.empty()) return out;
  if (!back->missing.empty()) {
    out.diverged = back->why;
    out.back = std::move(*back);
    return out;
  }
  spdlog::warn("pipeline {}: {}; it gets what followed again", pipeline, back->why);
  const store::recovery how{out.state.owner + 1, out.state.last, {}, std::move(back->progress), std::move(back->why)};
  if (auto done = journal.recover(out.state.handle, how, wall_now()); !done) return tl::unexpected(done.error());
  state = open();
  if (!state) return tl::unexpected(state.error());
  out.state = std::move(*state);
  return out;
}

} // namespace reseq::actors
