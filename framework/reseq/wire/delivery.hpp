/// What a destination is sent: one message as an HTTP request, or as a line of a batch or a file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"

namespace reseq::wire {

/// One message on its way to one destination.
struct delivery {
  std::string pipeline;
  std::string destination;
  sequence seq;
  std::optional<sequence> previous; ///< the last one that was delivered before, 0: none; absent: order is by key
  position at;
  std::string message_id;
  std::string key;           ///< empty: none
  epoch owner;               ///< receivers refuse what comes with an older one than they have seen
  std::uint32_t attempt = 1; ///< of this delivery, from 1
  content_ptr body;          ///< as the transforms left it; never null
};

/// `{pipeline}/{destination}/{sequence}`: the same whenever this message is sent there again.
std::string delivery_id(const delivery& d);

/// `{pipeline}/{destination}/{first}-{last}`, the id of a request that carries the deliveries from `first` to `last`.
/// A batch may be cut differently after a crash: receivers recognise single deliveries.
std::string batch_id(const delivery& first, const delivery& last);

/// The same with order by key, where others lie between the `sequences`, ascending: a digest of these is appended, so
/// that no two requests with different messages have one id.
std::string scattered_batch_id(const delivery& first, std::span<const sequence> sequences);

/// The headers of a request that carries one delivery, all but those about its body and the connection:
/// `Idempotency-Key` (the delivery id), `Reseq-Pipeline`, `Reseq-Destination`, `Reseq-Message-Id`, `Reseq-Key` (only
/// if there is one), `Reseq-Position`, `Reseq-Sequence`, `Reseq-Previous-Sequence` (if `previous` is there),
/// `Reseq-Attempt`, `Reseq-Epoch`, then the body's own headers in their order.
///
/// `Reseq-Key` is percent-encoded where it is not printable ASCII, at `%`, and at spaces on its ends, so that decoding
/// it always gives the key. In other values only control characters, which no header may have, are encoded.
/// Headers of the body that would lie about this request (names that reseq sets, `Content-Type` and the like, those of
/// a connection) or that no header can be called are left out.
header_list delivery_headers(const delivery& d);

/// Appends one line, with its end: a JSON object of `delivery_id`, `sequence`, `previous_sequence` (if `previous` is
/// there), `position`, `message_id`, `key` (empty: none), `epoch`, `attempt`, `headers` and the payload.
///
/// `headers` are those that `delivery_headers` takes from the body, values encoded alike, names in lower case, values
/// of one name joined by ", "; the content type, if there is one, is `"content-type"` among them.
///
/// The payload can be had back byte for byte, by the rule by which producers' batches are read: a `"payload"` that is a
/// string is its text in UTF-8, any other value is what stands in the line; `"payload_base64"` is the decoded bytes.
/// JSON (`application/json`, `…+json`) without insignificant white space, nested no deeper than 64 and no string
/// itself, stands there as it is; other UTF-8 as a string, other bytes as base64.
void append_envelope(std::string& out, const delivery& d);

/// Appends the object that is `headers` in that line.
void append_headers_object(std::string& out, const content& body);

/// What tells a line of `append_envelope` from others.
struct line_name {
  sequence seq;
  std::string message_id;
};

/// Reads it from such a line, or from its first 4,096 bytes; nothing if they are no such line's. Reads no further than
/// it must: what a message brought along may be what other readers of JSON refuse.
std::optional<line_name> name_of_line(std::string_view line);

} // namespace reseq::wire
