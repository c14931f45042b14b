/// The journal on PostgreSQL: in the schema `reseq` of one database, which several supervisors may share.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "reseq/model/error.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/postgres/listener.hpp"
#include "reseq/store/write_behind.hpp"

namespace reseq::store::postgres {

/// A server that has not answered a statement for so long hangs, and is connected to anew: while one waits for it,
/// nothing asks the next host of the URL. Far longer than what it waits for a lock, which it says (five seconds), than
/// any statement, and than most interruptions that end by themselves: what was being committed is in doubt.
inline constexpr std::chrono::seconds longest_silence_of_server{30};

struct postgres_options {
  std::string url;                                 ///< `postgresql://…`, as libpq takes it
  std::string node;                                ///< recorded as the owner, for people
  duration retention = std::chrono::hours{7 * 24}; ///< sizes the partitions; `expire` says what is forgotten
  write_behind_limits indexes;
  std::uint64_t partition_messages = 1U << 20U;      ///< of the first one; later ones go by what comes
  std::chrono::milliseconds takeover_patience{1000}; ///< then the session of the owner before is ended
  std::chrono::milliseconds doubt_patience{3000};    ///< a broken commit waits so long for the server to come back
  std::chrono::milliseconds reconnect_patience{200}; ///< and one whose session had ended before it, for another session
  std::chrono::milliseconds longest_silence = longest_silence_of_server;
  listener tell = [](const std::string&) {};
};

/// Connects, creates the schema if it is missing, and brings an older one up to date. `errc::unavailable` when the
/// server cannot be reached, `errc::incompatible` when it is too old, the database is not in UTF-8, a newer version of
/// this program made the schema, or a pooler of transactions is in between. No error tells the URL's password.
///
/// The journal keeps to the threading that `journal` promises; `open` waits for a commit that is under way. A
/// connection that breaks comes back by itself; until then everything answers `errc::unavailable` at once.
result<std::unique_ptr<journal>> open_postgres(const postgres_options& options);

} // namespace reseq::store::postgres
