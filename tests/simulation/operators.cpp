#include "operators.hpp"

#include <utility>

#include "owner.hpp"
#include "violation.hpp"
#include "world.hpp"

namespace reseq::simulation {
namespace {

constexpr auto operators_promise = "Operators";

} // namespace

operators::operators(world& with) : world_(with), resumes_(with.plan.destinations.size()) {}

void operators::act() {
  const auto& all = world_.plan.destinations;
  const auto d = all[world_.choose.below(static_cast<std::uint32_t>(all.size()))].id;
  const auto what = static_cast<kind>(world_.choose.below(4));
  if (what == kind::skip) return ask(what, d, somewhere(d).value_or(sequence{1}));
  ask(what, d, what == kind::retry && world_.choose.chance(500) ? somewhere(d) : std::nullopt);
}

/// Mostly what is held.
std::optional<sequence> operators::somewhere(destination_id d) {
  const auto& held = world_.disk.held(d);
  if (!held.empty() && !world_.choose.chance(200)) return held.begin()->first;
  const auto last = static_cast<std::uint32_t>(world_.book_of(d).last().value());
  if (last == 0) return std::nullopt;
  return sequence{1 + world_.choose.below(last)};
}

bool operators::tidy_up() {
  if (open_ > 0 || !world_.boss) return false;
  for (const auto& d : world_.plan.destinations) {
    const auto shown = world_.boss->lanes.machine().status(d.id);
    if (shown->state == core::lane_state::paused) ask(kind::resume, d.id, std::nullopt);
    for (const auto& held : shown->held)
      if (!is_left_alone(held))
        ask(retried_.insert({d.id, held.seq}).second ? kind::retry : kind::skip, d.id, held.seq);
  }
  return open_ > 0;
}

void operators::leave_alone(destination_id d, std::string key) { left_alone_ = {d, std::move(key)}; }

bool operators::is_left_alone(const core::held_record& held) const {
  return left_alone_ && left_alone_->first == held.destination &&
         left_alone_->second == world_.disk.message_at(held.at)->key();
}

void operators::lose_owner() { open_ = 0; }

void operators::ask(kind what, destination_id d, std::optional<sequence> seq) {
  const auto token = ++last_token_;
  if (what == kind::resume) {
    ++resumes_[d.value() - 1];
    world_.book_of(d).set_quiet(false);
  }
  ++open_;
  world_.mail.post(operator_party, shard_party, [this, what, d, seq, token, resumes = resumes_[d.value() - 1]] {
    auto& lanes = world_.boss->lanes;
    auto& machine = lanes.machine();
    const auto wall = world_.wall();
    const auto name = [&] {
      return std::to_string(d.value()) + "/" + std::to_string(seq.value_or(sequence{}).value());
    };
    lanes.operators.emplace(token, [this, what, d, seq, resumes](const result<std::uint64_t>& got) {
      --open_;
      const bool resumed_since = resumes != resumes_[d.value() - 1];
      if (what != kind::pause || !resumed_since) answered(what, d, seq, got);
    });
    switch (what) {
    case kind::pause:
      world_.tell("an operator pauses d", d);
      machine.pause(token, d, world_.now, wall);
      break;
    case kind::resume:
      world_.tell("an operator resumes d", d);
      machine.resume(token, d, world_.now, wall);
      if (!machine.diverged()) resumed(d);
      break;
    case kind::retry:
      world_.tell("an operator retries d", name());
      lanes.retries(d, seq);
      machine.retry(token, d, seq, world_.now, wall);
      break;
    case kind::skip:
      world_.tell("an operator skips d", name());
      machine.skip(token, d, *seq, world_.now, wall);
      break;
    }
    lanes.perform();
  });
}

/// Whoever resumes has mended the receiver, and does not want to wait.
void operators::resumed(destination_id d) {
  world_.book_of(d).forget_wishes();
  const auto now_is = *world_.boss->lanes.machine().status(d);
  auto heads = now_is.heads;
  if (now_is.head) heads.push_back(*now_is.head);
  for (const auto& head : heads)
    require(!head.next_attempt || *head.next_attempt <= world_.now, operators_promise,
            [] { return "a destination was resumed, and its receiver is still left alone"; });
}

void operators::answered(kind what, destination_id d, std::optional<sequence> seq, const result<std::uint64_t>& got) {
  if (!got) return;
  auto& book = world_.book_of(d);
  switch (what) {
  case kind::pause:
    require(world_.disk.progress(d).paused, operators_promise,
            [] { return "a pause was answered before it was durable"; });
    require(!book.under_way(), operators_promise, [] { return "a pause was answered while a request was under way"; });
    book.set_quiet(true);
    break;
  case kind::resume: break;
  case kind::retry:
    require(*got == 0 || !seq || world_.disk.operations("retry", d, *seq) > 0, operators_promise,
            [] { return "a retry was answered before it was durable"; });
    break;
  case kind::skip:
    require(book.is_saved(*seq) && world_.disk.operations("skip", d, *seq) > 0, operators_promise,
            [] { return "a skip was answered before it was durable"; });
    break;
  }
}

} // namespace reseq::simulation
