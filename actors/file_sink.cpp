#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include <caf/actor_cast.hpp>
#include <spdlog/spdlog.h>

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

/// At most `bytes` bytes from `from` on, which the file has.
result<std::string> read_piece(int file, off_t from, off_t bytes, const std::string& path) {
  std::string piece(static_cast<std::size_t>(bytes), '\0');
  for (std::size_t got = 0; got < piece.size();) {
    const auto n = pread(file, piece.data() + got, piece.size() - got, from + static_cast<off_t>(got));
    if (n <= 0) return system_error(path, "cannot be read");
    got += static_cast<std::size_t>(n);
  }
  return piece;
}

constexpr off_t at_once = off_t{64} * 1024; // bytes that are searched for a line's end

/// Where the line begins of which the byte before `end` is a part, when that byte is no line's end.
result<off_t> line_begin(int file, off_t end, const std::string& path) {
  while (end > 0) {
    const auto from = std::max(off_t{0}, end - at_once);
    const auto piece = read_piece(file, from, end - from, path);
    if (!piece) return tl::unexpected(piece.error());
    if (const auto at = piece->rfind('\n'); at != std::string::npos) return from + static_cast<off_t>(at) + 1;
    end = from;
  }
  return 0;
}

/// What is written to a file that was moved away or removed is out of everybody's sight; and one may have been cut, or
/// somebody else has written to it.
bool is_as_we_left_it(int file, const std::string& path, off_t size) {
  struct stat opened {};
  struct stat named {};
  return fstat(file, &opened) == 0 && stat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino && opened.st_size == size;
}

tl::unexpected<error> foreign(const std::string& path, off_t at) {
  return fail(errc::corrupt,
              "what begins at byte " + std::to_string(at) +
                " is no envelope of reseq; take it out, move the file away, or name another one",
              path);
}

/// Where the last whole line ends. A file with no whole line is ours only when it may be the beginning of our first.
result<off_t> whole_lines(int file, const std::string& path) {
  constexpr std::string_view first_bytes = R"({"delivery_id":)";
  struct stat about {};
  if (fstat(file, &about) != 0) return system_error(path, "cannot be examined");
  auto whole = line_begin(file, about.st_size, path);
  if (!whole || *whole > 0) return whole;
  const auto torn = read_piece(file, 0, std::min<off_t>(about.st_size, first_bytes.size()), path);
  if (!torn) return tl::unexpected(torn.error());
  if (!first_bytes.starts_with(*torn)) return foreign(path, 0);
  return whole;
}

/// The line that begins at `begin` and ends before `end`.
result<wire::line_name> read_name(int file, off_t begin, off_t end, const std::string& path) {
  constexpr off_t names = 4096; // longer than all that stands before the key can be
  auto head = read_piece(file, begin, std::min(end - begin, names), path);
  if (!head) return tl::unexpected(std::move(head.error()));
  auto named = wire::name_of_line(std::string_view(*head).substr(0, head->find('\n')));
  if (!named) return foreign(path, begin);
  return std::move(*named);
}

/// Where the line ends that begins at `begin`; `whole` is where the last one does.
result<off_t> line_end(int file, off_t begin, off_t whole, const std::string& path) {
  for (auto from = begin; from < whole; from += at_once) {
    const auto piece = read_piece(file, from, std::min(at_once, whole - from), path);
    if (!piece) return tl::unexpected(piece.error());
    if (const auto at = piece->find('\n'); at != std::string::npos) return from + static_cast<off_t>(at) + 1;
  }
  return whole;
}

/// Where the first line begins whose sequence is not below `seq`: of our lines, each has a higher one than that before.
result<off_t> lower_bound(int file, off_t whole, sequence seq, const std::string& path) {
  off_t low = 0;
  for (auto high = whole; low < high;) {
    const auto begin = line_begin(file, low + (high - low) / 2, path);
    if (!begin) return begin;
    const auto line = read_name(file, *begin, whole, path);
    if (!line) return tl::unexpected(line.error());
    if (line->seq >= seq) {
      high = *begin;
      continue;
    }
    const auto end = line_end(file, *begin, whole, path);
    if (!end) return end;
    low = *end;
  }
  return low;
}

/// A file that is further than this journal can have brought it, or whose lines are other messages', belongs to another
/// journal. Taking its lines for ours would lose messages.
result<bool> is_ours(file_sink_state& state, const sink_setup& setup, const std::vector<core::send_item>& items,
                     const std::string& path) {
  if (state.last > setup.assigned && !state.checked) return false;
  for (const auto& item : items) {
    if (item.seq > state.last) break;
    if (auto same = state.has(item.seq, item.message->id(), path); !same || !*same) return same;
  }
  return true;
}

/// It has gone back. One that is empty was moved away, as logs are.
bool lacks_lines(const file_sink_state& state, const core::send_item& next) {
  return state.last != sequence{} && next.previous && state.last < *next.previous;
}

} // namespace

file_sink_state::~file_sink_state() {
  if (file >= 0) close(file);
}

result<void> file_sink_state::open(const std::string& path) {
  if (file >= 0 && is_as_we_left_it(file, path, whole)) return {};
  if (file >= 0) close(std::exchange(file, -1));
  const auto fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return system_error(path, "cannot be opened");
  const auto give_up = [&](tl::unexpected<error> why) -> result<void> {
    close(fd);
    return why;
  };
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return give_up(system_error(path, "is locked by another process"));
  auto found = whole_lines(fd, path);
  if (!found) return give_up(tl::unexpected(found.error()));
  if (doubtful_from) found = line_begin(fd, std::min(*found, *doubtful_from), path); // it may have changed since
  if (!found) return give_up(tl::unexpected(found.error()));
  wire::line_name newest;
  if (*found > 0) {
    const auto begin = line_begin(fd, *found - 1, path);
    if (!begin) return give_up(tl::unexpected(begin.error()));
    auto read = read_name(fd, *begin, *found, path);
    if (!read) return give_up(tl::unexpected(read.error()));
    newest = std::move(*read);
  }
  if (ftruncate(fd, *found) != 0) return give_up(system_error(path, "its torn last line cannot be cut off"));
  if (fsync(fd) != 0 || !sync_folder(path)) return give_up(system_error(path, "cannot be made durable"));
  if (*found == 0 && last != sequence{})
    spdlog::info("{}: it was moved away or emptied, and begins anew after sequence {}", path, last.value());
  file = fd;
  whole = *found;
  doubtful_from.reset();
  last = newest.seq;
  last_id = std::move(newest.message_id);
  next = whole;
  return {};
}

result<bool> file_sink_state::has(sequence seq, const std::string& message_id, const std::string& path) {
  const auto line_at = [&](off_t begin) -> result<wire::line_name> {
    return begin < whole ? read_name(file, begin, whole, path) : wire::line_name{};
  };
  auto line = line_at(next);
  if (line && line->seq != seq) {
    const auto found = lower_bound(file, whole, seq, path);
    if (!found) return tl::unexpected(found.error());
    next = *found;
    line = line_at(next);
  }
  if (!line) return tl::unexpected(line.error());
  if (line->seq != seq || line->message_id != message_id) return false;
  const auto end = line_end(file, next, whole, path);
  if (!end) return tl::unexpected(end.error());
  next = *end;
  return true;
}

result<void> file_sink_state::append(const std::string& lines) {
  doubtful_from = whole; // after a failed sync the system may forget what it still shows
  for (std::size_t done = 0; done < lines.size();) {
    const auto n = write(file, lines.data() + done, lines.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_error("file destination", "cannot be written");
    done += static_cast<std::size_t>(n);
  }
  if (fdatasync(file) != 0) return system_error("file destination", "cannot be made durable");
  doubtful_from.reset();
  struct stat now {};
  if (fstat(file, &now) != 0) return system_error("file destination", "cannot be examined");
  whole += static_cast<off_t>(lines.size());
  if (now.st_size == whole) return {};
  return fail(errc::unavailable, "somebody else changes it: what is in it is found out anew", "file destination");
}

sink_actor::behavior_type file_sink(sink_actor::stateful_pointer<file_sink_state> self, sink_setup setup,
                                    std::string path) {
  return {
    [self, setup = std::move(setup), path](const deliver& wanted) {
      auto& state = self->state;
      const auto write_all = [&]() -> result<void> {
        if (auto opened = state.open(path); !opened) return opened;
        const auto& items = wanted.request.items;
        const auto ours = is_ours(state, setup, items, path);
        if (!ours) return tl::unexpected(ours.error());
        if (!*ours)
          return fail(errc::conflict,
                      "it ends with sequence " + std::to_string(state.last.value()) + ", message " + state.last_id +
                        ", which this journal did not deliver there; move the file away, or bring its journal back",
                      path);
        if (lacks_lines(state, items.front()))
          return fail(errc::conflict,
                      "it ends with sequence " + std::to_string(state.last.value()) + ", and sequence " +
                        std::to_string(items.front().previous->value()) +
                        " was delivered: lines are missing; bring them back, or move the file away to go on without",
                      path);
        state.checked = true;
        std::string lines;
        for (const auto& item : items)
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
    [self, path](const ask_received& question) {
      auto& state = self->state;
      if (auto opened = state.open(path); !opened) return question.done(tl::unexpected(opened.error()));
      question.done(std::optional(store::receiver_record{epoch{}, state.last, state.last_id}));
    },
  };
}

} // namespace reseq::actors
