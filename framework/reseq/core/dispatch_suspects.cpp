#include "reseq/core/dispatch_suspects.hpp"

#include <algorithm>
#include <utility>

namespace reseq::core {

using detail::no_slot;
using detail::slot;

void dispatch_suspects::add_pipeline() { pipelines_.emplace_back(); }

void dispatch_suspects::add(pipeline_index pipeline, suspect_group found) {
  if (found.empty()) return;
  pipelines_[pipeline.value()].groups.push_back(std::move(found));
  ++groups_;
}

void dispatch_suspects::add_first(pipeline_index pipeline, suspect_group some) {
  if (some.empty()) return;
  pipelines_[pipeline.value()].groups.push_front(std::move(some));
  ++groups_;
}

void dispatch_suspects::add_halves(pipeline_index pipeline, suspect_group killers) {
  const auto middle = killers.begin() + static_cast<std::ptrdiff_t>((killers.size() + 1) / 2);
  add_first(pipeline, {middle, killers.end()});
  killers.erase(middle, killers.end());
  add_first(pipeline, std::move(killers));
}

suspect_group dispatch_suspects::take_next(pipeline_index pipeline) {
  auto& groups = pipelines_[pipeline.value()].groups;
  auto next = std::move(groups.front());
  groups.pop_front();
  --groups_;
  return next;
}

void dispatch_suspects::begin(pipeline_index pipeline, suspect_group next) {
  auto& own = pipelines_[pipeline.value()].own;
  own.left = std::move(next);
  own.used = true;
  ++runs;
}

void dispatch_suspects::vacate(pipeline_index pipeline) {
  auto& own = pipelines_[pipeline.value()].own;
  own.worker = no_slot;
  --rooms_;
  vacated = true;
  first = pipeline + 1; // whatever became of the room: others may wait for one, too
  add_first(pipeline, std::exchange(own.left, {}));
}

std::optional<pipeline_index> dispatch_suspects::owner(slot worker) const {
  if (rooms_ == 0) return std::nullopt;
  const auto found = std::find_if(pipelines_.begin(), pipelines_.end(),
                                  [worker](const of_pipeline& p) { return p.own.worker == worker; });
  if (found == pipelines_.end()) return std::nullopt;
  return pipeline_index{static_cast<std::uint32_t>(found - pipelines_.begin())};
}

void dispatch_suspects::move_in(pipeline_index pipeline, slot worker, bool clearing) {
  auto& own = pipelines_[pipeline.value()].own;
  own.worker = worker;
  own.clearing = clearing;
  own.used = false;
  ++rooms_;
}

} // namespace reseq::core
