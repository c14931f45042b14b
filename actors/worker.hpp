/// A worker process: finds a supervisor, runs transforms, answers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <caf/io/middleman_actor.hpp>

#include "actors/protocol.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/net/url.hpp"
#include "reseq/pipeline/executor.hpp"
#include "reseq/pipeline/registry.hpp"

namespace reseq::actors {

struct worker_setup {
  std::string node;
  std::string token;
  std::uint32_t slots = 1;
  std::uint64_t max_result = 16U << 20U;   ///< bytes; a larger result is a permanent failure
  std::vector<net::host_port> supervisors; ///< tried one after the other until one answers; never empty
  std::vector<runnable_pipeline> pipelines;
  std::vector<std::string> fingerprints; ///< of `pipelines`, in the same order
  std::function<void()> works;           ///< told when a supervisor has let it in, and with each pulse; may be empty
  std::function<void()> dismissed;       ///< told when only a new process helps; may be empty
  std::function<void()> left;            ///< told once a farewell is over: nothing runs any more
};

/// Answers on their way from the pool's threads to the worker actor; the first one into an empty box wakes the actor,
/// so that batches form by themselves.
class outbox {
public:
  /// `session`: that in which the job came. True when the box was empty.
  bool put(std::uint32_t session, answer item);
  /// Everything, without what belongs to an earlier session.
  std::vector<answer> take(std::uint32_t session);

private:
  std::mutex mutex_;
  std::vector<std::pair<std::uint32_t, answer>> items_;
};

/// What a worker understands besides what supervisors send it.
using worker_node =
  worker_actor::extend<caf::reacts_to<caf::connect_atom>, caf::reacts_to<flush>, caf::reacts_to<caf::close_atom>,
                       caf::reacts_to<caf::timeout_atom, std::uint32_t>, caf::reacts_to<caf::tick_atom, std::uint32_t>>;

/// connecting ──found──► greeting ──welcome──► working ──supervisor lost──► connecting (backoff with jitter)
///                          └──refused──► connecting (after a while: the supervisor may be corrected)
struct worker_state {
  static inline const char* name = "worker";
  ~worker_state();

  worker_node::behavior_type make_behavior(worker_node::stateful_pointer<worker_state> to_self, worker_setup with);

  void connect();
  void greet(const gate_actor& found);
  void on(const welcome& answer);
  void on(orders& work);
  void on(const dismissed& end);
  void pulsate(std::uint32_t greeted_in);
  void on_down();
  void on_silence(std::uint32_t greeted_in);
  void retry(const std::string& why);
  void start_waiting();
  void lack_threads();
  [[nodiscard]] std::unique_ptr<executor::task> make_task(order&& job);
  void send_answers();
  void leave();
  void finish_if_idle();
  [[nodiscard]] std::string address() const;

  worker_node::stateful_pointer<worker_state> self = nullptr;
  std::shared_ptr<const worker_setup> setup;
  std::map<std::string, const runnable_pipeline*> pipelines;
  std::unique_ptr<executor> pool;
  std::shared_ptr<outbox> done;
  /// For a slot: right after a reconnection there may be too few. Or for a thread. Bounded by our slots.
  std::vector<std::unique_ptr<executor::task>> waiting;
  bool lacks_threads = false;       ///< the system gave none, the last time
  time_point asks_for_threads{};    ///< it is asked again then
  caf::io::middleman_actor cluster; ///< makes the connections
  std::optional<gate_actor> supervisor;
  bool welcomed = false;
  bool leaving = false;
  bool nothing_more_comes = false; ///< the supervisor has heard that this worker leaves
  bool said_farewell = false;
  std::uint32_t session = 0; ///< answers of jobs from an earlier one go nowhere
  std::size_t next_supervisor = 0;
  std::uint32_t failures = 0;
  std::string last_complaint;
  std::minstd_rand random;
};

/// Runs one copy of a job: the common chain once, then each chain that is wanted. Pure but for the transforms.
/// `answered` gets each chain's answer as soon as it is there.
void run_job(const order& job, const runnable_pipeline& pipeline, std::uint64_t max_result,
             const std::function<void(answer)>& answered);

} // namespace reseq::actors
