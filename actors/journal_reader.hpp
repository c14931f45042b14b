/// The journal's reading side: backlogs for the shards, single messages for people.
#pragma once

#include <memory>

#include "actors/protocol.hpp"
#include "reseq/store/journal.hpp"

namespace reseq::actors {

struct reader_state {
  static inline const char* name = "reader";
};

/// Answers each request with one blocking call to `journal`.
reader_actor::behavior_type reader(reader_actor::stateful_pointer<reader_state> self,
                                   std::shared_ptr<store::journal> journal);

} // namespace reseq::actors
