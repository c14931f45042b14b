#include "reseq/pipeline/registry.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "reseq/pipeline/builtin.hpp"
#include "reseq/pipeline/hash.hpp"

namespace reseq {
namespace {

result<std::vector<step>> steps_of(const registry& known, const transform_settings& wanted, const std::string& where) {
  std::vector<step> steps;
  if (auto step = built_in(wanted)) {
    steps.push_back(std::move(*step));
  } else if (const auto found = known.transforms().find(wanted.use); found != known.transforms().end()) {
    steps = found->second.as_chain().steps();
  } else {
    return fail(errc::not_found, "no transform is registered as '" + wanted.use + "'", where + ".use");
  }
  if (!wanted.version.empty())
    for (auto& step : steps) step.version = wanted.version;
  return steps;
}

/// One after the other; each takes a message, whatever stands before it.
result<chain> chain_of(const registry& known, const std::vector<transform_settings>& wanted, const std::string& owner) {
  std::vector<step> all;
  for (const auto& one : wanted) {
    auto steps = steps_of(known, one, owner + ".transform");
    if (!steps) return tl::unexpected(std::move(steps.error()));
    std::ranges::move(*steps, std::back_inserter(all));
  }
  return chain(std::move(all));
}

} // namespace

result<void> registry::add(transform added) {
  auto name = added.name();
  if (name.empty()) return fail(errc::invalid, "a transform needs a name", "transform");
  if (std::ranges::find(built_in_names, name) != built_in_names.end())
    return fail(errc::conflict, "this name is a built-in transform's", "transform '" + name + "'");
  if (!transforms_.try_emplace(name, std::move(added)).second)
    return fail(errc::conflict, "registered twice", "transform '" + name + "'");
  return {};
}

result<void> registry::add(composed_pipeline added) {
  auto name = added.settings.name;
  std::set<std::string_view> destinations;
  for (const auto& d : added.settings.destinations)
    if (!destinations.insert(d.name).second)
      return fail(errc::conflict, "composed twice", "pipeline." + name + ".destination." + d.name);
  if (!pipelines_.try_emplace(name, std::move(added)).second)
    return fail(errc::conflict, "composed twice", "pipeline." + name);
  return {};
}

result<runnable_pipeline> make_runnable(const registry& known, const pipeline_settings& settings) {
  const auto found = known.pipelines().find(settings.name);
  const auto* composed = found == known.pipelines().end() ? nullptr : &found->second;
  const auto path = "pipeline." + settings.name;

  runnable_pipeline made;
  made.name = settings.name;
  auto common = chain_of(known, settings.transforms, path);
  if (!common) return tl::unexpected(std::move(common.error()));
  if (settings.transforms.empty() && composed)
    made.common = composed->common;
  else
    made.common = std::move(*common);

  for (const auto& destination : settings.destinations) {
    auto own = chain_of(known, destination.transforms, path + ".destination." + destination.name);
    if (!own) return tl::unexpected(std::move(own.error()));
    if (destination.transforms.empty() && composed)
      if (const auto own_composed = composed->own.find(destination.name); own_composed != composed->own.end())
        *own = own_composed->second;
    if (!own->empty()) made.own.insert_or_assign(destination.name, std::move(*own));
  }
  return made;
}

std::string fingerprint(const runnable_pipeline& pipeline) {
  detail::hasher all;
  all.add(pipeline.name).add(pipeline.common.fingerprint());
  for (const auto& [destination, own] : pipeline.own) all.add(destination).add(own.fingerprint());
  return all.hex();
}

} // namespace reseq
