/// Whose a shard is, for an owner who must know before it sends what it cannot take back.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/partitioned_shard.hpp"
#include "reseq/store/postgres/server_url.hpp"

namespace reseq::store::postgres {

/// A look is not enough: a primary that was cut off from its synchronous standby answers still, while that was promoted
/// and has another owner. Each question therefore locks the shard's row and commits, which waits behind a takeover, and
/// for the standby.
///
/// It does so on a connection of its own, made when it is first needed: backlogs are read on theirs, also while a
/// question waits in vain and is given up. On the same thread, though, so that nothing is asked then for as long as
/// that took.
class epoch_check {
public:
  /// Questions that wait longer than `longest_silence`, or a few seconds, are given up. `url` must outlive it.
  epoch_check(const server_url& url, std::chrono::nanoseconds longest_silence);

  /// `errc::unavailable`: nobody knows; ask again.
  result<epoch> owner_of(const partitioned_shard& shard);

private:
  /// A process of the server's; numbers are used again.
  struct session {
    int pid;
    std::string since;
  };

  result<void> connect();
  result<void> end_earlier();
  result<epoch> ask(const partitioned_shard& shard);

  const server_url& url_;
  std::chrono::nanoseconds most_;
  std::chrono::nanoseconds patience_;
  std::chrono::steady_clock::time_point not_before_;
  std::unique_ptr<database> db_;
  std::optional<session> session_; ///< of `db_`
  std::optional<session> earlier_; ///< was given up, and may still wait
};

} // namespace reseq::store::postgres
