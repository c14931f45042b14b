/// Which pipelines have diverged, for people and for whoever decides where producers go.
#pragma once

#include <map>
#include <mutex>
#include <string>

namespace reseq::actors {

/// Who finds out that a pipeline has diverged says so; anybody may look. A pipeline that was recovered is opened anew,
/// by another supervisor, which knows nothing of this. Every member may be used from any thread.
class divergences {
public:
  /// `pipeline` accepts nothing and changes nothing from now on; `why` is what was seen. The first one stays.
  void note(const std::string& pipeline, std::string why);

  /// What was seen, by pipeline.
  [[nodiscard]] std::map<std::string, std::string> all() const;

private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> why_;
};

} // namespace reseq::actors
