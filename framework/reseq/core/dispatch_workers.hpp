/// Knows which workers have room for which pipelines, and picks one. A part of `dispatch_table`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "reseq/core/detail/random.hpp"
#include "reseq/core/detail/slab.hpp"
#include "reseq/core/dispatch_table.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// How much of a worker hangs: copies that nobody waits for any more occupy it.
enum class worker_hang : std::uint8_t {
  none,
  in_part, ///< one of several pipelines has its share of the slots full of them
  whole,   ///< every slot
};

/// Workers that may get the same pipelines form a pool, so that taking and freeing a slot costs the same however many
/// pipelines there are. Workers and the copies that occupy their slots are named by slots of slabs.
///
/// A worker that serves several pipelines is a bulkhead: copies that may hang (the caller says which those are) get at
/// most half of its slots for each pipeline; then the pipeline gets no more of it until one of them is answered.
class dispatch_workers {
public:
  void add_pipeline() { pools_of_.emplace_back(); }

  /// Unknown pipelines in `offers` are ignored.
  worker_id join(std::uint32_t slots, const std::vector<pipeline_index>& offers);

  /// Forgets the worker. What it had in flight is `copies(who)` until then.
  void leave(detail::slot who);

  /// It gets nothing new: its free slots are gone at once, the others as they become free.
  void retire(detail::slot who);

  /// It gets nothing more by `pick`, until it is open again.
  void close(detail::slot who);
  /// The opposite; it is closed, and may have been retired since.
  void reopen(detail::slot who);

  /// Of the open workers that offer the pipeline, the one that is soonest free for a group of suspects: nothing beside
  /// them, better still none that hangs. `no_slot` when there is none with a slot that does not hang. Costs the number
  /// of workers.
  [[nodiscard]] detail::slot quietest(pipeline_index pipeline) const;
  /// How many open workers offer the pipeline, and how many closed ones.
  struct doors {
    std::size_t open = 0;
    std::size_t closed = 0;
  };
  [[nodiscard]] doors offering(pipeline_index pipeline) const;

  /// Of those that offer the pipeline and have not been retired.
  [[nodiscard]] worker_strength strength(pipeline_index pipeline) const;

  /// `no_slot` when it never joined or has left.
  [[nodiscard]] detail::slot find(worker_id id) const;

  [[nodiscard]] worker_id id(detail::slot who) const { return workers_[who].id; }
  [[nodiscard]] const std::vector<detail::slot>& copies(detail::slot who) const { return workers_[who].copies; }

  /// Whether somebody who offers the pipeline has a free slot.
  [[nodiscard]] bool has_free(pipeline_index pipeline) const;

  /// The less loaded of two random workers that offer the pipeline and have a free slot; never `avoid` (may be
  /// `no_slot`) when there is another. `has_free(pipeline)` holds.
  [[nodiscard]] detail::slot pick(pipeline_index pipeline, detail::slot avoid, detail::random_numbers& random) const;

  /// Puts a copy into a free slot of the worker. The answer is for `release`.
  std::uint32_t occupy(detail::slot who, detail::slot copy);

  /// Somebody waits for one copy more of the worker's, or one less: the others hang, as far as is known.
  void count_awaited(detail::slot who, std::int32_t change) {
    workers_[who].awaited += static_cast<std::uint32_t>(change);
  }
  [[nodiscard]] std::uint32_t awaited(detail::slot who) const { return workers_[who].awaited; }
  [[nodiscard]] std::uint32_t free_slots(detail::slot who) const {
    return workers_[who].slots - static_cast<std::uint32_t>(workers_[who].copies.size());
  }
  [[nodiscard]] const std::vector<pipeline_index>& offers(detail::slot who) const { return workers_[who].offers; }
  [[nodiscard]] bool retired(detail::slot who) const { return workers_[who].retired; }

  /// One more copy of the pipeline at the worker may hang, or one less.
  void count_risky(detail::slot who, pipeline_index of, std::int32_t change);
  /// Of these, nobody waits for one more, or one less.
  void count_lost(detail::slot who, pipeline_index of, std::int32_t change);
  [[nodiscard]] worker_hang hangs(detail::slot who) const {
    const auto& w = workers_[who];
    if (w.retired) return worker_hang::none;
    if (w.awaited == 0 && w.slots > 0 && w.copies.size() == w.slots) return worker_hang::whole;
    return w.hung_shares > 0 ? worker_hang::in_part : worker_hang::none;
  }

  /// What the caller made of that: how it hangs, as seen last, and when that will have been so for long enough.
  struct watch {
    worker_hang seen = worker_hang::none;
    std::optional<time_point> until;
  };
  [[nodiscard]] watch& watched(detail::slot who) { return workers_[who].watched; }

  /// Frees the slot that `occupy` said. The copy that is now known by that number, or `no_slot`.
  detail::slot release(detail::slot who, std::uint32_t place);

  [[nodiscard]] std::size_t size() const { return workers_.size(); }
  [[nodiscard]] std::size_t free_slots() const { return free_slots_; }

private:
  /// What one of its pipelines has of a worker.
  struct use {
    std::uint32_t risky = 0;
    std::uint32_t lost = 0;
  };

  struct worker {
    worker_id id;
    std::vector<pipeline_index> offers; ///< ascending, unique
    std::vector<use> uses;              ///< by place in `offers`
    std::uint32_t share = 0;            ///< the most risky copies of one of several pipelines
    std::uint32_t hung_shares = 0;      ///< pipelines with as many lost ones
    std::uint32_t slots = 0;
    detail::slot pool = detail::no_slot;
    std::uint32_t free_place = 0; ///< in the pool's `free`, while it has a free slot
    std::vector<detail::slot> copies;
    std::uint32_t awaited = 0;
    bool retired = false;
    bool closed = false;
    watch watched;
  };

  struct pool {
    std::vector<pipeline_index> offers; ///< ascending, unique: what its members may get
    std::vector<detail::slot> free;     ///< workers with a free slot
    std::size_t members = 0;
  };

  [[nodiscard]] bool has_free_slot(const worker& w) const { return w.copies.size() < w.slots; }
  [[nodiscard]] bool may_be_picked(const worker& w) const { return has_free_slot(w) && !w.closed; }
  [[nodiscard]] static bool offers(const worker& w, pipeline_index pipeline);
  static use& use_of(worker& w, pipeline_index pipeline);
  /// To the pool of what it may get.
  void change_pool(detail::slot who);
  detail::slot enter_pool(std::vector<pipeline_index> offers);
  void leave_pool(detail::slot which);
  void add_free(detail::slot who);
  void remove_free(detail::slot who);
  [[nodiscard]] std::size_t free_workers(pipeline_index pipeline) const;
  /// The `n`th of the free workers that offer the pipeline.
  [[nodiscard]] detail::slot free_worker(pipeline_index pipeline, std::size_t n) const;
  /// Which of them `who` is; their number when it is none of them.
  [[nodiscard]] std::size_t rank_among_free(pipeline_index pipeline, detail::slot who) const;
  [[nodiscard]] bool less_loaded(const worker& a, const worker& b) const;

  detail::slab<worker> workers_;
  detail::slab<pool> pools_;
  std::vector<std::vector<detail::slot>> pools_of_; ///< by pipeline
  std::map<std::vector<pipeline_index>, detail::slot> pool_by_offers_;
  std::unordered_map<worker_id, detail::slot> worker_by_id_;
  worker_id last_id_;
  std::size_t free_slots_ = 0;
};

} // namespace reseq::core
