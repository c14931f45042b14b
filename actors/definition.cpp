#include "actors/definition.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace reseq::actors {
namespace {

using nlohmann::json;

json steps_json(const std::vector<transform_settings>& steps) {
  json list = json::array();
  for (const auto& step : steps) list.push_back({{"use", step.use}, {"version", step.version}});
  return list;
}

bool names_transforms(const pipeline_settings& pipeline) {
  return !pipeline.transforms.empty() ||
         std::ranges::any_of(pipeline.destinations, [](const auto& d) { return !d.transforms.empty(); });
}

} // namespace

result<std::string> declared_fingerprint(const registry& transforms, const pipeline_settings& pipeline) {
  if (!names_transforms(pipeline))
    return make_runnable(transforms, pipeline).map([](const runnable_pipeline& made) { return fingerprint(made); });
  json declared{{"common", steps_json(pipeline.transforms)}};
  for (const auto& d : pipeline.destinations)
    if (!d.transforms.empty()) declared["own"][d.name] = steps_json(d.transforms);
  return declared.dump();
}

std::string definition_text(const pipeline_settings& pipeline, const std::string& fingerprint) {
  json destinations = json::object();
  for (const auto& d : pipeline.destinations)
    destinations[d.name] = {{"order", d.order == delivery_order::key ? "key" : "total"}, {"when", d.when}};
  return json{
    {"name", pipeline.name}, {"shards", 1}, {"destinations", std::move(destinations)}, {"transforms", fingerprint}}
    .dump();
}

} // namespace reseq::actors
