#include "actors/journal_watch.hpp"

#include <chrono>
#include <utility>

#include <spdlog/spdlog.h>

namespace reseq::actors {
namespace {

constexpr auto between_looks = std::chrono::seconds{1};

} // namespace

journal_watch_actor::behavior_type
journal_watch_state::make_behavior(journal_watch_actor::stateful_pointer<journal_watch_state> to_self,
                                   std::shared_ptr<const metrics> of) {
  self = to_self;
  measured = std::move(of);
  self->delayed_send(self, between_looks, wake{});
  return {[this](const wake&) { look(); }};
}

void journal_watch_state::look() {
  const auto now = self->clock().now();
  const auto hangs = measured->journal.hangs(now);
  if (hangs && !hangs_since)
    spdlog::error("journal: {}: its server or its disk does not answer, or another session keeps locked what is to be "
                  "written; producers are refused until that is over",
                  hangs->what);
  if (!hangs && hangs_since)
    spdlog::info("journal: what had been under way for so long has ended, {} s after it began",
                 std::chrono::duration_cast<std::chrono::seconds>(now - *hangs_since).count());
  hangs_since = hangs ? std::optional{hangs->since} : std::nullopt;
  self->delayed_send(self, between_looks, wake{});
}

} // namespace reseq::actors
