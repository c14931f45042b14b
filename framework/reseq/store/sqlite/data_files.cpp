#include "reseq/store/sqlite/data_files.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

#include <unistd.h>

#include "reseq/store/sqlite/schema.hpp"

namespace reseq::store::sqlite {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view put_back = "; put back all files of the directory from one and the same copy";

/// Offsets in a database's header; numbers are big-endian.
constexpr std::size_t header_bytes = 100;
constexpr std::size_t page_size_offset = 16;
constexpr std::size_t change_counter_offset = 24;
constexpr std::size_t page_count_offset = 28;
constexpr std::size_t user_version_offset = 60;
constexpr std::size_t application_id_offset = 68;
constexpr std::size_t valid_for_offset = 92;

/// Of a write-ahead log: a header, then frames of a header and a page each.
constexpr std::size_t log_header_bytes = 32;
constexpr std::size_t frame_header_size = 24;
constexpr std::size_t log_salt_offset = 16;
constexpr std::size_t frame_salt_offset = 8;
constexpr std::size_t salt_bytes = 8;

/// SQLite never uses the page at this offset.
constexpr std::uint64_t lock_byte_offset = 0x40000000;

fs::path beside(const fs::path& file, const char* ending) { return file.string() + ending; }

std::uint64_t size_of(const fs::path& file) {
  std::error_code failed;
  const auto size = fs::file_size(file, failed);
  return failed ? 0 : size;
}

std::uint32_t big_endian(std::string_view bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = (value << 8U) | static_cast<unsigned char>(bytes[offset + i]);
  return value;
}

std::uint64_t page_size(std::string_view header) {
  const std::uint64_t stored = big_endian(header, page_size_offset) >> 16U;
  return stored == 1 ? 65536 : stored;
}

/// Up to `bytes` of a file.
std::string head_of(const fs::path& file, std::size_t bytes) {
  std::string head(bytes, '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(head.data(), static_cast<std::streamsize>(bytes));
  head.resize(static_cast<std::size_t>(in.gcount()));
  return head;
}

/// The pages that the log has, as far as its frames belong to its header.
std::set<std::uint64_t> logged_pages(const fs::path& log, std::uint64_t page_bytes) {
  std::set<std::uint64_t> pages;
  std::ifstream in(log, std::ios::binary);
  std::array<char, log_header_bytes> header{};
  if (!in.read(header.data(), header.size())) return pages;
  const std::string_view salt(header.data() + log_salt_offset, salt_bytes);
  std::array<char, frame_header_size> frame{};
  while (in.read(frame.data(), frame.size())) {
    const std::string_view read(frame.data(), frame.size());
    if (read.substr(frame_salt_offset, salt_bytes) != salt) break;
    pages.insert(big_endian(read, 0));
    in.seekg(static_cast<std::streamoff>(page_bytes), std::ios::cur);
  }
  return pages;
}

/// A process that dies while it copies the log leaves a file shorter than its header says: then the log has the rest.
result<void> check_length(const fs::path& file, std::string_view header) {
  if (big_endian(header, change_counter_offset) != big_endian(header, valid_for_offset)) return {};
  if (size_of(beside(file, "-journal")) > 0) return {}; // SQLite undoes what it was about
  const std::uint64_t page_bytes = page_size(header);
  const std::uint64_t wanted = big_endian(header, page_count_offset);
  if (page_bytes < 512 || size_of(file) >= wanted * page_bytes) return {};
  const auto logged = logged_pages(beside(file, "-wal"), page_bytes);
  for (std::uint64_t page = size_of(file) / page_bytes + 1; page <= wanted; ++page)
    if (!logged.contains(page) && page != lock_byte_offset / page_bytes + 1)
      return fail(errc::corrupt,
                  "it is cut: " + std::to_string(size_of(file)) + " bytes of " + std::to_string(wanted * page_bytes) +
                    std::string(put_back),
                  file.string());
  return {};
}

result<void> check_kind(const fs::path& file) {
  std::error_code failed;
  const auto kind = fs::symlink_status(file, failed).type();
  if (kind == fs::file_type::not_found || kind == fs::file_type::regular) return {};
  if (kind == fs::file_type::symlink)
    return fail(errc::incompatible,
                "is a symbolic link, and two directories could share it: let node.data_dir be the link", file.string());
  return fail(errc::incompatible, "is no file; move it away, or name another node.data_dir", file.string());
}

result<void> check_one_access(const fs::path& path, int mode) {
  if (::access(path.c_str(), mode) == 0 || errno == ENOENT) return {};
  return fail(errc::unavailable,
              "cannot be read and written: " + std::generic_category().message(errno) +
                "; all of node.data_dir must be this user's",
              path.string());
}

} // namespace

fs::path journal_file(const fs::path& data_dir) { return data_dir / "journal.sqlite"; }

result<void> check_access(const fs::path& data_dir) {
  if (auto usable = check_one_access(data_dir, R_OK | W_OK | X_OK); !usable) return usable;
  for (const char* ending : {"", "-wal", "-shm", "-journal"}) {
    const auto file = beside(journal_file(data_dir), ending);
    if (auto right = check_kind(file); !right) return right;
    if (auto usable = check_one_access(file, R_OK | W_OK); !usable) return usable;
  }
  return {};
}

result<void> check_files(const fs::path& data_dir, bool confirmed, bool accept_loss) {
  const auto file = journal_file(data_dir);
  if (size_of(file) == 0) {
    if (accept_loss || (size_of(beside(file, "-wal")) == 0 && !confirmed)) return {};
    return fail(
      errc::corrupt,
      "it is missing or empty, and held messages that were confirmed" + std::string(put_back) +
        ". If there is none, start once with --set store.accept_loss=true: it begins anew, and gives none of "
        "the positions and sequences that are noted in high-water; what a table or a stream has of the lost one "
        "takes `reseqctl recover` with --take-over then",
      file.string());
  }
  const std::string header = head_of(file, header_bytes);
  if (header.size() < header_bytes || !header.starts_with("SQLite format 3"))
    return fail(errc::corrupt,
                "this is not an SQLite database" + std::string(put_back) +
                  "; if it is not reseq's, name another node.data_dir",
                file.string());
  auto ours = check_numbers(big_endian(header, application_id_offset), big_endian(header, user_version_offset), file);
  return ours ? check_length(file, header) : ours;
}

} // namespace reseq::store::sqlite
