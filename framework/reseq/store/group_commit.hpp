/// Group commit: while one transaction is being written, what arrives collects and becomes the next one. No timer, no
/// added delay. Pure: it says what to write and when, and what to tell whom of the outcome.
///
/// After every call ask `next`. A commit is `begin`, `journal::commit` of what that gives, `finish` with the outcome;
/// in between nothing else is called. For one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/submission.hpp"
#include "reseq/store/journal.hpp"

namespace reseq::store {

struct group_limits {
  std::uint64_t max_untaken_bytes = 0; ///< accepted and not yet taken in by their shards; then commits wait
  std::uint64_t max_batch_bytes = 0;   ///< a batch this large is committed without waiting for more
  std::uint64_t bytes_beside = 300;    ///< what a message counts beside its own, for the rows
};

class group_commit {
public:
  using receipts = result<std::vector<result<receipt>>>;
  using answer_to = std::function<void(receipts)>;

  /// What a producer is told.
  struct answer {
    answer_to to;
    receipts what;
  };

  /// What is to be told of one shard's part in a commit, in the order of these members: who has a receipt finds the
  /// message in the shard's state.
  struct news {
    shard_handle shard;
    std::optional<bool> saved;                    ///< whether the change that it had in there is durable
    std::vector<core::accepted_message> accepted; ///< what it has not heard of yet, in order of position
    std::uint64_t bytes = 0;                      ///< of `accepted`, for `taken`
    std::vector<answer> receipts;                 ///< in the order in which they came
  };

  enum class health {
    works,         ///< as before
    works_again,   ///< the first since some failed
    works_in_part, ///< it did, and what failed before may fail still
    failed,        ///< as the one before
    fails_now,     ///< the first
  };

  struct outcome {
    std::vector<news> shards; ///< of which something is to be told
    health how = health::works;
  };

  enum class step {
    nothing,
    soon, ///< `flushed` is to be called once all has been handed over that is on its way: that joins the batch
    now,  ///< `begin`
  };

  explicit group_commit(group_limits limits) : limits_(limits) {}

  /// A shard that is written for from now on.
  void add(shard_handle shard) { shards_.insert(shard); }
  /// Nothing is accepted for it any more; what was taken up before is still written.
  void refuse(shard_handle shard, error why) { refused_.insert_or_assign(shard, std::move(why)); }
  /// Nothing is accepted any more for those that the journal was found to have gone back in time of.
  void refuse(std::span<const gone_back> found);
  /// Why nothing is accepted for a shard; null: it is.
  [[nodiscard]] const error* refusal(shard_handle shard) const;
  /// It has another owner, or may have: what was to be written for it now would look as if a later owner had taken it.
  /// All of it is refused with `errc::unavailable`.
  [[nodiscard]] news let_go(shard_handle shard);

  /// `shard` is not refused.
  void submit(shard_handle shard, std::vector<submission> wanted, answer_to to);
  /// A shard has at most one under way.
  void save(shard_handle shard, core::journal_change change);
  /// A shard has taken in what it was told of.
  void taken(std::uint64_t bytes) { untaken_bytes_ -= bytes; }

  /// `soon` is said once, until `flushed` was called.
  [[nodiscard]] step next();
  void flushed();

  /// What collected: one part for each shard. Empty when only the journal itself is asked whether it works.
  [[nodiscard]] std::vector<shard_commit> begin();
  /// Those that were found to have gone back by it are refused before.
  [[nodiscard]] outcome finish(result<std::vector<shard_committed>> done);

  /// Something else failed at the journal, in a quiet hour perhaps, when nobody commits and finds that out.
  void failed_elsewhere(const error& why);
  /// Whether `look_again` is to be called in a while. Says so once.
  [[nodiscard]] bool wants_look() { return std::exchange(look_wanted_, false); }
  /// An empty commit, for nobody else may come and commit something: it tells what became of those in doubt, and that a
  /// server which was away is back, or a disk has room again.
  void look_again();

private:
  enum class kind { submissions, change };

  struct request {
    std::size_t count;
    answer_to to;
  };

  struct part {
    std::vector<submission> submissions;
    std::optional<core::journal_change> change;
    std::vector<request> requests; ///< of `submissions`, in order
  };

  struct written {
    std::vector<request> requests;
    bool saves = false;
    std::set<kind> has; ///< what there was to write
  };

  [[nodiscard]] bool has_room() const { return untaken_bytes_ < limits_.max_untaken_bytes; }
  [[nodiscard]] std::uint64_t bytes_of(const message& what) const;
  [[nodiscard]] error told(shard_handle shard, const error& why) const;
  health worked();
  health failed(const error& why);
  [[nodiscard]] news settle(shard_handle shard, written& of, result<shard_committed> done) const;

  group_limits limits_;
  std::set<shard_handle> shards_;
  std::map<shard_handle, error> refused_;
  std::map<shard_handle, part> batch_;        ///< collects
  std::map<shard_handle, written> under_way_; ///< is being written
  std::uint64_t batch_bytes_ = 0;
  std::uint64_t untaken_bytes_ = 0;
  bool flushing_ = false;
  bool due_ = false; ///< the batch, even if it is empty

  std::set<shard_handle> doubted_;                   ///< with a commit whose outcome is not known
  std::set<std::pair<shard_handle, kind>> troubled_; ///< what was in commits that failed, and is looked after
  bool failing_ = false;                             ///< the last commit failed
  bool away_ = false;                                ///< because of something that may be over by itself
  bool looking_ = false;                             ///< `look_again` is to come
  bool look_wanted_ = false;
};

} // namespace reseq::store
