#include "reseq/store/sqlite/high_water.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace reseq::store::sqlite {

namespace {

/// A power of two below a disk's sector: no line is torn between two of them, which could make an older position and a
/// newer one into one that never was. Names have at most 63 characters.
constexpr std::size_t line_bytes = 128;

/// Epoch and position with a fixed width, then pipeline and shard: a line is overwritten in its place.
std::string text_of(const shard_id& shard, const high_water::mark& reached) {
  char numbers[48];
  std::snprintf(numbers, sizeof(numbers), "%020llu %020llu ", static_cast<unsigned long long>(reached.owner.value()),
                static_cast<unsigned long long>(reached.last.value()));
  std::string text = numbers + shard.pipeline + " " + std::to_string(shard.shard);
  text.resize(line_bytes, ' ');
  text.back() = '\n';
  return text;
}

std::optional<std::pair<shard_id, high_water::mark>> parse(const std::string& text) {
  std::istringstream in(text);
  std::uint64_t owner = 0;
  std::uint64_t last = 0;
  shard_id shard;
  if (!(in >> owner >> last >> shard.pipeline >> shard.shard)) return std::nullopt;
  const high_water::mark reached{epoch{owner}, position{last}};
  if (text_of(shard, reached) != text) return std::nullopt;
  return std::pair{std::move(shard), reached};
}

} // namespace

high_water::high_water(const std::filesystem::path& file) : path_(file) {
  std::ifstream in(file, std::ios::binary);
  std::string text(line_bytes, '\0');
  for (; in.read(text.data(), line_bytes); end_ += line_bytes)
    if (auto found = parse(text)) lines_[found->first] = {found->second, end_};
}

high_water::~high_water() {
  if (file_ >= 0) ::close(file_);
}

high_water::mark high_water::of(const shard_id& shard) const {
  const auto found = lines_.find(shard);
  return found == lines_.end() ? mark{} : found->second.reached;
}

result<void> high_water::note(const shard_id& shard, const mark& reached) {
  const auto failed = [&] {
    return fail(errc::unavailable, std::string{"cannot be written: "} + std::strerror(errno), path_.string());
  };
  if (file_ < 0) file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (file_ < 0) return failed();
  const std::string text = text_of(shard, reached);
  const auto [at, added] = lines_.try_emplace(shard, line{{}, end_});
  at->second.reached = reached;
  const auto size = static_cast<ssize_t>(text.size());
  if (added) end_ += size;
  errno = ENOSPC; // what a file that takes only a part of a line has run into
  if (::pwrite(file_, text.data(), text.size(), at->second.offset) != size) return failed();
  return {};
}

} // namespace reseq::store::sqlite
