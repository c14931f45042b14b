#include <algorithm>
#include <chrono>
#include <iterator>

#include "actors/worker.hpp"

namespace reseq::actors {
namespace {

using clock = std::chrono::steady_clock;

struct timed {
  outcome out;
  destination_names named; ///< by its narrowings
  duration took{};
};

timed run_timed(const chain& steps, const message_ptr& source, attempt number) {
  const auto start = clock::now();
  auto out = steps.run(source, number);
  auto* const result = std::get_if<produced>(&out);
  auto named = result ? std::move(result->named) : destination_names{};
  return {std::move(out), std::move(named), clock::now() - start};
}

answer to_answer(const order& job, std::uint32_t index, const timed& done, std::uint64_t max_result) {
  answer made;
  made.dispatch = job.dispatch;
  made.chain = index;
  made.took_ns = static_cast<std::uint64_t>(done.took.count());
  made.named = done.named;
  if (const auto* lost = std::get_if<failed>(&done.out)) {
    made.kind = lost->permanent ? answer_kind::permanent : answer_kind::failed;
    made.error = lost->what;
  } else if (const auto* result = std::get_if<produced>(&done.out)) {
    if (result->body->payload.size() > max_result) {
      made.kind = answer_kind::permanent;
      made.error = "the result has " + std::to_string(result->body->payload.size()) +
                   " bytes, more than http.max_result allows (" + std::to_string(max_result) + ")";
      return made;
    }
    const bool same = result->body.get() == &job.message->body();
    made.kind = same ? answer_kind::unchanged : answer_kind::produced;
    if (!same) made.body = result->body;
    made.narrowed = result->only_to.has_value();
    if (result->only_to) made.only_to = *result->only_to;
  } else {
    made.kind = answer_kind::dropped;
  }
  return made;
}

/// A destination's own chain works on what the common one made, and cannot undo that it was left out there.
timed run_own(const order& job, const runnable_pipeline& pipeline, const std::string& destination,
              const timed& common) {
  const auto* base = std::get_if<produced>(&common.out);
  if (!base) return common;
  if (base->only_to && std::ranges::find(*base->only_to, destination) == base->only_to->end())
    return {dropped{}, common.named, common.took};
  const auto own = pipeline.own.find(destination);
  if (own == pipeline.own.end())
    return {failed{"this worker has no transforms of its own for destination " + destination, false}, {}, common.took};
  auto done = run_timed(own->second, present(job.message, base->body), attempt{job.attempt});
  done.took += common.took;
  std::ranges::copy(common.named, std::back_inserter(done.named));
  return done;
}

} // namespace

void run_job(const order& job, const runnable_pipeline& pipeline, std::uint64_t max_result,
             const std::function<void(answer)>& answered) {
  const auto common = run_timed(pipeline.common, job.message, attempt{job.attempt});
  for (std::uint32_t i = 0; i < job.chains.size(); ++i) {
    const auto& destination = job.chains[i];
    answered(to_answer(job, i, destination.empty() ? common : run_own(job, pipeline, destination, common), max_result));
  }
}

} // namespace reseq::actors
