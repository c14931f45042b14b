/// Reads a program's configuration: built-in defaults, then what C++ composed, then the file, then the
/// environment, then `--set`; the later wins, key by key.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reseq/config/forms.hpp"
#include "reseq/config/settings.hpp"

namespace reseq::config {

/// Something a person has to correct or, as a warning, should know of. Never holds a secret.
struct problem {
  std::string file; ///< the file, or "--set", or "environment variable NAME"; empty: composed in C++
  int line = 0;     ///< 0: none
  std::string key;  ///< dotted, members of lists by name: "pipeline.orders.retry.jitter"; may be empty
  std::string what; ///< what is wrong with it, and what would be right

  /// "file:line: key: what", without the parts that are empty.
  [[nodiscard]] std::string text() const;

  friend bool operator==(const problem&, const problem&) = default;
};

/// Whose configuration it is, which decides what has to be there.
enum class role {
  none,       ///< nobody's: it is only looked at
  worker,     ///< needs a pipeline, and nothing of its destinations: not even the URLs of those that C++ composed
  supervisor, ///< needs a destination of each pipeline, too
};

struct source {
  std::string path;              ///< a TOML file of at most 1 MiB; empty: none
  std::vector<std::string> sets; ///< KEY=VALUE; the value is TOML, or else a string; lists may be "a,b"
  /// Looked up for `${NAME}` in the file's strings, and for `RESEQ_STORE_KIND`, which sets `store.kind` (keys
  /// outside of lists only). A RESEQ_ variable that names no key is a problem, except RESEQ_PARENT_PIPE,
  /// RESEQ_URL (`reseqctl`'s) and RESEQ_TEST_*.
  std::map<std::string, std::string> environment;
  /// The transforms that this program can run, `use = "…"`. Every pipeline that it runs itself (those of
  /// `worker.pipelines`, and none when `worker.slots` is 0) may use only these. Empty: any, it runs none.
  std::vector<std::string> transforms = {};
  role reader = role::none;
  /// What this build of a supervisor has against the URL of a server that it would open: nothing, or what is wrong.
  /// Empty: any will do.
  std::function<complaint(std::string_view)> check_redis = {};
  std::function<complaint(std::string_view)> check_stream = {};   ///< of a destination; likewise
  std::function<complaint(std::string_view)> check_postgres = {}; ///< the store's, or of a destination
  std::string copy = {}; ///< where what `path` held can be read, whatever has become of that; empty: there itself
};

struct loaded {
  settings value; ///< usable only if there are no problems
  std::vector<problem> problems;
  std::vector<problem> warnings; ///< of what is allowed
};

/// Reads and checks everything, and reports all problems at once, the file's by line (of a file that is no TOML:
/// the first error). `composed` is what the C++ builder made: a pipeline or destination of the same name in the
/// file changes it key by key; transforms in the file replace all of its transforms. Blocks on reading the file.
loaded load(const source& from, std::vector<pipeline_settings> composed = {});

/// The calling process's environment.
std::map<std::string, std::string> environment();

} // namespace reseq::config
