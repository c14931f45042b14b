/// Gives a batch its places in the arrival order, each message id once. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/submission.hpp"

namespace reseq::core {

/// What the journal knows of a message id.
struct known_id {
  position at;
  digest fingerprint{};
};

/// The last places given, and how far each destination may be filled.
struct heads {
  struct destination {
    std::string name; ///< for the refusal
    sequence last;    ///< last assigned
    sequence limit;   ///< the last that may be assigned: settled plus `max_pending`
  };

  /// What a batch moved; nothing about the destinations that it did not touch, of which there may be thousands.
  struct advance {
    position last;
    std::vector<enrolment> destinations; ///< the new last sequence of each that moved, ascending by destination
  };

  position last;
  std::map<destination_id, destination> destinations;

  /// Takes over what a batch moved, once the batch is durable.
  void take(const advance& moved);
};

struct sequenced {
  std::vector<result<receipt>> receipts;  ///< one for each submission, in order
  std::vector<accepted_message> accepted; ///< what is new, in order of position
  std::vector<std::size_t> accepted_from; ///< which submission each came from
  std::vector<std::size_t> unrouted;      ///< submissions that no route wanted: only their ids are stored
  heads::advance next;                    ///< for `heads::take` once the batch is durable
};

/// Decides over `batch` in order. `known` holds every id of the batch that the journal has; ids may repeat inside the
/// batch too. A known id with the same fingerprint gets its first receipt as a duplicate, with another one
/// `errc::unprocessable`. One that is not known and has `only_again` gets that. A message that would go past a
/// destination's limit is refused whole with `errc::full`, naming the destination; later ones for other destinations
/// still go in. A route that `now` does not have is `errc::unprocessable`. A message without routes gets no position
/// (0), and the id is remembered all the same.
sequenced sequence_batch(const heads& now, std::span<const submission> batch,
                         const std::unordered_map<std::string, known_id>& known);

} // namespace reseq::core
