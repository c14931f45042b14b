/// A Redis stream that a destination fills.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/redis/client.hpp"
#include "reseq/store/redis/server_url.hpp"
#include "reseq/store/transactional_receiver.hpp"

namespace reseq::store::redis {

struct stream_url {
  server_url server;
  std::string stream;
};

/// Reads a server's URL with `stream=NAME` in its query. `errc::invalid` says what is wrong, and never quotes what may
/// be a secret.
result<stream_url> parse_stream_url(std::string_view text);

/// Each call of `deliver` is one script, which is atomic: entries `{sequence}-0` with the fields `sequence`,
/// `position`, `message_id`, `key`, `headers` and `payload`. Beside the stream, in its slot of a cluster, the hash
/// `reseq:{stream}:receiver:PIPELINE:DESTINATION` keeps the epoch, the last sequence, and whose journal's they are;
/// where it does not say the sequence, or the stream has come less far than it says, the stream's last-generated-id
/// does: a trimmed stream takes nothing twice, and one that was deleted, evicted or restored has gone back. Entries may
/// be trimmed and deleted by anybody.
///
/// An entry survives what Redis's own persistence makes it survive: `appendonly yes` and `appendfsync always` for a
/// crash of the machine; `durability_risk` says so where it is not set. Needs Redis 5 or later.
class stream_receiver : public transactional_receiver {
public:
  /// `timeout` is of connecting and of each call.
  stream_receiver(stream_url to, receiver_owner owner, duration timeout);

  result<receiver_record> open() override;
  result<receiver_record> take_over(sequence settled) override;
  /// Never `refused`.
  core::receiver_answer deliver(std::span<const received> items) override;
  std::string durability_risk() override;

private:
  enum class whose { ours, anybodys };

  /// What is recorded after `items` were appended to `ours_`, or were not because something else is the last, or
  /// because the record is another journal's. That, too, is taken with `anybodys`, if `ours_` is the last.
  result<receiver_record> append(std::span<const received> items, whose takes = whose::ours);

  /// As `append` of nothing.
  result<receiver_record> look(whose takes = whose::ours);
  [[nodiscard]] std::string says_nothing(sequence last) const;

  /// A field of the entry with this sequence; empty where it cannot be read, or is there no more.
  std::string field_of(sequence received, std::string_view field);
  position position_of(sequence received);
  /// What to answer where the stream has another message in the place of one of `items`.
  std::optional<core::receiver_answer> find_other(std::span<const received> items);

  std::string stream_;
  std::string record_;
  receiver_owner owner_;
  server_url server_;
  client client_;
  sequence ours_;                        ///< the last that was found to be this journal's
  sequence compared_;                    ///< up to here it has the journal's messages, as far as that can be seen
  std::optional<receiver_record> known_; ///< as the last call left it
};

} // namespace reseq::store::redis
