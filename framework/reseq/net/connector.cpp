#include "reseq/net/detail/connector.hpp"

#include <utility>

namespace reseq::net::detail {
namespace {

constexpr auto head_start = std::chrono::milliseconds{250};

} // namespace

connector::connector(asio::io_context& io, std::vector<tcp::endpoint> addresses, done_handler done)
  : io_(io), addresses_(std::move(addresses)), done_(std::move(done)), next_(io) {}

void connector::start() { try_next(); }

void connector::cancel() {
  done_ = nullptr;
  next_.cancel();
  tried_.clear();
}

void connector::try_next() {
  const auto which = tried_.size();
  auto& trying = *tried_.emplace_back(std::make_unique<socket>(io_));
  ++under_way_;
  trying.async_connect(addresses_[which],
                       [self = shared_from_this(), which](error_code failed) { self->answered(which, failed); });
  if (tried_.size() == addresses_.size()) return;
  next_.expires_after(head_start);
  next_.async_wait([self = shared_from_this(), which](error_code cancelled) {
    if (!cancelled && self->done_ && self->tried_.size() == which + 1) self->try_next();
  });
}

void connector::answered(std::size_t which, error_code failed) {
  if (!done_) return;
  --under_way_;
  if (failed) {
    tried_[which].reset();
    if (tried_.size() < addresses_.size()) return try_next();
    if (under_way_ > 0) return;
  }
  const auto connected = std::move(tried_[which]);
  const auto done = std::exchange(done_, nullptr);
  cancel();
  done(failed, connected.get());
}

} // namespace reseq::net::detail
