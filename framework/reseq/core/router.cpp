#include "reseq/core/router.hpp"

#include <algorithm>
#include <string_view>

#include <fnmatch.h>

#include "reseq/model/ascii.hpp"

namespace reseq::core {
namespace {

bool matches(const std::string& glob, const std::string& text) { return ::fnmatch(glob.c_str(), text.c_str(), 0) == 0; }

/// A producer chose the name: an error quotes only its beginning.
std::string in_quotes(std::string_view name) {
  constexpr std::size_t most = 64;
  return name.size() <= most ? "'" + std::string{name} + "'" : "'" + std::string{name.substr(0, most)} + "…'";
}

} // namespace

router::router(const pipeline_settings& pipeline, const std::map<std::string, destination_id>& ids) {
  for (const auto& settings : pipeline.destinations) {
    const auto id = ids.at(settings.name);
    by_name_.emplace(settings.name, id);
    auto& added = destinations_.emplace_back(destination{id, {}});
    for (const auto& [header, glob] : settings.when) added.when.push_back({header, glob});
  }
  std::ranges::sort(destinations_, {}, &destination::id);
  for (const auto& glob : pipeline.carry) carry_.push_back(ascii::lower(glob));
}

result<std::vector<destination_id>> router::route(const std::optional<std::vector<std::string>>& requested,
                                                  const header_list& headers) const {
  if (requested) return named(*requested);
  const auto holds = [&](const condition& c) {
    const auto found =
      std::ranges::find_if(headers, [&](const header& h) { return same_header_name(h.name, c.header); });
    return found != headers.end() && matches(c.glob, found->value);
  };
  std::vector<destination_id> routes;
  for (const auto& candidate : destinations_) {
    if (std::ranges::all_of(candidate.when, holds)) routes.push_back(candidate.id);
  }
  return routes;
}

result<std::vector<destination_id>> router::named(const std::vector<std::string>& names) const {
  std::vector<destination_id> routes;
  for (const auto& name : names) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      return fail(errc::unprocessable, "the pipeline has no destination " + in_quotes(name), "destinations");
    }
    routes.push_back(found->second);
  }
  std::ranges::sort(routes);
  routes.erase(std::unique(routes.begin(), routes.end()),
               routes.end()); // not std::ranges: clang 14 cannot read its subranges
  return routes;
}

header_list router::carried(header_list headers) const {
  std::erase_if(headers, [&](const header& h) {
    const auto name = ascii::lower(h.name);
    return std::ranges::none_of(carry_, [&](const std::string& glob) { return matches(glob, name); });
  });
  return headers;
}

} // namespace reseq::core
