/// What the transactional receivers of a shard remember, beside what its journal does: one of the two may have gone
/// back in time, and each is put right from the other.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/transactional_receiver.hpp"

namespace reseq::store {

/// What the receiver of one destination said.
struct receiver_seen {
  destination_id id;
  receiver_record has;
};

/// Of messages that no record says whose they are, the last of which is the journal's, too: they are this journal's,
/// and not `unclaimed` any more. On the thread of `journal::read`, whose errors but those of missing messages it passes
/// on.
result<void> recognize(journal& from, const shard_state& shard, std::span<receiver_seen> seen);

/// Why nobody can say whose messages a receiver has, if one has such: see `receiver_record::unclaimed`.
std::optional<std::string> find_unclaimed(const shard_state& shard, std::span<const receiver_seen> seen);

/// Why the journal must have gone backwards, if it has: a receiver has a sequence that was never given, or knows of a
/// later owner than the shard has ever had. Or why nobody can say: what is recorded of it is another journal's.
std::optional<std::string> find_ahead(const shard_state& shard, std::span<const receiver_seen> seen);

/// Why the journal must have gone backwards and come this far again, if it has: under the sequence of a receiver's last
/// message it has another one. What it gave before that would be taken for delivered. On the thread of `journal::read`,
/// whose errors but those of missing messages it passes on.
result<std::optional<std::string>> find_other_history(journal& from, const shard_state& shard,
                                                      std::span<const receiver_seen> seen);

/// Compares what the receivers said with the journal: of those that lack what was delivered to them, how progress goes
/// back to theirs. Of what the journal no longer has, `missing` tells; only then does it take an operator. Dead letters
/// stay what they are. What was dropped is worked out again, and so is what was skipped: progress does not tell them
/// from deliveries. In order by key, which transactional receivers do not take, nothing goes back.
///
/// On the thread of `journal::read`. Errors are the journal's.
result<rewinding> plan_rewinding(journal& from, const shard_state& shard, std::span<const receiver_seen> seen);

} // namespace reseq::store
