/// Which pipelines have diverged, for people and for whoever decides where producers go.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>

namespace reseq::actors {

/// Who finds out that a pipeline has diverged says so; anybody may look. A pipeline that was recovered is opened anew,
/// by another supervisor, which knows nothing of this. Every member may be used from any thread.
class divergences {
public:
  /// `pipeline` accepts nothing and changes nothing from now on; `why` is what was seen. The first one stays.
  void note(const std::string& pipeline, std::string why);

  /// As `note`, where nobody but this process knows what `pipeline` gave: opening it anew would forget that.
  void note_known_here_alone(const std::string& pipeline, std::string why);

  /// Its journal knows it now.
  void recovered(const std::string& pipeline);

  /// Those of which nobody else knows; before everything is opened anew, there is to be none.
  [[nodiscard]] std::set<std::string> known_here_alone() const;

  /// What was seen, by pipeline.
  [[nodiscard]] std::map<std::string, std::string> all() const;

private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> why_;
  std::set<std::string> known_here_alone_;
};

} // namespace reseq::actors
