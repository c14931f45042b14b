/// The journal's writing connection: what goes through it, and what must be cleared up when it broke.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/store/codec.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/postgres/batch.hpp"
#include "reseq/store/postgres/fence.hpp"
#include "reseq/store/postgres/link.hpp"
#include "reseq/store/postgres/listener.hpp"
#include "reseq/store/postgres/partitioned_shard.hpp"
#include "reseq/store/postgres/shard_opener.hpp"

namespace reseq::store::postgres {

struct writer_options {
  open_options opening;
  std::chrono::milliseconds doubt_patience{};     ///< with a commit in doubt, before it is answered as such
  std::chrono::milliseconds reconnect_patience{}; ///< where a session had ended before the commit
  listener tell;
};

/// Used by one thread at a time.
///
/// A new session first rejoins: it takes the fences of all shards, which waits for what the old session had under way,
/// and sees whether the database still is what this process knows. Only then a commit in doubt can be told from one
/// that did not happen, and only then anything else is written.
///
/// A shard that was recovered is nobody's until it is opened again: it is not rejoined. Nor is one of which the
/// database was found to lack something: of that only a recovery goes on, and it starts from what the database has now.
///
/// A commit waits five seconds for what another session has locked; the next ones of its shards only a moment, until
/// one of them has worked.
class writer {
public:
  writer(const server_url& url, std::unique_ptr<database> connected, const id_keys& keys, writer_options options);

  result<opened_shard> open(const shard_id& shard, const definition& what,
                            std::span<const destination_spec> destinations);
  result<std::vector<left_behind>> left_behind_elsewhere();
  result<std::vector<shard_committed>> commit(std::span<const commit_part> parts, wall_time now);
  result<recovery_findings> findings(const partitioned_shard& shard);
  result<void> recover(partitioned_shard& shard, const recovery& how, wall_time now);
  /// Those found since the last call.
  std::vector<const partitioned_shard*> take_gone_back() { return std::exchange(found_gone_back_, {}); }
  result<std::uint64_t> expire(partitioned_shard& shard, wall_time before, wall_time now, std::uint32_t max_messages);

private:
  struct doubt {
    std::unique_ptr<batch> what;
    std::vector<partitioned_shard*> shards;              ///< one for each part
    std::optional<std::vector<shard_committed>> answers; ///< once it is known that it happened
  };

  struct recovery_in_doubt {
    partitioned_shard* shard;
    std::uint64_t number; ///< of the row that it has now
    recovery how;
    wall_time at;
  };

  struct looked {
    bool happened = false; ///< the commit in doubt did
    std::vector<std::pair<partitioned_shard*, std::string>> gone_back;
  };

  result<std::vector<shard_committed>> try_commit(std::span<const commit_part> parts, wall_time now,
                                                  std::chrono::milliseconds patience);
  result<database*> ready(std::chrono::milliseconds patience = {});
  result<database*> rejoined(std::chrono::milliseconds longest);
  result<void> rejoin(database& db);
  result<looked> look(database& db, pqxx::work& tx);
  [[nodiscard]] position confirmed(const partitioned_shard& shard) const;
  error note_gone_back(database& db, error why);
  result<void> recover(database& db, partitioned_shard& shard, const recovery& how, wall_time now);
  result<void> make_room(database& db, std::span<const commit_part> parts);
  [[nodiscard]] bool is_locked_out(std::span<const commit_part> parts) const;
  void note_locks(std::span<const commit_part> parts, const result<void>& done);
  result<std::vector<shard_committed>> clear_doubt(std::unique_ptr<batch> what, std::span<const commit_part> parts);
  result<void> clear_recovery_doubt();
  result<void> look_for_recovery(database& db);
  void adopt_late();
  void report_adopted(std::span<const commit_part> parts, std::vector<shard_committed>& answers);

  const id_keys& keys_;
  writer_options options_;
  link link_;
  std::uint64_t joined_; ///< the session that has rejoined
  std::vector<partitioned_shard*> shards_;
  std::optional<doubt> doubt_;
  std::optional<recovery_in_doubt> recovery_in_doubt_;
  std::vector<const partitioned_shard*> found_gone_back_;
  std::vector<const partitioned_shard*> recovered_unheard_; ///< after a doubt that outlasted the answer
  std::uint64_t batches_ = 0;
  std::vector<const partitioned_shard*> locked_out_; ///< of commits that waited in vain for a lock
  std::map<partitioned_shard*, std::vector<core::accepted_message>> adopted_; ///< durable, and not reported yet
};

} // namespace reseq::store::postgres
