#include "reseq/store/postgres/link.hpp"

#include <algorithm>
#include <utility>

#include "reseq/store/postgres/session_check.hpp"

namespace reseq::store::postgres {

namespace {

/// As `database::connect`, to where sessions are whole.
result<std::unique_ptr<database>> connect_past_poolers(const server_url& url, silence_limit longest_silence) {
  auto made = database::connect(url, session_for::journal, longest_silence);
  if (!made) return made;
  // A pool may have no room for two of them.
  if (auto other = database::connect(url, session_for::journal, longest_silence))
    if (auto own = refuse_transaction_pooler(**made, **other); !own) return tl::unexpected(std::move(own.error()));
  return made;
}

} // namespace

std::chrono::milliseconds backoff::next() {
  std::uniform_int_distribution<std::int64_t> extra(0, pause_.count() / 2);
  const auto pause = pause_ + std::chrono::milliseconds{extra(random_)};
  pause_ = std::min(pause_ * 2, longest);
  return pause;
}

link::link(const server_url& url, std::unique_ptr<database> connected, std::string what_for, listener tell)
  : url_(url), what_for_(std::move(what_for)), tell_(std::move(tell)), longest_silence_(connected->longest_silence()),
    current_(std::move(connected)), thread_([this](const std::stop_token& stop) { connect_again(stop); }) {}

link::~link() = default;

result<database*> link::get(std::chrono::milliseconds longest) {
  if (current_ && !current_->broken()) return current_.get();
  if (current_) give_up_current();
  std::unique_lock lock(mutex_);
  wanted_ = true;
  changed_.notify_all();
  changed_.wait_for(lock, longest, [&] { return next_ != nullptr; });
  if (!next_)
    return fail(errc::unavailable, "is away, and tried again until it is back" + (why_.empty() ? "" : ": " + why_),
                "PostgreSQL");
  current_ = std::move(next_);
  wanted_ = false; // else another one would be made, and lie about
  lock.unlock();
  ++session_;
  tell_("PostgreSQL: the " + what_for_ + " connection is back");
  return current_.get();
}

void link::give_up_current() {
  const bool lost = current_->lost_session();
  const std::string why = lost ? not_sessions : current_->given_up();
  tell_("PostgreSQL: the " + what_for_ + " connection broke" + (why.empty() ? "" : ": " + why) + "; connecting again");
  current_.reset();
  const std::lock_guard hold(mutex_);
  suspects_pooler_ = lost;
  if (!why.empty()) why_ = why;
}

void link::connect_again(const std::stop_token& stop) {
  backoff pauses(std::random_device{}());
  std::unique_lock lock(mutex_);
  // The wait answers what is wanted also when it was told to stop.
  while (changed_.wait(lock, stop, [&] { return wanted_ && !next_; }) && !stop.stop_requested()) {
    const bool suspects_pooler = suspects_pooler_;
    lock.unlock();
    auto made = suspects_pooler ? connect_past_poolers(url_, longest_silence_)
                                : database::connect(url_, session_for::journal, longest_silence_);
    lock.lock();
    if (made) {
      next_ = std::move(*made);
      wanted_ = false;
      why_.clear();
      pauses.worked();
      changed_.notify_all();
    } else {
      why_ = made.error().what;
      changed_.wait_for(lock, stop, pauses.next(), [] { return false; });
    }
  }
}

} // namespace reseq::store::postgres
