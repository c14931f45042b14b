#include <algorithm>
#include <utility>

#include "reseq/store/journal.hpp"

namespace reseq::store {

result<recovery> plan_recovery(const recovery_findings& found, std::string why) {
  std::uint64_t positions = found.seen > found.assigned ? found.seen - found.assigned : 0;
  for (const auto& [id, assigned, seen, keeps_itself] : found.destinations)
    if (seen > assigned) positions = std::max(positions, seen - assigned);
  if (positions == 0 && found.owner_seen <= found.owner && found.back.progress.empty() && !found.takes_over)
    return fail(errc::conflict, "there is nothing to recover: nothing is seen any more that the journal is behind of, "
                                "and the next start compares anew. It has diverged because " +
                                  why);

  recovery how{std::max(found.owner, found.owner_seen) + 1, found.assigned + positions, found.back.missing,
               found.back.progress, std::move(why)};
  for (const auto& [id, assigned, seen, keeps_itself] : found.destinations) {
    const auto last = keeps_itself ? seen : std::max(seen, assigned + positions);
    if (last > assigned) how.missing.push_back({id, {assigned + 1, last}});
  }
  return how;
}

} // namespace reseq::store
