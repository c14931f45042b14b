/// What one schedule is about: how large everything is, and which faults happen how often. Drawn from the seed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "choices.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/settings.hpp"
#include "reseq/store/write_behind.hpp"

namespace reseq::simulation {

/// Everything in permille: of the occasions for it, or of steps.
struct fault_rates {
  std::uint32_t owner_dies = 0;           ///< a step
  std::uint32_t owner_hands_over = 0;     ///< a step
  std::uint32_t worker_dies = 0;          ///< a step
  std::uint32_t worker_falls_silent = 0;  ///< a step
  std::uint32_t worker_retires = 0;       ///< a step
  std::uint32_t worker_hangs = 0;         ///< a job
  std::uint32_t answers_twice = 0;        ///< an answer
  std::uint32_t answers_for_others = 0;   ///< an answer
  std::uint32_t transform_fails = 0;      ///< an attempt
  std::uint32_t commit_fails = 0;         ///< a commit: nothing of it happened
  std::uint32_t commit_in_doubt = 0;      ///< a commit: nobody knows whether it happened
  std::uint32_t read_fails = 0;           ///< a read of a backlog
  std::uint32_t receiver_fails = 0;       ///< a request
  std::uint32_t receiver_goes_away = 0;   ///< a step: until it comes back
  std::uint32_t connection_breaks = 0;    ///< a request: taken in part or whole, and not confirmed
  std::uint32_t receiver_hangs = 0;       ///< a request
  std::uint32_t receiver_goes_back = 0;   ///< an owner's start: a transactional one was restored from an older copy
  std::uint32_t claims_later_epoch = 0;   ///< a request: 412 with an epoch that nobody has
  std::uint32_t operator_acts = 0;        ///< a step
  std::uint32_t windows_shrink = 0;       ///< an owner's start: it has smaller ones than planned
  std::uint32_t resequencer_fails = 0;    ///< a call: whether it happened, or will, is not known
  std::uint32_t resequencer_is_late = 0;  ///< a call: done, and answered later
  std::uint32_t resequencer_loses = 0;    ///< a step: all or some of what it has, or what came after some time
  std::uint32_t producer_resends = 0;     ///< a submission: again, before it is answered
  std::uint32_t producer_contradicts = 0; ///< a submission: a known id with other content
};

/// What the transforms make of messages. With `fickle`, each attempt comes out as it likes; else a message always comes
/// out the same.
struct outcome_rates {
  bool fickle = false;
  std::uint32_t drops = 0;
  std::uint32_t narrows = 0;
  std::uint32_t never_works = 0; ///< permanent errors
  std::uint32_t refused = 0;     ///< by a receiver that will never take it; a message always, or never
  std::uint32_t poison = 0;      ///< kills whoever runs it; a message always, or never
  std::uint32_t freezes = 0;     ///< permille of what kills: by silence first
  std::uint32_t deadly = 0;      ///< permille of messages that kill whoever runs the first own chain, until all is calm
  std::uint32_t next_door_hangs = 0; ///< permille of the neighbour's jobs, until all is calm
  std::uint32_t next_door_kills = 0; ///< permille of its messages that kill whoever runs them, until all is calm
};

struct destination_plan {
  destination_id id;
  destination_settings settings;
  bool own_chain = false;
  bool transactional = false; ///< as a file: it knows what it has, and dies with the owner
  bool checks_epoch = false;  ///< answers requests of earlier owners with 412

  [[nodiscard]] bool by_key() const { return settings.order == delivery_order::key; }
};

struct scenario {
  std::vector<destination_plan> destinations;
  retry_settings retry;
  std::uint32_t workers = 1;
  std::uint32_t slots = 1; ///< of each
  std::uint32_t producers = 1;
  std::uint32_t messages = 1;
  std::uint32_t largest_message = 0;         ///< bytes of payload
  std::optional<core::resequencing> outside; ///< with a resequencer outside of the owner
  std::uint32_t neighbours = 0;              ///< messages of another pipeline on the same workers; 0: there is none
  std::uint32_t keys = 0;                    ///< beside those messages that have none
  std::uint32_t chaos_steps = 0;             ///< before everybody recovers
  std::uint64_t max_untaken_bytes = 0;
  std::uint64_t max_batch_bytes = 0;
  store::write_behind_limits behind; ///< small, so that the indexes are written behind several times
  fault_rates faults;
  outcome_rates outcomes;

  [[nodiscard]] const destination_plan& of(destination_id id) const { return destinations[id.value() - 1]; }
};

scenario draw_scenario(choices& choose);

} // namespace reseq::simulation
