#include "actors/shard.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <spdlog/spdlog.h>

#include "actors/shard_recovery.hpp"
#include "actors/step_down.hpp"
#include "actors/wall_clock.hpp"
#include "reseq/model/counted.hpp"

namespace reseq::actors {
namespace {

template <class... Handlers>
struct overloaded : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
overloaded(Handlers...) -> overloaded<Handlers...>;

constexpr auto least_between_words = std::chrono::minutes{1};

constexpr auto owner_asked_every = std::chrono::milliseconds{200};

/// Of `core::drift`, in its order.
constexpr std::array<const char*, core::drift_kinds> drift_words{"it disagreed about what comes next",
                                                                 "it had them from another time",
                                                                 "it did not answer in time", "it had lost them"};

void step_down_from(const std::string& pipeline, epoch ours, epoch later) {
  step_down("pipeline " + pipeline + " has a later owner (epoch " + std::to_string(later.value()) + ", ours is " +
            std::to_string(ours.value()) + ")");
}

} // namespace

refuse refusal(const shard_setup& of, const std::string& why) {
  return {of.handle, {errc::unavailable, "has diverged: " + why, "pipeline " + of.pipeline}};
}

shard_actor::behavior_type shard_state::make_behavior(shard_actor::stateful_pointer<shard_state> to_self,
                                                      shard_setup with) {
  self = to_self;
  setup = std::move(with);
  begin_counting();
  self->send(setup.journal, setup.handle, shard_actor{self}); // before the first save, whose outcome it waits for
  perform();
  return {
    [this](accepted& news) { on(news); },
    [this](const saved& outcome) { on(outcome); },
    [this](backlog& piece) { on(piece); },
    [this](searched& piece) { on(piece); },
    [this](work_done& done) { on(done); },
    [this](lanes_told& answer) { on(answer); },
    [this](results_loaded& loaded) { on(loaded); },
    [this](const still_owned& answer) { on(answer); },
    [this](const no_later_owner& news) { on(news); },
    [this](const journal_gone_back& news) { on(news); },
    [this](const delivered& answer) { on(answer); },
    [this](const operate& wish) { on(wish); },
    [this](recover& wish) { on(wish); },
    [this](const ask_status& question) { on(question); },
    [this](const ask_sequences& question) { on(question); },
    [this](const drain& wish) {
      setup.machine->drain();
      draining.push_back(wish.done);
      perform();
    },
    [this](probe) {
      asks_owner = false; // what is held back has it asked again
      perform();
    },
    [this](const wake& timer) {
      if (scheduled == timer.at) scheduled.reset();
      setup.machine->tick(now());
      perform();
    },
  };
}

time_point shard_state::now() const { return self->clock().now(); }

void shard_state::on(accepted& news) {
  was_owner(news.asked);
  accepted_so_far->Increment(static_cast<double>(news.messages.size()));
  setup.machine->accepted(news.messages, now());
  self->send(setup.journal, accepted_taken{news.bytes});
  perform();
}

void shard_state::on(const saved& outcome) {
  auto lost = std::exchange(abandoned_saving, {});
  if (!outcome.durable) {
    abandoned.insert(abandoned.begin(), std::make_move_iterator(lost.begin()), std::make_move_iterator(lost.end()));
    setup.machine->save_failed(now());
    return perform();
  }
  was_owner(outcome.asked);
  setup.machine->saved(now());
  perform();
  for (const auto& one : lost) log(one);
}

void shard_state::on(backlog& piece) {
  if (piece.items)
    setup.machine->backlog(piece.destination, std::move(*piece.items), now());
  else
    setup.machine->backlog_failed(piece.destination, now());
  perform();
}

void shard_state::on(searched& piece) {
  if (piece.found)
    setup.machine->searched(piece.destination, std::move(*piece.found), now());
  else
    setup.machine->backlog_failed(piece.destination, now());
  perform();
}

void shard_state::on(work_done& done) {
  const auto at = now();
  if (!done.done.empty()) setup.machine->worked(std::move(done.done), at);
  for (auto& lost : done.given_up) setup.machine->gave_up(std::move(lost), at, wall_now());
  perform();
}

void shard_state::on(lanes_told& answer) {
  auto& machine = *setup.machine;
  if (answer.found)
    machine.lanes_opened(answer.call, *answer.found, now());
  else if (answer.answers)
    machine.lanes_answered(answer.call, *answer.answers, now());
  else
    machine.lanes_failed(answer.call, *answer.trouble, now());
  perform();
}

void shard_state::on(results_loaded& loaded) {
  setup.machine->loaded(std::move(loaded.found), now());
  perform();
}

void shard_state::on(const still_owned& answer) {
  if (!answer.asked) return self->delayed_send(self, owner_asked_every, probe{});
  asks_owner = false;
  const bool in_time = now() - *answer.asked < ownership_lasts;
  if (in_time) was_owner(*answer.asked);
  perform();
  ownership_lasts = in_time ? least_ownership : 2 * ownership_lasts; // it is slow, or this process was paused
}

void shard_state::on(const no_later_owner& news) {
  setup.machine->diverge(news.why);
  perform();
}

void shard_state::on(const journal_gone_back& news) {
  gone_back = true;
  setup.measured->diverged.note_known_here_alone(setup.pipeline, news.why);
  setup.machine->diverge(news.why);
  perform();
}

void shard_state::on(const delivered& answer) {
  count(answer);
  if (std::holds_alternative<core::stale>(answer.answer) && setup.transactional.contains(answer.destination))
    later_owner_seen = "the receiver of destination " + std::string(setup.machine->name(answer.destination)) +
                       " has a later owner than the journal knows of";
  if (const auto sent = handed_over.extract({answer.destination, answer.request}))
    measure(sent.mapped(), answer.answer);
  setup.machine->answered(answer.destination, answer.request, answer.answer, now(), wall_now());
  log(answer);
  perform();
}

/// Everything is there from the start: a rate wants to have seen the zero.
void shard_state::begin_counting() {
  auto& all = *setup.measured;
  accepted_so_far = &all.accepted.Add({{"pipeline", setup.pipeline}});
  all.duplicates.Add({{"pipeline", setup.pipeline}});
  all.unrouted.Add({{"pipeline", setup.pipeline}});
  end_to_end = &all.end_to_end(setup.pipeline);
  for (const auto& [destination, sink] : setup.sinks) {
    deliveries.emplace(destination, all.deliveries_to(labels_of(destination)));
    all.dead_letters.Add(labels_of(destination));
  }
}

prometheus::Labels shard_state::labels_of(destination_id which) const {
  return actors::labels_of(setup.pipeline, std::string{setup.machine->name(which)}, setup.sinks.size());
}

void shard_state::count(const delivered& answer) {
  const auto& of = deliveries.at(answer.destination);
  std::visit(overloaded{[&](const core::confirmed&) { of.confirmed->Increment(); },
                        [&](const core::refused&) { of.refused->Increment(); },
                        [&](const core::stale&) { of.stale->Increment(); },
                        [&](const core::failing&) { of.failing->Increment(); }},
             answer.answer);
}

/// The beginning and the end of a failure; not each of its many tries, nor the failures of single keys. Runs for each
/// answer, so nothing is asked of the machine that takes longer the more it holds.
void shard_state::log(const delivered& answer) {
  const auto label = setup.machine->name(answer.destination);
  if (const auto* trouble = std::get_if<core::failing>(&answer.answer)) {
    if (setup.machine->is_failing(answer.destination) && failures.failed(answer.destination, trouble->why, now()))
      spdlog::warn("destination {}/{}: failing, and tried again until it works: {}", setup.pipeline, label,
                   trouble->why);
  } else if (failures.worked(answer.destination)) {
    spdlog::info("destination {}/{}: works again", setup.pipeline, label);
  }
}

void shard_state::log(const core::abandoned_message& what) {
  const auto& why = what.why;
  const std::string destination{setup.machine->name(why.destination)};
  const auto becomes = what.held ? "is held" : "is a dead letter";
  if (!what.held) setup.measured->dead_letters.Add(labels_of(why.destination)).Increment();
  const auto cause = [&]() -> std::string {
    switch (why.reason) {
    case core::hold_reason::exhausted: return "used up its " + counted(why.attempts, "attempt");
    case core::hold_reason::permanent: return "failed for good";
    case core::hold_reason::refused: return "was refused";
    case core::hold_reason::dead_letters: break;
    }
    return "follows too many dead letters";
  };
  spdlog::warn("destination {}/{}: message {} (0:{}, sequence {}) {} and {}: {}", setup.pipeline, destination,
               what.message_id, why.at.value(), why.seq.value(), cause(), becomes, why.last_error);
}

void shard_state::on(const operate& wish) {
  const auto token = next_token++;
  operators.emplace(token, wish.done);
  auto& machine = *setup.machine;
  switch (wish.what) {
  case operate::kind::pause: machine.pause(token, wish.destination, now(), wall_now()); break;
  case operate::kind::resume: machine.resume(token, wish.destination, now(), wall_now()); break;
  case operate::kind::retry: machine.retry(token, wish.destination, wish.seq, now(), wall_now()); break;
  case operate::kind::skip:
    machine.skip(token, wish.destination, wish.seq.value_or(sequence{}), now(), wall_now());
    break;
  }
  perform();
}

void shard_state::on(recover& wish) {
  const auto& why = setup.machine->diverged();
  if (!why) return wish.done(fail(errc::conflict, "has not diverged", "pipeline " + setup.pipeline));
  wish.shard = setup.handle;
  wish.why = *why;
  wish.back = setup.back;
  store::shard_state known{setup.handle, setup.owner, {}, 0, setup.known};
  recovery_inquiry::everybody asked{{}, setup.reader, setup.resequencer, setup.journal};
  for (auto& one : known.destinations) {
    auto now = *setup.machine->status(one.id);
    one.last = now.accepted;
    asked.receivers.push_back({std::move(now), setup.sinks.at(one.id)});
  }
  // What others have is not compared when a shard is opened, either.
  std::erase_if(known.destinations, [&](const auto& one) { return !setup.transactional.contains(one.id); });
  if (gone_back) known.destinations.clear(); // they have what this process gave them, and the journal may not
  std::make_shared<recovery_inquiry>(std::move(wish), setup.pipeline, std::move(known), std::move(asked))->begin();
}

void shard_state::on(const ask_status& question) {
  if (!question.destination) return question.done(setup.machine->status());
  auto one = setup.machine->status(*question.destination);
  if (!one) return question.done(fail(errc::not_found, "no such destination"));
  question.done(std::vector<core::destination_status>{std::move(*one)});
}

void shard_state::on(const ask_sequences& question) {
  std::vector<core::sequence_status> found;
  for (const auto& [destination, seq] : question.of)
    if (auto one = setup.machine->find(destination, seq, question.key)) found.push_back(std::move(*one));
  question.done(std::move(found));
}

void shard_state::perform() {
  auto todo = setup.machine->take();
  send_work(todo);
  for (auto& what : todo.reads) self->send(setup.reader, read_backlog{setup.handle, what}, shard_actor{self});
  std::ranges::move(todo.sends, std::back_inserter(to_send));
  send();
  std::ranges::move(todo.abandoned, std::back_inserter(abandoned));
  if (todo.save) {
    abandoned_saving = std::exchange(abandoned, {});
    self->send(setup.journal, save{setup.handle, std::move(*todo.save)});
  }
  for (auto& done : todo.answers)
    if (auto waiting = operators.extract(done.token)) waiting.mapped()(std::move(done.outcome));
  for (const auto overhead : todo.release_overheads) setup.measured->release_overhead.Observe(seconds(overhead));
  const auto out_of_order = setup.machine->counters().out_of_order;
  if (out_of_order > out_of_order_seen)
    setup.measured->out_of_order.Increment(
      static_cast<double>(out_of_order - std::exchange(out_of_order_seen, out_of_order)));
  if (todo.lanes) self->send(setup.resequencer, tell_lanes{std::move(*todo.lanes)}, shard_actor{self});
  if (!todo.load.empty()) self->send(setup.resequencer, load_results{std::move(todo.load)}, shard_actor{self});
  if (setup.resequencer) log_drifts();
  if (todo.diverged) diverge(*todo.diverged);
  if (todo.check_epoch) check_ownership(std::exchange(later_owner_seen, {}));
  if (todo.lanes_fenced)
    check_ownership(
      "Redis has a later owner than the journal knows of, or another installation keeps lanes of the same "
      "names there: that one needs another database in its store.redis");
  if (!draining.empty() && setup.machine->drained())
    for (const auto& waiting : std::exchange(draining, {})) waiting(true);
  schedule();
}

/// Stores refuse what a stale owner writes; other receivers cannot know. One that was stopped for a while, with its
/// machine perhaps, finds out before it sends them anything more.
void shard_state::send() {
  if (setup.machine->diverged()) return;
  const bool surely_ours = owned_at && now() - *owned_at < ownership_lasts;
  std::erase_if(to_send, [&](core::send_request& request) {
    if (!surely_ours && !setup.transactional.contains(request.destination)) return false;
    remember(request);
    const auto& sink = setup.sinks.at(request.destination);
    self->send(sink, deliver{std::move(request)});
    return true;
  });
  if (!to_send.empty() && !std::exchange(asks_owner, true)) ask_owner();
}

void shard_state::was_owner(time_point when) { owned_at = std::max(owned_at.value_or(when), when); }

void shard_state::ask_owner() {
  const auto decide = [ours = setup.owner, pipeline = setup.pipeline, asked = now(),
                       me = shard_actor{self}](const result<epoch>& current) {
    if (current && *current > ours) return step_down_from(pipeline, ours, *current);
    caf::anon_send(me, still_owned{current ? std::optional{asked} : std::nullopt});
  };
  self->send(setup.reader, ask_epoch{setup.handle, reply<epoch>(decide)});
}

void shard_state::remember(const core::send_request& what) {
  auto& sent = handed_over[{what.destination, what.id}];
  sent.when = now();
  sent.received.reserve(what.items.size());
  for (const auto& item : what.items) sent.received.push_back(item.message->received());
}

void shard_state::measure(const handed_over_request& sent, const core::receiver_answer& answer) {
  setup.measured->delivery.Observe(seconds(now() - sent.when));
  if (!std::holds_alternative<core::confirmed>(answer)) return;
  const auto wall = exact_wall_now();
  for (const auto received : sent.received) // the host's clock may have been set back meanwhile
    end_to_end->Observe(std::max(0.0, seconds(wall - received)));
}

void shard_state::send_work(core::effects& todo) {
  if (todo.work.empty() && todo.heads.empty() && todo.holding.empty() && todo.withdrawn.empty()) return;
  self->send(setup.dispatcher, work_wanted{setup.index, std::move(todo.withdrawn), std::move(todo.work),
                                           std::move(todo.heads), std::move(todo.holding)});
}

/// Each kind at most once a minute: a Redis that has no room for more brings hundreds.
void shard_state::log_drifts() {
  const auto& outside = *setup.machine->outside();
  for (std::size_t kind = 0; kind < drift_names.size(); ++kind) {
    const auto drifts = outside.lanes().drifts()[kind];
    if (drifts == drifts_seen[kind]) continue;
    setup.measured->rebuilds[kind]->Increment(static_cast<double>(drifts - std::exchange(drifts_seen[kind], drifts)));
    auto& [told, when] = drifts_told[kind];
    if (when && now() - *when < least_between_words) continue;
    when = now();
    const auto more = drifts - std::exchange(told, drifts);
    spdlog::warn("pipeline {}: {} written to Redis anew: {}", setup.pipeline,
                 kind == static_cast<std::size_t>(core::drift::results) ? "results are"
                 : more == 1                                            ? "a lane is"
                                                                        : std::to_string(more) + " lanes are",
                 drift_words[kind]);
  }
  if (const auto adopted = outside.adopted(); adopted > adopted_seen) {
    setup.measured->results_adopted.Increment(static_cast<double>(adopted - adopted_seen));
    spdlog::info("pipeline {}: {} of an earlier owner used", setup.pipeline,
                 counted(adopted - std::exchange(adopted_seen, adopted), "result"));
  }
}

/// Nothing of this shard is changed or sent from now on.
void shard_state::diverge(const std::string& why) {
  spdlog::critical("pipeline {} has diverged, and is stopped: {}. `reseqctl why {}` says what to do", setup.pipeline,
                   why, setup.pipeline);
  setup.measured->diverged.note(setup.pipeline, why);
  self->send(setup.journal, refusal(setup, why));
}

/// A receiver, or the resequencer, has seen a later epoch than ours. If the journal agrees, somebody else owns the
/// shard. Else it has gone back in time for that reason; with none, that record is not to be trusted.
void shard_state::check_ownership(std::string why) {
  const auto log_wrong =
    !why.empty() || std::exchange(told_of_wrong_record, true) ? spdlog::level::debug : spdlog::level::err;
  const auto decide = [ours = setup.owner, pipeline = setup.pipeline, why = std::move(why), log_wrong,
                       me = shard_actor{self}](const result<epoch>& current) {
    if (!current)
      return spdlog::warn("pipeline {}: the journal could not be asked who owns it: {}", pipeline,
                          current.error().text());
    if (*current <= ours && !why.empty()) return caf::anon_send(me, no_later_owner{why});
    if (*current <= ours)
      return spdlog::log(log_wrong,
                         "pipeline {}: a receiver answered 412 with a later Reseq-Epoch than the journal knows: the "
                         "receiver's own record is wrong",
                         pipeline);
    step_down_from(pipeline, ours, *current);
  };
  self->send(setup.reader, ask_epoch{setup.handle, reply<epoch>(decide)});
}

void shard_state::schedule() {
  const auto due = setup.machine->wakeup();
  if (!due || (scheduled && *scheduled <= *due)) return;
  scheduled = due;
  self->delayed_send(self, std::max(*due - now(), duration::zero()), wake{*due});
}

} // namespace reseq::actors
