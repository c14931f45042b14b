#include "reseq/config/expand.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace reseq::config {
namespace {

bool is_variable(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && std::ranges::all_of(name, fits);
}

} // namespace

tl::expected<std::string, std::string> expand(std::string_view text,
                                              const std::map<std::string, std::string>& environment) {
  std::string expanded;
  std::vector<std::string> missing;
  for (;;) {
    const auto open = text.find("${");
    expanded += text.substr(0, open);
    if (open == std::string_view::npos) break;
    text.remove_prefix(open + 2);
    if (open > 0 && expanded.back() == '$') {
      expanded += '{';
      continue;
    }
    const auto close = text.find('}');
    const auto name = text.substr(0, close);
    if (close == std::string_view::npos || !is_variable(name)) {
      return tl::unexpected<std::string>("a ${ needs a variable's name and a }; a literal ${ is written $${");
    }
    const auto found = environment.find(std::string(name));
    if (found != environment.end()) {
      expanded += found->second;
    } else if (std::ranges::find(missing, name) == missing.end()) {
      missing.emplace_back(name);
    }
    text.remove_prefix(close + 1);
  }
  if (missing.empty()) return expanded;
  std::string what = missing.size() == 1 ? "the environment has no variable " : "the environment has no variables ";
  for (const auto& name : missing) what += (&name == missing.data() ? "" : ", ") + name;
  return tl::unexpected(std::move(what));
}

} // namespace reseq::config
