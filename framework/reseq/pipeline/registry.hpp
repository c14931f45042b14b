/// The transforms that a program has, and the chains that a pipeline's settings make of them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "reseq/model/error.hpp"
#include "reseq/model/settings.hpp"
#include "reseq/pipeline/builder.hpp"
#include "reseq/pipeline/chain.hpp"

namespace reseq {

/// Filled at start, then only read.
class registry {
public:
  /// `invalid` for an empty name, `conflict` for one that is registered or built in.
  result<void> add(transform added);

  /// `conflict` for a second pipeline of that name, or two destinations of one name.
  result<void> add(composed_pipeline added);

  template <class Last, unsigned Count>
  result<void> add(const pipeline<Last, Count>& added) {
    return add(added.compose());
  }

  [[nodiscard]] const std::map<std::string, transform, std::less<>>& transforms() const { return transforms_; }
  [[nodiscard]] const std::map<std::string, composed_pipeline, std::less<>>& pipelines() const { return pipelines_; }

private:
  std::map<std::string, transform, std::less<>> transforms_;
  std::map<std::string, composed_pipeline, std::less<>> pipelines_;
};

/// What a worker runs for one pipeline.
struct runnable_pipeline {
  std::string name;
  chain common;
  std::map<std::string, chain> own; ///< by destination; only those that have transforms of their own
};

/// The chains of a pipeline: what `settings` names, from the registry and the built-in ones; where it names none, what
/// was composed in C++ under that pipeline's (and destination's) name; else the identity. A version in `settings` that
/// is not empty replaces the registered one. `not_found` for one that nobody registered.
result<runnable_pipeline> make_runnable(const registry& known, const pipeline_settings& settings);

/// 16 hexadecimal digits that two programs share if they run the same transforms for this pipeline, as far as names,
/// types, versions, order and destinations tell. Tuning, such as that of `delay`, does not count.
std::string fingerprint(const runnable_pipeline& pipeline);

} // namespace reseq
