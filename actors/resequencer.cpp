#include "actors/resequencer.hpp"

#include <utility>

#include <spdlog/spdlog.h>

namespace reseq::actors {
namespace {

constexpr auto least_between_words = std::chrono::minutes{1};

} // namespace

resequencer_actor::behavior_type
resequencer_state::make_behavior(resequencer_actor::stateful_pointer<resequencer_state> to_self,
                                 resequencer_setup with) {
  self = to_self;
  setup = std::move(with);
  return {
    [this](const tell_lanes& what, const shard_actor& owner) { self->send(owner, tell(what.call)); },
    [this](const load_results& what, const shard_actor& owner) {
      auto found = setup.keeps->load(what.keys);
      log(found ? std::nullopt : std::optional{found.error()});
      self->send(owner, results_loaded{std::move(found)});
    },
    [this](recover& wish, const journal_actor& journal) { look(wish, journal); },
  };
}

void resequencer_state::look(recover& wish, const journal_actor& journal) {
  auto seen = setup.keeps->look(setup.lanes);
  if (!seen) return wish.done(tl::unexpected(std::move(seen.error())));
  wish.seen = std::move(*seen);
  self->send(journal, std::move(wish));
}

lanes_told resequencer_state::tell(const core::mirror_call& call) {
  lanes_told answer{call.id, {}, {}, {}};
  if (call.updates) {
    auto done = setup.keeps->apply(*call.updates);
    done ? void(answer.answers = std::move(*done)) : void(answer.trouble = std::move(done.error()));
  } else {
    auto found = setup.keeps->open(setup.owner, setup.lanes);
    found ? void(answer.found = std::move(*found)) : void(answer.trouble = std::move(found.error()));
  }
  log(answer.trouble);
  return answer;
}

/// The beginning and the end of a failure, not each of its tries; once a minute if it comes and goes, as with a Redis
/// that has no room for more and takes what asks for none.
void resequencer_state::log(const std::optional<error>& trouble) {
  if (trouble && trouble->code == errc::diverged) return; // nothing goes on; the shard says so
  if (trouble && !std::exchange(away, true)) {
    const auto now = self->clock().now();
    told = !last_told || now - *last_told >= least_between_words;
    if (!told) return;
    last_told = now;
    spdlog::warn("pipeline {}: Redis cannot be told what happens in the lanes, and deliveries go on without it: {}",
                 setup.pipeline, trouble->text());
  } else if (!trouble && std::exchange(away, false) && told) {
    spdlog::info("pipeline {}: Redis answers again", setup.pipeline);
  }
}

} // namespace reseq::actors
