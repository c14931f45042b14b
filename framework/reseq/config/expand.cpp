#include "reseq/config/expand.hpp"

#include <algorithm>

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
  for (;;) {
    const auto open = text.find("${");
    expanded += text.substr(0, open);
    if (open == std::string_view::npos) return expanded;
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
    if (found == environment.end()) {
      return tl::unexpected("the environment has no variable " + std::string(name));
    }
    expanded += found->second;
    text.remove_prefix(close + 1);
  }
}

} // namespace reseq::config
