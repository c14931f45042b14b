#include <algorithm>
#include <utility>

#include "owner.hpp"
#include "violation.hpp"
#include "world.hpp"

namespace reseq::simulation {

namespace {

/// As after a restart with another configuration, or with results that were smaller than the messages they are of.
void shrink_window(choices& choose, destination_settings& of) {
  const bool by_key = of.order == delivery_order::key; // with room for others beside one that does not move
  const auto least = by_key ? 2 * of.batch : 1;
  of.window = least + choose.below(of.window - least + 1);
  if (choose.chance(500))
    of.window_bytes = std::min<std::uint64_t>(of.window_bytes, (by_key ? 400 : 20) + choose.below(300));
}

std::vector<core::destination_setup> set_up(world& with) {
  auto all = with.disk.setups();
  if (with.fault(with.plan.faults.windows_shrink))
    for (auto& one : all) shrink_window(with.choose, one.settings);
  return all;
}

} // namespace

shard_host::shard_host(world& with, epoch ours)
  : world_(with), machine_(set_up(with), with.plan.retry.on_exhausted, with.choose.below(1U << 20U), with.now, ours,
                           with.plan.outside) {
  for (const auto& d : with.plan.destinations) most_messages_ += d.settings.window;
}

void shard_host::accepted(const std::vector<core::accepted_message>& messages, std::uint64_t bytes) {
  machine_.accepted(messages, world_.now);
  world_.mail.post(shard_party, writer_party, [this, bytes] { world_.boss->journal_writer.taken(bytes); });
  perform();
}

void shard_host::saved(bool durable) {
  durable ? machine_.saved(world_.now) : machine_.save_failed(world_.now);
  perform();
}

void shard_host::searched(destination_id d, result<core::key_backlog> found) {
  if (found)
    machine_.searched(d, std::move(*found), world_.now);
  else
    machine_.backlog_failed(d, world_.now);
  perform();
}

void shard_host::backlog(destination_id d, result<std::vector<core::backlog_item>> items) {
  if (items)
    machine_.backlog(d, std::move(*items), world_.now);
  else
    machine_.backlog_failed(d, world_.now);
  perform();
}

/// Notes which lanes wait for a result that leaves them out: these must not send the message.
void shard_host::note_excluded(const core::work_key& what, const core::work_result& done) {
  for (const auto& d : world_.plan.destinations) {
    const auto seq = world_.disk.place(what.at, d.id);
    const bool meant = done.body && (!done.only_to || std::ranges::find(*done.only_to, d.id) != done.only_to->end());
    if (meant || seq == sequence{} || what.chain.value() != (d.own_chain ? d.id.value() : 0)) continue;
    const auto found = machine_.find(d.id, seq, world_.disk.message_at(what.at)->key());
    const auto status = machine_.status(d.id);
    auto heads = status->heads;
    if (status->head) heads.push_back(*status->head);
    const bool being_held = std::ranges::any_of(
      heads, [&](const core::blocked_by& head) { return head.seq == seq && head.phase == "saving"; });
    if (found && found->state == "pending" && !being_held) world_.book_of(d.id).excludes(seq);
  }
}

void shard_host::worked(std::vector<core::finished_work> all) {
  for (const auto& one : all)
    if ((!one.done.body || one.done.only_to) && asked_.at({one.at, one.chain}) == one.asked)
      note_excluded({one.at, one.chain}, one.done);
  machine_.worked(std::move(all), world_.now);
}

void shard_host::gave_up(core::unfinished_work lost) { machine_.gave_up(std::move(lost), world_.now, world_.wall()); }

void shard_host::lanes_opened(core::mirror_call_id call, const core::lanes_found& found) {
  machine_.lanes_opened(call, found, world_.now);
  perform();
}

void shard_host::lanes_answered(core::mirror_call_id call, const core::lane_answers& answers) {
  machine_.lanes_answered(call, answers, world_.now);
  perform();
}

void shard_host::lanes_failed(core::mirror_call_id call, const error& why) {
  machine_.lanes_failed(call, why, world_.now);
  perform();
}

void shard_host::loaded(result<std::vector<core::stored_result>> found) {
  if (found)
    for (const auto& one : *found)
      if (one.message_id == world_.disk.message_at(one.key.at)->id()) note_excluded(one.key, one.done);
  machine_.loaded(std::move(found), world_.now);
  perform();
}

void shard_host::delivered(destination_id d, core::request_id request, const core::receiver_answer& answer) {
  machine_.answered(d, request, answer, world_.now, world_.wall());
  const auto* old = std::get_if<core::stale>(&answer);
  later_epoch_seen_ = old != nullptr && old->seen > world_.boss->number;
  perform();
}

void shard_host::drain() {
  machine_.drain();
  draining_ = true;
  for (const auto& d : world_.plan.destinations) world_.book_of(d.id).draining();
  perform();
}

void shard_host::retries(destination_id d, std::optional<sequence> seq) {
  const core::chain_index chain{world_.plan.of(d).own_chain ? d.value() : 0};
  const auto status = machine_.status(d);
  for (const auto& held : status->held)
    if (!seq || *seq == held.seq) retried_[{d, held.seq}] = world_.boss->work.copies_of({held.at, chain});
}

/// What an operator has tried again is tried before it is given up again.
void shard_host::check_retries(const core::journal_change& change) {
  for (const auto& record : change.held) {
    const auto retried = retried_.extract({record.destination, record.seq});
    const bool given_up =
      record.reason == core::hold_reason::exhausted || record.reason == core::hold_reason::permanent;
    if (!retried || !given_up) continue;
    const core::chain_index chain{world_.plan.of(record.destination).own_chain ? record.destination.value() : 0};
    require(world_.boss->work.copies_of({record.at, chain}) > retried.mapped(), "Operators", [&] {
      return world_.plan.of(record.destination).settings.name + "/" + std::to_string(record.seq.value()) +
             " was to be tried again, and is held without that";
    });
  }
}

void shard_host::perform() {
  auto todo = machine_.take();
  if (todo.save) check_retries(*todo.save);
  for (const auto& wanted : todo.work) asked_.insert_or_assign({wanted.at, wanted.chain}, wanted.asked);
  if (!todo.work.empty() || !todo.heads.empty() || !todo.holding.empty() || !todo.withdrawn.empty())
    world_.mail.post(shard_party, dispatcher_party,
                     [this, withdrawn = std::move(todo.withdrawn), work = std::move(todo.work),
                      heads = std::move(todo.heads),
                      holding = std::move(todo.holding)] { world_.boss->work.want(withdrawn, work, heads, holding); });
  for (const auto& what : todo.reads) {
    require(what.max_messages > 0 && what.max_messages <= world_.plan.of(what.destination).settings.window,
            "Bounded memory", [&] { return "a read of " + std::to_string(what.max_messages) + " messages"; });
    world_.mail.post(shard_party, reader_party, [this, what] {
      if (!what.keys.empty())
        return world_.mail.post(
          reader_party, shard_party,
          [this, d = what.destination, found = world_.disk.search(what)] { world_.boss->lanes.searched(d, found); });
      world_.mail.post(reader_party, shard_party, [this, d = what.destination, items = world_.disk.read(what)] {
        world_.boss->lanes.backlog(d, items);
      });
    });
  }
  for (auto& request : todo.sends) send(std::move(request));
  require(!todo.diverged, "Order", [&] { return "it takes itself for diverged: " + *todo.diverged; });
  if (todo.lanes)
    world_.mail.post(shard_party, resequencer_party,
                     [this, call = std::move(*todo.lanes)] { world_.beside.called(world_.boss->number, call); });
  if (!todo.load.empty())
    world_.mail.post(shard_party, resequencer_party, [this, keys = todo.load] { world_.beside.asked(keys); });
  if (todo.save)
    world_.mail.post(shard_party, writer_party,
                     [this, change = std::move(*todo.save)] { world_.boss->journal_writer.save(change); });
  for (auto& done : todo.answers)
    if (auto waiting = operators.extract(done.token)) waiting.mapped()(std::move(done.outcome));
  require(todo.check_epoch == std::exchange(later_epoch_seen_, false), "One owner",
          [] { return "a receiver has seen a later epoch, and the journal is not asked"; });
  check_bounds();
  if (draining_ && machine_.drained()) {
    draining_ = false;
    world_.mail.post(shard_party, world_party, [this] { world_.hand_over(); });
  }
  schedule();
}

void shard_host::send(core::send_request request) {
  const auto d = request.destination;
  world_.tell("d", d, ": the owner sends ", request);
  world_.book_of(d).sent(request, world_.now);
  const auto sink = static_cast<party>(first_sink + d.value() - 1);
  world_.mail.post(shard_party, sink, [this, wanted = std::move(request)] { world_.outside.deliver(wanted); });
}

void shard_host::check_bounds() {
  require(machine_.messages_in_memory() <= most_messages_, "Bounded memory",
          [&] { return std::to_string(machine_.messages_in_memory()) + " messages are in the windows"; });
  std::uint64_t most_bytes = 0;
  const std::uint64_t largest = world_.plan.largest_message + 32;
  for (const auto& d : world_.plan.destinations)
    most_bytes += d.settings.window_bytes + largest * (d.settings.window + 1);
  require(machine_.bytes_in_memory() <= most_bytes, "Bounded memory",
          [&] { return std::to_string(machine_.bytes_in_memory()) + " bytes are in the windows"; });
}

void shard_host::check_windows() const {
  for (const auto& d : world_.plan.destinations) {
    const auto status = machine_.status(d.id);
    require(status->pending + status->ready <= d.settings.window, "Bounded memory",
            [&] { return d.settings.name + " has more than its window"; });
    require(status->settled <= world_.disk.progress(d.id).watermark, "No loss",
            [&] { return d.settings.name + " shows more as settled than is durable"; });
    for (const auto& held : status->held)
      require(world_.disk.held(d.id).contains(held.seq) || world_.book_of(d.id).is_saved(held.seq), "No loss",
              [&] { return d.settings.name + " shows a message as held before that is durable"; });
  }
}

void shard_host::schedule() {
  const auto due = machine_.wakeup();
  if (!due || (scheduled_ && *scheduled_ <= *due)) return;
  scheduled_ = due;
  world_.mail.ring_at(*due, shard_party, [this, at = *due] {
    if (scheduled_ == at) scheduled_.reset();
    machine_.tick(world_.now);
    perform();
  });
}

} // namespace reseq::simulation
