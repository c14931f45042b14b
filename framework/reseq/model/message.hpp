/// A message as producers submit it and as transforms see it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reseq/model/clock.hpp"

namespace reseq {

/// A header as it came; names compare without regard to case.
struct header {
  std::string name;
  std::string value;

  friend bool operator==(const header&, const header&) = default;
};

using header_list = std::vector<header>;

/// Whether two header names are the same but for ASCII case.
bool same_header_name(std::string_view a, std::string_view b);

/// The value of the first header called `name` (any case), or an empty view.
std::string_view find_header(const header_list& headers, std::string_view name);

/// Bytes with their media type and headers: what a message carries in, and what a transform makes of it.
struct content {
  std::string payload;      ///< any bytes, kept as they came
  std::string content_type; ///< empty when the producer sent none
  header_list headers;      ///< the producer's headers that the pipeline carries

  friend bool operator==(const content&, const content&) = default;
};

/// An immutable message. Cheap to share by `message_ptr`, safe to read from any thread.
class message {
public:
  message() = default;
  message(std::string id, std::string key, content body, exact_wall_time received = {})
    : id_(std::move(id)), key_(std::move(key)), body_(std::move(body)), received_(received) {}

  /// The producer's id, or the one that was made: 1 to 255 printable ASCII characters, no blank first or last.
  [[nodiscard]] const std::string& id() const { return id_; }
  /// The ordering key; empty when there is none.
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] const std::string& payload() const { return body_.payload; }
  [[nodiscard]] const std::string& content_type() const { return body_.content_type; }
  [[nodiscard]] const header_list& headers() const { return body_.headers; }
  /// The first header called `name` (any case), or an empty view.
  [[nodiscard]] std::string_view header(std::string_view name) const { return find_header(body_.headers, name); }
  [[nodiscard]] const content& body() const { return body_; }
  /// When it came, for measuring how long it took: as exact as the host's clock until it has been read back from the
  /// journal, and that to the millisecond. 1970 where nobody knows, as in workers.
  [[nodiscard]] exact_wall_time received() const { return received_; }

  /// What windows and queues charge for it, in bytes: everything it carries.
  [[nodiscard]] std::size_t size_bytes() const;

private:
  std::string id_;
  std::string key_;
  content body_;
  exact_wall_time received_{};
};

using message_ptr = std::shared_ptr<const message>;
using content_ptr = std::shared_ptr<const content>;

/// What a content costs in memory, in bytes: payload, type and headers.
std::size_t size_bytes(const content& body);

} // namespace reseq
