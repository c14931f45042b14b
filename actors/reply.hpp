/// The way back to whoever is outside the actor system: answered once, or by itself when it is dropped.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "reseq/model/error.hpp"

namespace reseq::actors {

/// Carries one `result<T>` back to its asker. Copies share the answer: the first call counts, further ones do nothing.
/// When the last copy goes unanswered (an actor died with it in its mailbox), the asker gets `errc::unavailable`, so
/// that nobody waits for ever. Callable from any thread; the asker's function runs on that thread.
template <class T>
class reply {
public:
  reply() = default;
  explicit reply(std::function<void(result<T>)> to) : shared_(std::make_shared<shared>(std::move(to))) {}

  void operator()(result<T> value) const {
    if (shared_) shared_->answer(std::move(value));
  }

private:
  struct shared {
    explicit shared(std::function<void(result<T>)> to) : answer_to(std::move(to)) {}
    shared(const shared&) = delete;
    shared& operator=(const shared&) = delete;
    ~shared() { answer(fail(errc::unavailable, "the part that should answer has stopped")); }

    void answer(result<T> value) {
      if (!answered.exchange(true)) answer_to(std::move(value));
    }

    std::function<void(result<T>)> answer_to;
    std::atomic<bool> answered{false};
  };

  std::shared_ptr<shared> shared_;
};

} // namespace reseq::actors
