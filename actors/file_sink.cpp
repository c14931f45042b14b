#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <caf/actor_cast.hpp>
#include <nlohmann/json.hpp>

#include "actors/sinks.hpp"

namespace reseq::actors {
namespace {

tl::unexpected<error> system_error(const std::string& path, const std::string& doing) {
  const auto code = errno == ENOSPC || errno == EDQUOT ? errc::no_space : errc::unavailable;
  return fail(code, doing + ": " + std::strerror(errno), path);
}

/// A file that was just made is durable only once its folder is.
bool sync_folder(const std::string& path) {
  const auto folder = std::filesystem::path{path}.parent_path();
  const auto fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const auto synced = fsync(fd) == 0;
  close(fd);
  return synced;
}

struct tail {
  off_t whole = 0;       ///< where the last whole line ends
  std::string last_line; ///< without its end; empty in an empty file
};

/// Reads backwards, in growing pieces, until the last whole line is in hand.
result<tail> read_tail(int file, const std::string& path) {
  struct stat about {};
  if (fstat(file, &about) != 0) return system_error(path, "cannot be examined");
  for (off_t want = off_t{64} * 1024;; want *= 4) {
    const auto from = std::max(off_t{0}, about.st_size - want);
    std::string piece(static_cast<std::size_t>(about.st_size - from), '\0');
    for (std::size_t got = 0; got < piece.size();) {
      const auto n = pread(file, piece.data() + got, piece.size() - got, from + static_cast<off_t>(got));
      if (n <= 0) return system_error(path, "cannot be read");
      got += static_cast<std::size_t>(n);
    }
    const auto end = piece.rfind('\n');
    if (end == std::string::npos && from == 0) return tail{0, {}};
    if (end == std::string::npos) continue;
    const auto before = end == 0 ? std::string::npos : piece.rfind('\n', end - 1);
    if (before == std::string::npos && from > 0) continue;
    const auto start = before == std::string::npos ? 0 : before + 1;
    return tail{from + static_cast<off_t>(end) + 1, piece.substr(start, end - start)};
  }
}

struct last_entry {
  sequence seq;
  std::string message_id;
};

result<last_entry> read_entry(const std::string& line, const std::string& path) {
  if (line.empty()) return last_entry{};
  const auto envelope = nlohmann::json::parse(line, nullptr, false);
  if (envelope.is_object() && envelope.contains("sequence") && envelope["sequence"].is_number_unsigned() &&
      envelope.contains("message_id") && envelope["message_id"].is_string())
    return last_entry{sequence{envelope["sequence"].get<std::uint64_t>()}, envelope["message_id"].get<std::string>()};
  return fail(errc::corrupt, "its last line is no envelope of reseq; move the file away, or name another one", path);
}

/// A file that is further than this journal can have brought it belongs to another journal. Taking its lines for ours
/// would lose messages.
result<void> check_origin(const file_sink_state& state, const sink_setup& setup,
                          const std::vector<core::send_item>& items, const std::string& path) {
  const auto saved_before = items.front().seq.value() - 1;
  bool ours = state.last <= setup.assigned || state.checked;
  ours = ours && state.last.value() <= saved_before + setup.destination.max_unsaved + items.size();
  for (const auto& item : items) ours = ours && (item.seq != state.last || item.message->id() == state.last_id);
  if (ours) return {};
  return fail(errc::conflict,
              "it ends with sequence " + std::to_string(state.last.value()) + ", message " + state.last_id +
                ", which this journal did not deliver there; move the file away, or bring its journal back",
              path);
}

} // namespace

file_sink_state::~file_sink_state() {
  if (file >= 0) close(file);
}

result<void> file_sink_state::open(const std::string& path) {
  if (file >= 0) return {};
  const auto fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return system_error(path, "cannot be opened");
  const auto give_up = [&](tl::unexpected<error> why) -> result<void> {
    close(fd);
    return why;
  };
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return give_up(system_error(path, "is locked by another process"));
  const auto found = read_tail(fd, path);
  if (!found) return give_up(tl::unexpected(found.error()));
  auto entry = read_entry(found->last_line, path);
  if (!entry) return give_up(tl::unexpected(entry.error()));
  if (ftruncate(fd, found->whole) != 0) return give_up(system_error(path, "its torn last line cannot be cut off"));
  if (fsync(fd) != 0 || !sync_folder(path)) return give_up(system_error(path, "cannot be made durable"));
  file = fd;
  last = entry->seq;
  last_id = std::move(entry->message_id);
  return {};
}

result<void> file_sink_state::append(const std::string& lines) {
  for (std::size_t done = 0; done < lines.size();) {
    const auto n = write(file, lines.data() + done, lines.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_error("file destination", "cannot be written");
    done += static_cast<std::size_t>(n);
  }
  if (fdatasync(file) != 0) return system_error("file destination", "cannot be made durable");
  return {};
}

sink_actor::behavior_type file_sink(sink_actor::stateful_pointer<file_sink_state> self, sink_setup setup,
                                    std::string path) {
  return {
    [self, setup = std::move(setup), path = std::move(path)](const deliver& wanted) {
      auto& state = self->state;
      const auto write_all = [&]() -> result<void> {
        if (auto opened = state.open(path); !opened) return opened;
        if (auto origin = check_origin(state, setup, wanted.request.items, path); !origin) return origin;
        state.checked = true;
        std::string lines;
        for (const auto& item : wanted.request.items)
          if (item.seq > state.last) wire::append_envelope(lines, to_delivery(setup, item));
        return lines.empty() ? result<void>{} : state.append(lines);
      };
      core::receiver_answer answer = core::confirmed{};
      if (auto written = write_all(); written) {
        const auto& newest = wanted.request.items.back();
        if (newest.seq > state.last) {
          state.last = newest.seq;
          state.last_id = newest.message->id();
        }
      } else {
        answer = core::failing{written.error().text(), std::nullopt};
        if (state.file >= 0) close(std::exchange(state.file, -1)); // what is in it is found out anew
      }
      const auto owner = caf::actor_cast<shard_actor>(self->current_sender());
      self->send(owner, delivered{wanted.request.destination, wanted.request.id, std::move(answer)});
    },
  };
}

} // namespace reseq::actors
