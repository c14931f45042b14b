#include "actors/receivers.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>

#include "reseq/store/postgres/function_receiver.hpp"
#include "reseq/store/postgres/table_receiver.hpp"
#include "reseq/store/redis/stream_receiver.hpp"

namespace reseq::actors {
namespace {

constexpr std::size_t most_at_once = 16;

/// Shared with threads that may outlast whoever waits for them.
struct questions {
  explicit questions(std::vector<std::pair<destination_id, receiver_maker>> all) : receivers(std::move(all)) {}

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

  const std::vector<std::pair<destination_id, receiver_maker>> receivers;
  std::mutex mutex;
  std::size_t asked = 0;
  bool closed = false;
  std::vector<store::receiver_seen> seen;
};

} // namespace

result<receiver_maker> transactional_receiver(const destination_settings& destination,
                                              const delivery_function& function, const store::receiver_owner& owner) {
  const auto timeout = destination.timeout;
  const auto wrong = [&](const error& why) { return fail(why.code, why.what, "destination " + destination.name); };
  if (function)
    return [to = destination.url, owner, timeout, function] {
      return std::make_unique<store::postgres::function_receiver>(store::postgres::server_url(to), owner, timeout,
                                                                  function);
    };
  if (destination.url.starts_with("postgresql://")) {
    auto table = store::postgres::parse_table_url(destination.url);
    if (!table) return wrong(table.error());
    return [to = std::move(*table), owner, timeout] {
      return std::make_unique<store::postgres::table_receiver>(to, owner, timeout);
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

survey ask_receivers(std::vector<std::pair<destination_id, receiver_maker>> receivers, duration patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  const auto all = std::make_shared<questions>(std::move(receivers));
  survey out;
  for (std::size_t i = 0; i < std::min(all->receivers.size(), most_at_once); ++i)
    out.late.push_back(std::async(std::launch::async, [all] { all->answer(); }));
  std::erase_if(out.late, [&](std::future<void>& one) { return one.wait_until(until) == std::future_status::ready; });
  out.seen = all->close();
  return out;
}

} // namespace reseq::actors
