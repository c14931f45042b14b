/// Several questions, one answer.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "actors/reply.hpp"

namespace reseq::actors::api {

/// Asks `count` things at once: `ask(i, reply)` passes each reply on to who knows. `done` gets all results in order
/// when the last one is there, on that one's thread; at once when `count` is 0.
template <class T, class Ask>
void gather(std::size_t count, Ask ask, std::function<void(std::vector<result<T>>)> done) {
  struct collected {
    std::mutex mutex;
    std::vector<std::optional<result<T>>> slots;
    std::size_t missing = 0;
    std::function<void(std::vector<result<T>>)> done;
  };
  if (count == 0) return done({});
  auto all = std::make_shared<collected>();
  all->slots.resize(count);
  all->missing = count;
  all->done = std::move(done);
  for (std::size_t i = 0; i < count; ++i)
    ask(i, reply<T>([all, i](result<T> one) {
          {
            const std::lock_guard hold{all->mutex};
            all->slots[i].emplace(std::move(one));
            if (--all->missing > 0) return;
          }
          std::vector<result<T>> results;
          results.reserve(all->slots.size());
          for (auto& slot : all->slots) results.push_back(std::move(*slot));
          all->done(std::move(results));
        }));
}

} // namespace reseq::actors::api
