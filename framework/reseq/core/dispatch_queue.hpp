/// Every task that is wanted, and the order of those that are due. A part of `dispatch_table`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reseq/core/detail/ascending_queue.hpp"
#include "reseq/core/detail/dense_index.hpp"
#include "reseq/core/detail/slab.hpp"
#include "reseq/core/dispatch_table.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// Heads of lanes go before all others.
enum class dispatch_rank : std::uint8_t { heads, others };

enum class task_phase : std::uint8_t {
  due,         ///< waits for a free slot
  isolated,    ///< a suspect that waits for a worker of its own, or for its chain's turn in quarantine
  backing_off, ///< waits for its next attempt's time
  running,     ///< a copy that has not timed out is at a worker
  spent,       ///< failed for good, or too often for a suspect; waits to become a head and be given up
};

/// What went wrong so far. Only tasks that had trouble have it.
struct task_trouble {
  std::uint32_t failed = 0;
  bool timed_out = false; ///< once: it may hang
  bool crashed = false;   ///< once: it killed its worker alone
  time_point first_started;
  worker_id last_worker; ///< of the attempt that ended last
  std::string last_error;
  std::vector<attempt_record> history; ///< ended attempts, oldest first
};

/// The copies of one attempt that are in flight, in the order in which they were sent.
class attempt_copies {
public:
  static constexpr std::uint8_t most = 3;

  /// While there are none, room for `most` slots of the owner's own.
  detail::slot& lent(std::size_t nth) { return sent_[nth]; }
  [[nodiscard]] detail::slot lent(std::size_t nth) const { return sent_[nth]; }

  void add(detail::slot copy) { sent_[count_++] = copy; }
  void remove(detail::slot copy) {
    count_ = static_cast<std::uint8_t>(std::remove(sent_, sent_ + count_, copy) - sent_);
  }
  void clear() { count_ = 0; }
  [[nodiscard]] bool has(detail::slot copy) const { return std::find(begin(), end(), copy) != end(); }
  [[nodiscard]] std::uint8_t size() const { return count_; }
  [[nodiscard]] detail::slot first() const { return sent_[0]; }
  [[nodiscard]] detail::slot latest() const { return sent_[count_ - 1]; }
  [[nodiscard]] const detail::slot* begin() const { return sent_; }
  [[nodiscard]] const detail::slot* end() const { return sent_ + count_; }

private:
  detail::slot sent_[most] = {};
  std::uint8_t count_ = 0;
};

/// Counts how often a slot was given to a task and taken back: what was noted of it is about the same task while it
/// has not changed. Odd while there is a task.
using incarnation = std::uint32_t;

inline constexpr std::uint8_t deaths_of_a_suspect = 2;

/// There is one for each chain in flight: its size matters.
struct task {
  std::unique_ptr<task_trouble> trouble;
  chain_index chain;
  detail::slot message = detail::no_slot;
  incarnation life = 0;
  asking asked;
  std::uint32_t timer_place = detail::no_slot; ///< in the table's timers, while running or backing off
  detail::slot holds_back = detail::no_slot;   ///< among the table's `holding`, if results after it are ready
  [[no_unique_address]] attempt_copies copies; ///< while running; while due, the links to its neighbours
  task_phase phase = task_phase::due;
  bool head : 1 = false;
  bool permanent : 1 = false;  ///< an error that no other attempt can help
  bool suspect : 1 = false;    ///< it may kill workers: it does not run beside others
  std::uint8_t deaths : 2 = 0; ///< workers that died while they had it; only up to `deaths_of_a_suspect` are counted
  std::uint8_t losses : 2 =
    0; ///< workers that fell silent while they had it; only up to `losses_borne` + 1 are counted

  /// A suspect by itself, and not only because its chain is quarantined.
  [[nodiscard]] bool accused() const { return deaths == deaths_of_a_suspect; }
  /// The next worker that falls silent with it, or the one that just did, counts as one that died.
  [[nodiscard]] bool lost_too_often() const { return losses > losses_borne; }

  /// Others of its message, while due.
  [[nodiscard]] detail::slot& previous_due() { return copies.lent(0); }
  [[nodiscard]] detail::slot& next_due() { return copies.lent(1); }

  /// How many of its attempts have failed.
  [[nodiscard]] std::uint32_t failed() const { return trouble ? trouble->failed : 0; }
};
static_assert(sizeof(task) <= 48);

/// Tasks are found by key, and handed out message by message: heads before others, then the lowest position, pipelines
/// in turn.
class dispatch_queue {
public:
  pipeline_index add_pipeline();
  [[nodiscard]] bool knows(pipeline_index pipeline) const { return pipeline.value() < pipelines_.size(); }

  [[nodiscard]] detail::slot find(const task_key& key) const;

  /// What `want` found, or made.
  struct wanted_task {
    detail::slot which = detail::no_slot;
    bool is_new = false;
  };

  /// The task of that key; if there is none, a new one, which is due. Its pipeline is known.
  wanted_task want(const task_key& key, bool head);

  /// What it is handed back with from now on; the message, with all tasks of its position.
  void set_work(detail::slot which, task_work work);
  [[nodiscard]] const message_ptr& content(detail::slot which) const {
    return messages_[tasks_[which].message].content;
  }
  /// Forgets it, whatever its phase.
  task_work forget(detail::slot which);
  /// Whether there is a task in the slot, and it is that one.
  [[nodiscard]] bool is(detail::slot which, incarnation life) const { return tasks_[which].life == life; }
  /// Whether there is a task in the slot, which was one once.
  [[nodiscard]] bool wants(detail::slot which) const { return tasks_[which].life % 2 == 1; }

  [[nodiscard]] task& operator[](detail::slot which) { return tasks_[which]; }
  [[nodiscard]] const task& operator[](detail::slot which) const { return tasks_[which]; }
  [[nodiscard]] task_key key(detail::slot which) const {
    const auto& t = tasks_[which];
    const auto& m = messages_[t.message];
    return {m.pipeline, m.at, t.chain};
  }
  [[nodiscard]] pipeline_index pipeline(detail::slot which) const { return messages_[tasks_[which].message].pipeline; }

  void raise_to_head(detail::slot which);

  /// It waits for a free slot from now on; it did not before.
  void make_due(detail::slot which);

  /// It waits for a worker of its own from now on; it was due.
  void isolate(detail::slot which);

  /// The pipelines that have something due of this rank, in turn: serve the front, and move it to the back. Some in it
  /// may have nothing due any more: remove those with `retire_turn`.
  [[nodiscard]] std::deque<pipeline_index>& turns(dispatch_rank rank) { return turns_[index(rank)]; }
  [[nodiscard]] bool has_due(pipeline_index pipeline, dispatch_rank rank) const;
  void retire_turn(dispatch_rank rank);

  /// Takes all that is due of the pipeline's next message into `tasks`, by ascending chain. Something is due. The
  /// caller gives them their new phase, before anything else happens to them.
  void take_next(pipeline_index pipeline, dispatch_rank rank, std::vector<detail::slot>& tasks);

  [[nodiscard]] std::size_t size() const { return tasks_.size(); }

private:
  /// Where a message stands: in which of its pipeline's queues, by rank, if in one.
  enum class standing : std::uint8_t { heads, others, nowhere };

  /// Most have one task ever, which is found by way of the message. The tasks of the others are in `task_by_key_`.
  struct message {
    message_ptr content;
    position at;
    pipeline_index pipeline;
    detail::slot first = detail::no_slot; ///< its only task; of one that had more, the first that is due
    std::uint32_t tasks : 31 = 0;
    std::uint32_t had_more : 1 = 0;
    std::uint32_t due : 30 = 0;
    standing queued : 2 = standing::nowhere;
    std::uint32_t due_heads = 0;
    std::uint32_t queue_place = detail::no_slot; ///< the queue's own
  };
  static_assert(sizeof(message) <= 48);

  struct pipeline_queue {
    detail::ascending_queue<position> due[2]; ///< messages, by rank
    bool has_turn[2] = {false, false};
  };

  static std::size_t index(dispatch_rank rank) { return static_cast<std::size_t>(rank); }
  [[nodiscard]] detail::slot find_among(detail::slot tasks_of, const task_key& key) const;
  detail::slot add_message(pipeline_index pipeline, position at);
  detail::slot add_task(detail::slot to, chain_index chain, bool head);
  /// Its only task will not be the only one.
  void index_tasks(message& of);
  void index_task(detail::slot which);
  void unlink_due(detail::slot which);
  void forget_message(detail::slot which);
  /// Moves a message to the queue where it belongs after what is due of it has changed.
  void requeue(detail::slot which);
  void enter_queue(detail::slot which, standing where);
  void leave_queue(message& m);
  auto queue_place() {
    return [this](detail::slot s) -> std::uint32_t& { return messages_[s].queue_place; };
  }

  std::vector<pipeline_queue> pipelines_;
  std::deque<pipeline_index> turns_[2];
  detail::slab<task> tasks_;
  detail::slab<message> messages_;
  detail::dense_index message_by_position_;
  detail::dense_index task_by_key_; ///< of messages that had more than one
};

} // namespace reseq::core
