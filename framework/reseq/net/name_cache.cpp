#include "reseq/net/detail/name_cache.hpp"

#include <algorithm>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <boost/asio/ip/address.hpp>

namespace reseq::net::detail {
namespace {

constexpr std::size_t max_threads = 32;
constexpr duration fresh_for = std::chrono::seconds{30};
constexpr duration ask_again_after = std::chrono::seconds{5}; ///< when a look-up failed, and what is known is used
constexpr auto patience = std::chrono::seconds{1};            ///< for a look-up of a name whose addresses are known

time_point cache_clock() { return std::chrono::steady_clock::now(); }

result<addresses> addresses_of(const std::vector<std::string>& texts) {
  addresses all;
  for (const auto& text : texts) {
    error_code no_address;
    auto one = asio::ip::make_address(text, no_address);
    if (!no_address && std::ranges::find(all, one) == all.end()) all.push_back(std::move(one));
  }
  if (all.empty()) return fail(errc::not_found, "the name has no address");
  return all;
}

} // namespace

/// A thread for each look-up, up to a number. Nothing can end a look-up that runs, so nobody waits for these threads:
/// they keep what they use.
class lookup_threads : public std::enable_shared_from_this<lookup_threads> {
public:
  using done_handler = std::function<void(result<std::vector<std::string>>)>;

  explicit lookup_threads(name_lookup look_up) : look_up_(std::move(look_up)) {}

  /// `done` is called on some other thread. Those that are `doubtful` get half of the threads at most.
  void run(std::string name, bool doubtful, done_handler done) {
    const std::lock_guard lock(mutex_);
    (doubtful ? doubtful_ : waiting_).push_back({std::move(name), doubtful, std::move(done)});
    auto next = take();
    if (!next) return;
    try {
      std::thread([self = shared_from_this(), first = *next]() mutable { self->work(std::move(first)); }).detach();
    } catch (const std::system_error& none) {
      finished(*next);
      next->done(fail(errc::unavailable, std::string("there is no thread for it: ") + none.what(), next->name));
    }
  }

private:
  struct job {
    std::string name;
    bool doubtful = false;
    done_handler done;
  };

  std::optional<job> take() {
    auto& from = waiting_.empty() && running_doubtful_ < max_threads / 2 ? doubtful_ : waiting_;
    if (running_ == max_threads || from.empty()) return std::nullopt;
    auto next = std::move(from.front());
    from.pop_front();
    ++running_;
    if (next.doubtful) ++running_doubtful_;
    return next;
  }

  void finished(const job& that) {
    --running_;
    if (that.doubtful) --running_doubtful_;
  }

  void work(job now) {
    for (;;) {
      now.done(looked_up(now.name));
      const std::lock_guard lock(mutex_);
      finished(now);
      auto next = take();
      if (!next) return;
      now = std::move(*next);
    }
  }

  [[nodiscard]] result<std::vector<std::string>> looked_up(const std::string& name) const {
    try {
      return look_up_(name);
    } catch (const std::exception& thrown) {
      return fail(errc::unavailable, thrown.what(), name);
    }
  }

  const name_lookup look_up_;
  std::mutex mutex_;
  std::deque<job> waiting_;
  std::deque<job> doubtful_;
  std::size_t running_ = 0;
  std::size_t running_doubtful_ = 0;
};

name_cache::name_cache(asio::io_context& io, std::shared_ptr<loop_gate> gate, name_lookup look_up)
  : io_(io), gate_(std::move(gate)), threads_(std::make_shared<lookup_threads>(std::move(look_up))) {}

void name_cache::find(const std::string& name, found_handler found) {
  auto& of = entries_[name];
  if (!of.known.empty() && (cache_clock() < of.fresh_until || of.late)) return found(of.known);
  of.waiting.push_back(std::move(found));
  if (!of.asking) ask(name, of);
}

void name_cache::ask(const std::string& name, entry& of) {
  of.asking = true;
  if (!of.known.empty()) {
    of.patience = std::make_unique<timer>(io_, patience);
    of.patience->async_wait([&of](error_code cancelled) {
      if (cancelled || !of.asking) return;
      of.late = true;
      tell(of, of.known);
    });
  }
  threads_->run(name, of.failed,
                [weak = weak_from_this(), gate = gate_, name](result<std::vector<std::string>> found) mutable {
                  gate->post([weak, name, found = std::move(found)]() mutable {
                    if (const auto self = weak.lock()) self->came(name, std::move(found));
                  });
                });
}

void name_cache::came(const std::string& name, result<std::vector<std::string>> found) {
  auto& of = entries_[name];
  of.asking = false;
  of.late = false;
  of.patience.reset();
  auto now_known = std::move(found).and_then(addresses_of);
  of.failed = !now_known;
  if (now_known) {
    of.known = *now_known;
    of.fresh_until = cache_clock() + fresh_for;
  } else if (now_known.error().code == errc::not_found) {
    of.known.clear();
  } else if (!of.known.empty()) {
    of.fresh_until = cache_clock() + ask_again_after;
    now_known = of.known;
  }
  tell(of, now_known);
}

/// Whoever is told may ask again at once.
void name_cache::tell(entry& of, const result<addresses>& what) {
  const auto copy = what;
  for (const auto& found : std::exchange(of.waiting, {})) found(copy);
}

void name_cache::prefer(const std::string& name, const asio::ip::address& that) {
  const auto of = entries_.find(name);
  if (of == entries_.end()) return;
  auto& known = of->second.known;
  const auto at = std::ranges::find(known, that);
  if (at != known.end()) std::rotate(known.begin(), at, std::next(at));
}

void name_cache::doubt(const std::string& name) {
  if (const auto of = entries_.find(name); of != entries_.end()) of->second.fresh_until = {};
}

} // namespace reseq::net::detail
