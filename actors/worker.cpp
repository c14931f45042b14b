#include "actors/worker.hpp"

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <spdlog/spdlog.h>

#include "actors/cluster_port.hpp"
#include "actors/network_words.hpp"

namespace reseq::actors {
namespace {

constexpr auto connect_timeout = std::chrono::seconds{5};
constexpr auto welcome_timeout = std::chrono::seconds{5};
constexpr auto first_retry = std::chrono::milliseconds{50};
constexpr auto last_retry = std::chrono::milliseconds{2000};
constexpr auto ask_for_threads_every = std::chrono::milliseconds{100};

/// How a job's answers get to the actor, from any thread.
struct answer_way {
  std::shared_ptr<outbox> box;
  std::uint32_t session;
  worker_node actor;

  void put(answer item) const {
    if (box->put(session, std::move(item))) caf::anon_send(actor, flush{});
  }
};

class job_task : public executor::task {
public:
  /// `pipeline`: kept by `setup`; none, if this worker does not run it.
  job_task(order&& job, const runnable_pipeline* pipeline, std::shared_ptr<const worker_setup> setup, answer_way way)
    : job_(std::move(job)), pipeline_(pipeline), setup_(std::move(setup)), way_(std::move(way)) {}

  void work() override {
    const auto answered = [this](answer item) {
      if (item.chain + 1 < job_.chains.size())
        way_.put(std::move(item));
      else
        last_ = std::move(item);
    };
    if (pipeline_ != nullptr) return run_job(job_, *pipeline_, setup_->max_result, answered);
    for (std::uint32_t i = 0; i < job_.chains.size(); ++i)
      answered(
        {job_.dispatch, i, answer_kind::failed, "this worker does not run pipeline " + job_.pipeline, {}, {}, {}, 0});
  }

  /// The last answer waits until the slot is free again: it is what brings the next order. The others do not, or a
  /// chain that kills this process would take those before it with it.
  void finish() override {
    if (last_) way_.put(std::move(*last_));
  }

private:
  order job_;
  const runnable_pipeline* pipeline_;
  std::shared_ptr<const worker_setup> setup_;
  answer_way way_;
  std::optional<answer> last_;
};

} // namespace

bool outbox::put(std::uint32_t session, answer item) {
  const std::lock_guard hold{mutex_};
  items_.emplace_back(session, std::move(item));
  return items_.size() == 1;
}

std::vector<answer> outbox::take(std::uint32_t session) {
  std::vector<std::pair<std::uint32_t, answer>> items;
  {
    const std::lock_guard hold{mutex_};
    items.swap(items_);
  }
  std::vector<answer> current;
  for (auto& [from, item] : items)
    if (from == session) current.push_back(std::move(item));
  return current;
}

worker_node::behavior_type worker_state::make_behavior(worker_node::stateful_pointer<worker_state> to_self,
                                                       worker_setup with) {
  self = to_self;
  setup = std::make_shared<const worker_setup>(std::move(with));
  pool = std::make_unique<executor>(setup->slots);
  done = std::make_shared<outbox>();
  random.seed(std::random_device{}());
  for (const auto& one : setup->pipelines) pipelines.emplace(one.name, &one);
  self->set_down_handler([this](const caf::down_msg& down) {
    if (supervisor && down.source == supervisor->address()) on_down();
  });
  self->send(self, caf::connect_atom::value);
  return {
    [this](const welcome& answer) { on(answer); },
    [this](orders& work) { on(work); },
    [this](const dismissed& end) { on(end); },
    [this](caf::connect_atom) { connect(); },
    [this](flush) { send_answers(); },
    [this](caf::close_atom) { leave(); },
    [this](caf::timeout_atom, std::uint32_t greeted_in) { on_silence(greeted_in); },
    [this](caf::tick_atom, std::uint32_t greeted_in) { pulsate(greeted_in); },
  };
}

worker_state::~worker_state() {
  if (cluster) caf::anon_send_exit(cluster, caf::exit_reason::kill);
}

std::string worker_state::address() const {
  return setup->supervisors[next_supervisor % setup->supervisors.size()].text();
}

void worker_state::connect() {
  if (supervisor || leaving) return;
  const auto& to = setup->supervisors[next_supervisor % setup->supervisors.size()];
  if (!cluster) cluster = spawn_cluster_port(self->system(), setup->token);
  self->request(cluster, connect_timeout, caf::connect_atom::value, to.host, to.port)
    .then(
      [this](const caf::node_id&, const caf::strong_actor_ptr& found, const std::set<std::string>&) {
        if (found)
          greet(caf::actor_cast<gate_actor>(found));
        else
          retry("there is no supervisor there");
      },
      [this](const caf::error& why) { retry(why_not_connected(why)); });
}

void worker_state::greet(const gate_actor& found) {
  supervisor = found;
  welcomed = false;
  ++session;
  self->monitor(found);
  hello mine{protocol_version, setup->token, setup->node, setup->slots, {}, setup->fingerprints};
  for (const auto& one : setup->pipelines) mine.pipelines.push_back(one.name);
  self->send(found, std::move(mine), worker_actor{worker_node{self}});
  self->delayed_send(self, welcome_timeout, caf::timeout_atom::value, session);
}

/// Whoever was found does not answer the greeting: perhaps no supervisor.
void worker_state::on_silence(std::uint32_t greeted_in) {
  if (!supervisor || welcomed || leaving || greeted_in != session) return;
  self->demonitor(supervisor->address());
  supervisor.reset();
  retry("it does not answer");
}

void worker_state::on(const welcome& answer) {
  if (!supervisor) return;
  if (!answer.accepted) {
    self->demonitor(supervisor->address());
    supervisor.reset();
    failures = 100; // trying again at once cannot help: somebody has to change something
    retry("it refused: " + answer.why);
    return;
  }
  welcomed = true;
  failures = 0;
  last_complaint.clear();
  spdlog::info("joined the supervisor at {} as {}", address(), answer.name);
  pulsate(session);
  for (const auto& why : answer.refused) spdlog::warn("the supervisor at {} says: {}", address(), why);
}

void worker_state::pulsate(std::uint32_t greeted_in) {
  if (!supervisor || greeted_in != session) return;
  if (setup->works) setup->works();
  self->send(*supervisor, pulse{});
  self->delayed_send(self, pulse_interval, caf::tick_atom::value, session);
}

void worker_state::on(const dismissed& end) {
  spdlog::error("the supervisor at {} says that this worker has to be started again: {}", address(), end.why);
  if (setup->dismissed) setup->dismissed();
}

void worker_state::on_down() {
  supervisor.reset();
  if (!welcomed && !leaving) {
    failures = std::max(failures, 5U); // trying again at once will hardly help
    return retry("it closed the connection at once; its log says why: cluster.token has to be the same at both");
  }
  spdlog::warn("lost the supervisor at {}; looking for one", address());
  waiting.clear(); // it dispatches them elsewhere
  if (leaving)
    finish_if_idle();
  else
    retry({});
}

void worker_state::retry(const std::string& why) {
  if (!why.empty() && why != last_complaint) {
    spdlog::warn("cannot join the supervisor at {}: {}; trying again", address(), why);
    last_complaint = why;
  }
  ++next_supervisor;
  const auto limit = std::min<std::int64_t>(last_retry.count(), first_retry.count() << std::min(failures, 10U));
  ++failures;
  const auto wait = std::uniform_int_distribution<std::int64_t>{limit / 2, limit}(random);
  self->delayed_send(self, std::chrono::milliseconds{wait}, caf::connect_atom::value);
}

void worker_state::on(orders& work) {
  for (auto& job : work.items) waiting.push_back(make_task(std::move(job)));
  start_waiting();
}

void worker_state::start_waiting() {
  const auto free = std::min(waiting.size(), pool->slots() - pool->busy());
  if (free == 0) return;
  const auto taken = pool->run(std::span(waiting).first(free));
  waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(taken));
  if (taken < free)
    lack_threads();
  else if (std::exchange(lacks_threads, false))
    spdlog::info("there are threads for all jobs again");
}

/// Another program may have them all for a moment. Who waits longer than its timeout is sent elsewhere.
void worker_state::lack_threads() {
  if (!std::exchange(lacks_threads, true))
    spdlog::error("the system gives no thread for a job, which waits until it does: is there a limit of processes, "
                  "tasks or memory below what worker.slots needs?");
  const auto now = self->clock().now();
  if (now < asks_for_threads) return;
  asks_for_threads = now + ask_for_threads_every;
  self->delayed_send(self, ask_for_threads_every, flush{});
}

std::unique_ptr<executor::task> worker_state::make_task(order&& job) {
  const auto found = pipelines.find(job.pipeline);
  const auto* pipeline = found == pipelines.end() ? nullptr : found->second;
  return std::make_unique<job_task>(std::move(job), pipeline, setup, answer_way{done, session, worker_node{self}});
}

void worker_state::send_answers() {
  auto items = done->take(session);
  if (supervisor && !items.empty()) self->send(*supervisor, answers{std::move(items)});
  start_waiting();
  if (leaving) finish_if_idle();
}

/// Says that nothing new is wanted, and goes once what runs has been answered.
void worker_state::leave() {
  if (std::exchange(leaving, true)) return;
  if (!supervisor) return finish_if_idle();
  // Orders that were on their way when it said so come before the reply, and are worked off.
  const auto heard = [this] {
    nothing_more_comes = true;
    finish_if_idle();
  };
  self->request(*supervisor, welcome_timeout, farewell{"it was told to stop"})
    .then([heard](caf::ok_atom) { heard(); }, [heard](const caf::error&) { heard(); });
}

/// One round trip at the end: what the network layer still holds would be lost by exiting.
void worker_state::finish_if_idle() {
  if (pool->busy() > 0 || !waiting.empty() || said_farewell || (supervisor && !nothing_more_comes)) return;
  said_farewell = true;
  if (auto rest = done->take(session); supervisor && !rest.empty()) self->send(*supervisor, answers{std::move(rest)});
  if (!supervisor) return setup->left();
  self->request(*supervisor, welcome_timeout, farewell{"it is idle"})
    .then([this](caf::ok_atom) { setup->left(); }, [this](const caf::error&) { setup->left(); });
}

} // namespace reseq::actors
