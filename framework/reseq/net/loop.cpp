#include "reseq/net/loop.hpp"

#include <future>
#include <utility>

#include <boost/asio/post.hpp>

#include "reseq/net/detail/loop_core.hpp"

namespace reseq::net {
namespace detail {
namespace {

thread_local const loop_gate* running_here = nullptr;

} // namespace

void loop_gate::post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (io_ != nullptr) asio::post(*io_, std::move(work));
}

void loop_gate::close() {
  const std::lock_guard lock(mutex_);
  io_ = nullptr;
}

bool loop_gate::on_thread() const { return running_here == this; }

} // namespace detail

loop::loop(name_lookup look_up) : core_(std::make_unique<detail::loop_core>(std::move(look_up))) {}

loop::~loop() {
  stop();
  // Dropped work may hold the last copy of a responder, which posts: that must find the gate closed.
  core_->gate->close();
}

void loop::start() {
  core_->thread = std::thread([core = core_.get()] {
    detail::running_here = core->gate.get();
    core->io.run();
  });
}

void loop::stop() {
  if (!core_->thread.joinable()) return;
  core_->io.stop();
  core_->thread.join();
}

void loop::post(std::function<void()> work) { detail::asio::post(core_->io, std::move(work)); }

void loop::after(duration delay, std::function<void()> work) {
  auto timer =
    std::make_shared<detail::timer>(core_->io, std::chrono::duration_cast<std::chrono::steady_clock::duration>(delay));
  auto& waiting = *timer;
  waiting.async_wait([timer = std::move(timer), work = std::move(work)](detail::error_code failed) {
    if (!failed) work();
  });
}

void loop::run(const std::function<void()>& work) {
  if (on_thread() || !core_->thread.joinable()) return work();
  std::promise<void> done;
  post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

bool loop::on_thread() const { return core_->gate->on_thread(); }

} // namespace reseq::net
