#include "actors/dispatcher.hpp"

#include <algorithm>
#include <iterator>

#include <caf/actor_cast.hpp>
#include <spdlog/spdlog.h>

#include "actors/network_words.hpp"
#include "reseq/model/counted.hpp"
#include "reseq/pipeline/chain.hpp"

namespace reseq::actors {
namespace {

/// A worker that was heard of so recently has not been given up for its silence, which takes a second: its connection
/// was closed. Two pulses may be late.
constexpr auto fresh = 3 * pulse_interval;

/// Of workers that have gone, and of tasks that were given up.
constexpr std::size_t most_remembered = 256;

/// Takes the same time wherever the texts differ, so that a token cannot be guessed byte by byte.
bool same_secret(const std::string& a, const std::string& b) {
  unsigned differing = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    differing |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return differing == 0;
}

core::attempt_end end_of(answer_kind kind) {
  switch (kind) {
  case answer_kind::failed: return core::attempt_end::failed;
  case answer_kind::permanent: return core::attempt_end::permanent;
  default: return core::attempt_end::done;
  }
}

} // namespace

dispatcher_actor::behavior_type
dispatcher_state::make_behavior(dispatcher_actor::stateful_pointer<dispatcher_state> to_self, dispatcher_setup with) {
  self = to_self;
  setup = std::move(with);
  table = std::make_unique<core::dispatch_table>(setup.seed);
  for (const auto& p : setup.pipelines) {
    table->add_pipeline(p.retry);
    served one{p, {}, {}};
    for (const auto& [label, id] : p.destinations) one.names.emplace(id, label);
    pipelines.push_back(std::move(one));
  }
  self->set_down_handler([this](const caf::down_msg& down) { on_down(down.source, why_gone(down.reason)); });
  return {
    [this](const hello& who, const worker_actor& handle) { on(who, handle); },
    [this](answers& given) { on(given); },
    [this](const pulse&) { on_pulse(); },
    [this](const farewell& leaving) {
      on(leaving);
      return caf::ok_atom::value;
    },
    [this](core::pipeline_index index, const shard_actor& owner) { pipelines.at(index.value()).shard = owner; },
    [this](work_wanted& wanted) { on(wanted); },
    [this](const ask_task& question) { question.done(inspect(question)); },
    [this](const ask_dispatcher& question) { question.done(status()); },
    [this](const wake& timer) {
      if (scheduled == timer.at) scheduled.reset();
      table->tick(now());
      dismiss_hung();
      perform();
    },
  };
}

time_point dispatcher_state::now() const { return self->clock().now(); }

void dispatcher_state::on(work_wanted& wanted) {
  for (const auto& [at, chain] : wanted.withdrawn) table->withdraw({wanted.pipeline, at, chain}, now());
  for (auto& work : wanted.work) {
    table->submit({wanted.pipeline, work.at, work.chain}, work.head, now(), {std::move(work.message), work.asked});
  }
  for (const auto& [at, chain] : wanted.heads) table->make_head({wanted.pipeline, at, chain}, now());
  for (const auto& [at, chain] : wanted.holding) table->hold_back({wanted.pipeline, at, chain}, now());
  perform();
}

void dispatcher_state::on(const hello& who, const worker_actor& handle) {
  if (auto why = reason_to_refuse(who); !why.empty()) {
    spdlog::warn("worker {} refused: {}", who.node, why);
    self->send(handle, welcome{false, std::move(why), {}, {}, {}});
    return;
  }
  join(who, handle);
}

std::string dispatcher_state::reason_to_refuse(const hello& who) const {
  if (who.protocol != protocol_version)
    return "it speaks protocol version " + std::to_string(who.protocol) + ", this supervisor speaks version " +
           std::to_string(protocol_version) + "; run the same release on both";
  if (!same_secret(who.token, setup.token))
    return "its cluster.token is not this supervisor's; set the same one on both";
  if (who.slots == 0 || who.slots > 100'000) return "it offers " + std::to_string(who.slots) + " slots";
  if (who.pipelines.size() != who.fingerprints.size()) return "its handshake is malformed";
  return {};
}

std::vector<core::pipeline_index> dispatcher_state::offered(const hello& who, welcome& reply) const {
  std::vector<core::pipeline_index> indices;
  for (std::size_t i = 0; i < who.pipelines.size(); ++i) {
    const auto& wanted = who.pipelines[i];
    const auto found = std::ranges::find_if(pipelines, [&](const served& p) { return p.is.name == wanted; });
    if (found == pipelines.end()) {
      reply.refused.push_back("pipeline " + wanted + " is not configured at this supervisor");
    } else if (found->is.fingerprint != who.fingerprints[i]) {
      reply.refused.push_back("pipeline " + wanted +
                              " has other transforms at this supervisor; "
                              "build and configure both alike");
    } else {
      indices.emplace_back(static_cast<std::uint32_t>(found - pipelines.begin()));
      reply.pipelines.push_back(wanted);
    }
  }
  return indices;
}

void dispatcher_state::join(const hello& who, const worker_actor& handle) {
  const auto address = handle.address();
  drop(address, core::departure::left); // a worker that says hello again begins anew
  welcome reply{true, {}, {}, {}, {}};
  auto offers = offered(who, reply);
  for (const auto& why : reply.refused) spdlog::warn("worker {}: {}", who.node, why);
  if (offers.empty()) {
    reply.accepted = false;
    reply.why = "none of its pipelines can be used here";
    if (!reply.refused.empty()) reply.why += ": " + reply.refused.front();
    self->send(handle, std::move(reply));
    return;
  }
  const auto id = table->join(who.slots, std::move(offers));
  const auto node = free_name(who.node);
  peers.emplace(address, peer{id, handle, node, who.slots, now(), false, false});
  addresses.emplace(id, address);
  node_names.emplace(id, node);
  for (auto oldest = node_names.begin(); node_names.size() > most_remembered && oldest != node_names.end();)
    oldest = addresses.contains(oldest->first) ? std::next(oldest) : node_names.erase(oldest);
  self->monitor(handle);
  spdlog::info("worker {} joined with {}", node, counted(who.slots, "slot"));
  reply.name = node;
  self->send(handle, std::move(reply));
  perform();
}

/// `node`, `node#2`, …: the first that no other worker has.
std::string dispatcher_state::free_name(const std::string& node) const {
  auto made = node;
  const auto has_it = [&](const auto& one) { return one.second.node == made; };
  for (int number = 2; std::ranges::any_of(peers, has_it); ++number) made = node + "#" + std::to_string(number);
  return made;
}

void dispatcher_state::drop(const caf::actor_addr& gone, core::departure how) {
  const auto found = peers.find(gone);
  if (found == peers.end()) return;
  const auto id = found->second.id;
  self->demonitor(gone);
  addresses.erase(id);
  peers.erase(found);
  table->leave(id, how, now());
}

void dispatcher_state::on_pulse() {
  const auto found = peers.find(caf::actor_cast<caf::actor_addr>(self->current_sender()));
  if (found != peers.end()) found->second.heard = now();
}

void dispatcher_state::on_down(const caf::actor_addr& gone, const std::string& why) {
  const auto found = peers.find(gone);
  if (found == peers.end()) return;
  const auto was = found->second;
  const bool expected = was.leaving || was.dismissed;
  const auto unexpected = now() - was.heard <= fresh ? core::departure::died : core::departure::lost;
  const auto how = expected ? core::departure::left : unexpected;
  if (!was.leaving) {
    ++deaths;
    setup.measured->worker_deaths.Increment();
  }
  drop(gone, how);
  log_end(was, how, why);
  perform();
}

void dispatcher_state::log_end(const peer& gone, core::departure how, const std::string& why) {
  const auto& now_are = table->counters();
  if (gone.leaving)
    spdlog::info("worker {} left", gone.node);
  else if (gone.dismissed)
    spdlog::warn("worker {} ended, as it was told to ({}); what it had is dispatched again", gone.node, why);
  else
    spdlog::warn("worker {} {} ({}){}", gone.node, how == core::departure::died ? "died" : "fell silent", why,
                 now_are.crashed > published.crashed ? " of the only message that it had; that attempt has failed"
                                                     : "; what it had is dispatched again");
  if (now_are.suspected > published.suspected)
    spdlog::warn("pieces of work that were in flight on workers that died, or on several that fell silent, and run on "
                 "a worker of their own now: {}",
                 now_are.suspected - published.suspected);
}

void dispatcher_state::dismiss_hung() {
  for (const auto id : table->take_hung()) {
    auto& who = peers.at(addresses.at(id));
    spdlog::error(
      "worker {}: {} that a pipeline stands still; it is told to end, so that whoever runs it starts it again",
      who.node,
      who.slots == 1 ? std::string{"its only slot hangs, so"}
                     : "so many of its " + std::to_string(who.slots) + " slots hang");
    who.dismissed = true;
    self->send(who.handle, dismissed{"its slots hang"});
  }
}

void dispatcher_state::log_quarantines() {
  for (const auto& [what, times] : quarantines.tell(table->take_quarantine_changes(), now())) {
    const auto& [index, chain, quarantined] = what;
    const auto& pipeline = pipelines[index.value()];
    const auto whose =
      chain.value() == 0 ? std::string{} : " of destination " + pipeline.names.at(destination_id{chain.value()});
    if (quarantined)
      spdlog::error(
        "pipeline {}: the transforms{} have killed workers with several messages; all their messages run by "
        "themselves now, after a rest where others have work to do{}",
        pipeline.is.name, whose, times > 1 ? " (" + std::to_string(times) + " times since this was last said)" : "");
    else
      spdlog::info("pipeline {}: the transforms{} work again; their messages run beside others", pipeline.is.name,
                   whose);
  }
}

void dispatcher_state::on(const farewell& leaving) {
  const auto found = peers.find(caf::actor_cast<caf::actor_addr>(self->current_sender()));
  if (found == peers.end() || found->second.leaving) return;
  spdlog::info("worker {} is leaving: {}", found->second.node, leaving.why);
  found->second.leaving = true;
  table->retire(found->second.id);
}

void dispatcher_state::on(answers& given) {
  const auto from = peers.find(caf::actor_cast<caf::actor_addr>(self->current_sender()));
  if (from == peers.end()) return; // it was refused, or it is gone: its work has gone elsewhere
  from->second.heard = now();
  std::map<core::pipeline_index, work_done> news;
  for (auto& item : given.items) take(from->second, item, news);
  perform(std::move(news));
}

void dispatcher_state::take(peer& from, answer& item, std::map<core::pipeline_index, work_done>& news) {
  const dispatch_id copy{item.dispatch};
  const auto owed = table->owed(from.id, copy, item.chain);
  if (!owed) {
    spdlog::warn("worker {} answered for work that it does not have; ignored", from.node);
    return;
  }
  setup.measured->transform.Observe(static_cast<double>(item.took_ns) / 1e9);
  refuse_strangers(pipelines[owed->pipeline.value()], item);
  const auto end = end_of(item.kind);
  const auto counted = table->answer(from.id, copy, owed->chain, end, std::move(item.error), now());
  if (!counted || end != core::attempt_end::done) return;
  const auto& [key, work] = *counted;
  news[key.pipeline].done.push_back({key.at, key.chain, to_result(pipelines[key.pipeline.value()], work.message, item),
                                     work.asked, std::chrono::nanoseconds{item.took_ns}});
}

/// A result for a destination that is not there has failed: passed over, the message would be nowhere. No permanent
/// failure, for a worker may know of a configuration that the supervisor gets next.
void dispatcher_state::refuse_strangers(const served& pipeline, answer& item) {
  if (end_of(item.kind) != core::attempt_end::done) return;
  for (const auto* labels : {&item.named, &item.only_to}) {
    const auto stranger = std::ranges::find_if_not(
      *labels, [&](const std::string& label) { return pipeline.is.destinations.contains(label); });
    if (stranger == labels->end()) continue;
    item.kind = answer_kind::failed;
    item.error = "a transform narrows to '" + *stranger + "', which is no destination of this pipeline";
    return;
  }
}

core::work_result dispatcher_state::to_result(const served& pipeline, const message_ptr& message, answer& item) const {
  core::work_result made;
  if (item.kind == answer_kind::produced) made.body = std::move(item.body);
  if (item.kind == answer_kind::unchanged) made.body = content_of(message);
  if (!item.narrowed) return made;
  made.only_to.emplace();
  for (const auto& label : item.only_to) made.only_to->push_back(pipeline.is.destinations.at(label));
  return made;
}

void dispatcher_state::perform(std::map<core::pipeline_index, work_done> news) {
  for (auto& lost : table->take_given_up()) {
    const auto [index, at, chain] = lost.key;
    remember(lost.key, {lost.attempts, lost.last_error, {}, std::move(lost.history)});
    news[index].given_up.push_back(
      {at, chain, lost.attempts, std::move(lost.last_error), lost.work.asked, lost.permanent});
  }
  for (auto& [index, what] : news) self->send(pipelines[index.value()].shard, std::move(what));
  log_quarantines();
  assign();
  setup.measured->publish(table->counters(), published);
  schedule();
}

void dispatcher_state::assign() {
  std::map<worker_id, orders> outgoing;
  for (auto& copy : table->assign(now())) {
    auto& batch = outgoing[copy.worker];
    batch.items.push_back(make_order(std::move(copy)));
  }
  for (auto& [worker, batch] : outgoing) self->send(peers.at(addresses.at(worker)).handle, std::move(batch));
}

order dispatcher_state::make_order(core::dispatch copy) const {
  const auto& pipeline = pipelines[copy.pipeline.value()];
  order made;
  made.dispatch = copy.id.value();
  made.attempt = copy.number.value();
  made.pipeline = pipeline.is.name;
  made.message = std::move(copy.message);
  for (const auto chain : copy.chains)
    made.chains.push_back(chain.value() == 0 ? std::string{} : pipeline.names.at(destination_id{chain.value()}));
  return made;
}

void dispatcher_state::schedule() {
  const auto due = table->next_deadline();
  if (!due || (scheduled && *scheduled <= *due)) return;
  scheduled = due;
  self->delayed_send(self, std::max(*due - now(), duration::zero()), wake{*due});
}

std::optional<named_task_status> dispatcher_state::inspect(const ask_task& question) const {
  if (question.given_up) {
    const auto past = given_up.find(question.key);
    return past == given_up.end() ? std::nullopt : std::optional{past->second};
  }
  auto known = table->inspect(question.key);
  return known ? std::optional{with_names(std::move(*known))} : std::nullopt;
}

/// What is held is looked at by people, who want to know where it failed.
void dispatcher_state::remember(const core::task_key& key, core::task_status status) {
  if (!given_up.insert_or_assign(key, with_names(std::move(status))).second) return;
  given_up_order.push_back(key);
  if (given_up_order.size() <= most_remembered) return;
  given_up.erase(given_up_order.front());
  given_up_order.pop_front();
}

named_task_status dispatcher_state::with_names(core::task_status status) const {
  named_task_status made{std::move(status), {}};
  for (const auto& one : made.status.history) {
    const auto label = node_names.find(one.worker);
    made.workers.push_back(label == node_names.end() ? std::string{"?"} : label->second);
  }
  return made;
}

dispatcher_status dispatcher_state::status() const {
  dispatcher_status made;
  made.counters = table->counters();
  for (const auto& [address, worker] : peers) {
    made.workers.push_back(worker.node);
    made.slots += worker.slots;
  }
  made.in_flight = table->in_flight();
  made.waiting = table->waiting();
  made.suspects = table->suspects();
  made.worker_deaths = deaths;
  return made;
}

} // namespace reseq::actors
