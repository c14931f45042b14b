/// The command line of `reseqctl` as a value.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"
#include "reseq/net/url.hpp"

namespace reseq::ctl {

enum class command { status, why, messages, send, held, dead_letters, retry, skip, pause, resume, recover };

/// What `send` submits.
struct outgoing {
  std::string id;           ///< empty: `send` makes one
  std::string key;          ///< empty: none
  std::string content_type; ///< empty: none
  header_list headers;
  std::string file = "-"; ///< "-": standard input
  duration patience{};    ///< for how long to try again while the supervisor is away
};

/// Names, messages, headers and the URL are well-formed; what was told about messages and destinations goes together.
struct options {
  command what = command::status;
  net::url url;      ///< `target` is what comes before "/v1"; empty for most
  std::string token; ///< the one that the command needs; empty: none
  bool json = false;
  std::string pipeline;        ///< empty: all
  std::string destination;     ///< empty: all
  std::string message;         ///< "SHARD:POSITION", else a message id; empty: all
  bool by_id = false;          ///< it is an id, even if it looks like a place
  std::vector<std::string> to; ///< destinations; empty: as the pipeline routes, or all; `pause`, `resume`: at least one
  bool yes = false;            ///< `recover` and `skip` of all up to `until` only show what they would do without this
  std::string agreed;          ///< to the `skip` of what was shown with this code; "all": of whatever is held
  std::optional<sequence> until; ///< the last one of those that `skip` gives up, whenever they come to be held
  bool take_over = false;        ///< `recover`: what belongs to another installation, too
  outgoing submission;
};

/// Whether `text` is "SHARD:POSITION".
bool is_place(const std::string& text);

/// The program is to print this and exit: after --help and --version with 0, after bad usage with 2.
struct early_exit {
  int code = 0;
  std::string out; ///< for stdout
  std::string err; ///< for stderr
};

/// The value of an environment variable; empty if there is none.
using environment = std::function<std::string(const std::string& name)>;

/// `argv[0]` is skipped. Prints nothing, never throws for what a user wrote.
std::variant<options, early_exit> parse(int argc, const char* const* argv, const environment& variable);

} // namespace reseq::ctl
