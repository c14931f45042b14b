/// The resequencer outside of this process, seen from here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "actors/protocol.hpp"
#include "reseq/core/lane_updates.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/resequencer.hpp"

namespace reseq::actors {

struct resequencer_setup {
  std::string pipeline;
  epoch owner;
  std::vector<core::lane_name> lanes;
  std::shared_ptr<store::resequencer> keeps;
};

struct resequencer_state {
  static inline const char* name = "resequencer";

  resequencer_actor::behavior_type make_behavior(resequencer_actor::stateful_pointer<resequencer_state> to_self,
                                                 resequencer_setup with);

  lanes_told tell(const core::mirror_call& call);
  void look(recover& wish, const journal_actor& journal);
  void log(const std::optional<error>& trouble);

  resequencer_actor::stateful_pointer<resequencer_state> self = nullptr;
  resequencer_setup setup;
  bool away = false; ///< it did not answer the last time …
  bool told = false; ///< … and that was logged
  std::optional<time_point> last_told;
};

} // namespace reseq::actors
