#include "run/configuration.hpp"

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include "reseq/pipeline/builtin.hpp"
#include "reseq/store/postgres/server_url.hpp"
#include "reseq/store/postgres/table_url.hpp"
#include "reseq/store/redis/server_url.hpp"
#include "reseq/store/redis/stream_receiver.hpp"
#include "run/own_worker.hpp"

namespace reseq::apps {
namespace {

std::vector<pipeline_settings> composed_in(const registry& definitions) {
  std::vector<pipeline_settings> all;
  for (const auto& [label, pipeline] : definitions.pipelines()) all.push_back(pipeline.settings);
  return all;
}

std::vector<std::string> transforms_in(const registry& definitions) {
  std::vector<std::string> names(built_in_names.begin(), built_in_names.end());
  for (const auto& [label, registered] : definitions.transforms()) names.push_back(label);
  return names;
}

template <class Url>
config::complaint said_of(const result<Url>& read) {
  return read ? config::complaint{} : read.error().what;
}

/// Of a destination's URL libpq does not see the table.
config::complaint said_by_libpq(std::string_view url) {
  auto table = store::postgres::parse_table_url(url);
  const store::postgres::server_url read(table ? std::move(table->server) : std::string(url));
  return read.mistake().empty() ? config::complaint{} : read.mistake();
}

config::source source_of(const config::command_line& line, const program& who, const registry& definitions) {
  config::source from{line.config, line.sets, config::environment(), transforms_in(definitions)};
  from.reader = who.runs == role::worker ? config::role::worker : config::role::supervisor;
  from.check_redis = [](std::string_view url) { return said_of(store::redis::parse_server_url(url)); };
  from.check_stream = [](std::string_view url) { return said_of(store::redis::parse_stream_url(url)); };
  from.check_postgres = said_by_libpq;
  return from;
}

/// Above those that a child finds things under.
constexpr int least_descriptor = 10;

/// Somewhat more than a configuration may have.
constexpr std::size_t most_copied = 2U << 20U;

/// Takes over from `now` what cannot change while it is in use; the names of those keys that would have.
std::string keep_what_is_in_use(config::settings& fresh, const config::settings& now) {
  std::string kept;
  const auto keep = [&](auto& one, const auto& as, std::string_view name) {
    if (one == as) return;
    kept += kept.empty() ? "" : ", ";
    kept += name;
    one = as;
  };
  keep(fresh.node.name, now.node.name, "node.name");
  keep(fresh.node.data_dir, now.node.data_dir, "node.data_dir");
  keep(fresh.store.kind, now.store.kind, "store.kind");
  keep(fresh.store.postgres, now.store.postgres, "store.postgres");
  return kept;
}

} // namespace

file_copy::file_copy(const std::string& path) {
  const int from = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat what {};
  read_once_ = from >= 0 && fstat(from, &what) == 0 && !S_ISREG(what.st_mode);
  const int memory = memfd_create("reseq configuration", MFD_CLOEXEC);
  const int to = fcntl(memory, F_DUPFD_CLOEXEC, least_descriptor);
  std::array<char, 65536> piece{};
  ssize_t size = 0;
  bool whole = from >= 0 && to >= 0;
  for (std::size_t copied = 0; whole && copied < most_copied; copied += static_cast<std::size_t>(size)) {
    size = ::read(from, piece.data(), piece.size());
    if (size == 0) break;
    whole = size > 0 && write(to, piece.data(), static_cast<std::size_t>(size)) == size;
  }
  for (const auto one : {from, memory, whole ? -1 : to})
    if (one >= 0) close(one);
  if (whole) descriptor_ = to;
}

file_copy::~file_copy() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::string file_copy::path() const {
  return descriptor_ < 0 ? std::string{} : "/proc/self/fd/" + std::to_string(descriptor_);
}

std::pair<configured, config::loaded> configuration_reader::read() const {
  auto from = source_of(line_, who_, *definitions_);
  configured made;
  if (who_.runs != role::worker && !line_.config.empty()) {
    made.copy = std::make_shared<const file_copy>(line_.config);
    from.copy = made.copy->path();
  }
  if (who_.runs == role::worker) from.copy = parents_configuration();
  auto loaded = config::load(from, composed_in(*definitions_));
  made.settings = loaded.value;
  return {std::move(made), std::move(loaded)};
}

std::optional<configured> configuration_reader::read_again(const config::settings& now) const {
  if (line_.config.empty()) {
    spdlog::warn("SIGHUP: there is no configuration file to read again");
    return std::nullopt;
  }
  auto [fresh, loaded] = read();
  if (fresh.copy->of_something_read_once()) {
    spdlog::error("SIGHUP: {} is no file that can be read again, and nothing changes", line_.config);
    return std::nullopt;
  }
  for (const auto& warning : loaded.warnings) spdlog::warn("{}", warning.text());
  for (const auto& problem : loaded.problems) spdlog::error("{}", problem.text());
  if (!loaded.problems.empty()) {
    spdlog::error("SIGHUP: {} has mistakes, and nothing changes", line_.config);
    return std::nullopt;
  }
  if (const auto kept = keep_what_is_in_use(fresh.settings, now); !kept.empty())
    spdlog::warn("SIGHUP: what {} says cannot change while this runs: stop it, and start it again", kept);
  if (fresh.settings == now) {
    spdlog::info("SIGHUP: {} changes nothing", line_.config);
    return std::nullopt;
  }
  spdlog::info("SIGHUP: {} is read again", line_.config);
  return std::move(fresh);
}

} // namespace reseq::apps
