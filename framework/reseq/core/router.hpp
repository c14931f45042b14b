/// Which destinations want a message, and which of its headers go along: worked out once, before acceptance.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"
#include "reseq/model/settings.hpp"

namespace reseq::core {

/// The routes of one pipeline. Immutable once made; any thread may ask it.
class router {
public:
  /// `ids` holds a number for every destination of `pipeline`; others in it (of destinations that have left) are
  /// passed over. Throws `std::out_of_range` if one is missing: a message must not lose a destination silently.
  router(const pipeline_settings& pipeline, const std::map<std::string, destination_id>& ids);

  /// The destinations of a message, ascending and unique; none is a valid answer.
  ///
  /// With `requested`, exactly these, whatever their `when` says; a name that is none of the pipeline's
  /// destinations is `errc::unprocessable`. Without, each destination all of whose `when` globs match the value of
  /// the first header of that name (in any case). A header that is absent matches no glob, not even `*`; a
  /// destination without `when` takes everything. Globs are the shell's (`*`, `?`, `[a-z]`), match the whole value,
  /// with regard to case, and `*` also takes `/` and a leading dot.
  [[nodiscard]] result<std::vector<destination_id>> route(const std::optional<std::vector<std::string>>& requested,
                                                          const header_list& headers) const;

  /// Those of `headers`, in their order, whose name matches one of the pipeline's `carry` globs (in any case).
  [[nodiscard]] header_list carried(header_list headers) const;

private:
  struct condition {
    std::string header;
    std::string glob;
  };
  struct destination {
    destination_id id;
    std::vector<condition> when;
  };

  [[nodiscard]] result<std::vector<destination_id>> named(const std::vector<std::string>& names) const;

  std::vector<destination> destinations_; // ascending by id
  std::map<std::string, destination_id> by_name_;
  std::vector<std::string> carry_; // in lower case
};

} // namespace reseq::core
