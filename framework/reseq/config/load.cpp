#include "reseq/config/load.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include <unistd.h>

#include "reseq/config/file.hpp"
#include "reseq/config/overrides.hpp"
#include "reseq/config/policy.hpp"

extern char** environ; // NOLINT(readability-redundant-declaration): POSIX leaves it to the user

namespace reseq::config {
namespace {

constexpr std::size_t largest_file = 1U << 20U;

result<std::string> read_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(largest_file + 1, '\0');
  // Opening a directory succeeds; only reading it fails.
  if (!file || file.peek() == std::ifstream::traits_type::eof()) {
    if (errno != 0) return fail(errc::invalid, std::string("cannot be read: ") + std::strerror(errno));
    return std::string{};
  }
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return fail(errc::invalid, std::string("cannot be read: ") + std::strerror(errno));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > largest_file) return fail(errc::invalid, "is larger than " + format_size(largest_file));
  return text;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

/// False if there is no document to go on with.
bool apply_file(const source& from, settings& into, findings& found) {
  if (from.path.empty()) return true;
  const auto text = read_file(from.copy.empty() ? from.path : from.copy);
  if (!text) {
    found.add({from.path, 0}, "", text.error().what);
    return false;
  }
  return read_document(*text, from.path, from.environment, into, found);
}

} // namespace

std::string problem::text() const {
  auto place = file;
  if (line > 0) place += ":" + std::to_string(line);
  if (!place.empty()) place += ": ";
  return place + (key.empty() ? "" : key + ": ") + what;
}

loaded load(const source& from, std::vector<pipeline_settings> composed) {
  findings found;
  auto value = presets<settings>();
  value.pipelines = std::move(composed);
  if (apply_file(from, value, found)) {
    apply_environment(from.environment, value, found);
    apply_sets(from.sets, value, found);
    check_policy(value, from, found);
  }
  if (value.node.name.empty()) value.node.name = fitted_name(host_name());
  auto warnings = found.warnings();
  return {std::move(value), std::move(found).sorted(), std::move(warnings)};
}

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> all;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) all.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return all;
}

} // namespace reseq::config
