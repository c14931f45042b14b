#include "reseq/store/sqlite/sqlite_journal.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "reseq/store/codec.hpp"
#include "reseq/store/shard_journal.hpp"
#include "reseq/store/sqlite/committer.hpp"
#include "reseq/store/sqlite/connection.hpp"
#include "reseq/store/sqlite/data_files.hpp"
#include "reseq/store/sqlite/file_lock.hpp"
#include "reseq/store/sqlite/high_water.hpp"
#include "reseq/store/sqlite/reader.hpp"
#include "reseq/store/sqlite/recovery.hpp"
#include "reseq/store/sqlite/retention.hpp"
#include "reseq/store/sqlite/schema.hpp"
#include "reseq/store/sqlite/shard_opener.hpp"

namespace reseq::store::sqlite {

namespace {

/// The background's own page cache: a checkpoint does not need one.
constexpr std::uint64_t background_cache_bytes = 256U << 10U;
constexpr std::chrono::minutes told_at_most_every{1};

struct connections {
  std::unique_ptr<connection> writer;
  std::unique_ptr<connection> reader;
  std::unique_ptr<connection> background;
};

class sqlite_journal final : public shard_journal<owned_shard, reader> {
public:
  sqlite_journal(file_lock lock, std::unique_ptr<high_water> reached, connections to, id_keys::secret secret,
                 const sqlite_options& options)
    : lock_(std::move(lock)), reached_(std::move(reached)), keys_(secret), identity_(identity_of(secret)),
      indexes_(options.indexes), accept_loss_(options.accept_loss), tell_(options.tell), writer_(std::move(to.writer)),
      reader_db_(std::move(to.reader)), reader_(*reader_db_, keys_),
      checkpointer_(std::move(to.background), *writer_, options.wal) {}

  [[nodiscard]] std::string identity() const override { return identity_; }

  result<shard_state> open(const shard_id& shard, const definition& what,
                           std::span<const destination_spec> destinations) override {
    const std::lock_guard writing(writing_);
    auto opened = open_shard(*writer_, keys_, indexes_, shard, what, destinations, reached_->of(shard));
    if (!opened && opened.error().code == errc::diverged && accept_loss_)
      opened = open_without_the_lost(shard, what, destinations, opened.error().what);
    if (!opened) return tl::unexpected(std::move(opened.error()));
    if (shards().empty())
      if (auto safe = checkpointer_.begin_log_anew(); !safe) return tl::unexpected(std::move(safe.error()));
    writer_->checkpoint_on_close(true);
    if (opened->state.last != position{} && reached_->of(shard).last == position{})
      tell_("high-water says nothing of pipeline " + shard.pipeline +
            ", it is missing or was damaged: this start cannot notice if the newest messages are missing");
    note(*opened->owned);
    return keep(std::move(opened->owned), std::move(opened->state));
  }

  result<std::vector<left_behind>> left_behind_elsewhere() override {
    const std::lock_guard writing(writing_);
    std::vector<shard_id> ours;
    for (const auto& shard : shards()) ours.push_back(shard->name);
    return find_left_behind(*writer_, keys_, indexes_, ours);
  }

private:
  reader& reading() override { return reader_; }

  result<std::vector<shard_committed>> write(std::span<const commit_part> parts, wall_time now) override {
    if (auto room = checkpointer_.before_write(); !room) return tl::unexpected(std::move(room.error()));
    auto done = commit_parts(*writer_, keys_, parts, now);
    for (std::size_t i = 0; done && i < parts.size(); ++i)
      if (!(*done)[i].accepted.empty()) note(*parts[i].shard);
    return done;
  }

  result<void> write_recovery(owned_shard& shard, const recovery& how, wall_time now) override {
    if (auto room = checkpointer_.before_write(); !room) return tl::unexpected(std::move(room.error()));
    return sqlite::recover(*writer_, shard, how, now);
  }

  result<std::uint64_t> write_expiry(owned_shard& shard, wall_time before, wall_time now,
                                     std::uint32_t max_messages) override {
    if (auto room = checkpointer_.before_write(); !room) return tl::unexpected(std::move(room.error()));
    return sqlite::expire(*writer_, keys_, shard, before, now, max_messages);
  }

  /// The note says how far the lost history had come: nothing of that is given again.
  result<opened_shard> open_without_the_lost(const shard_id& shard, const definition& what,
                                             std::span<const destination_spec> destinations, const std::string& why) {
    const auto noted = reached_->of(shard);
    auto opened = open_shard(*writer_, keys_, indexes_, shard, what, destinations, high_water::mark{});
    if (!opened) return opened;
    auto found = opened->owned->findings();
    found.owner_seen = noted.owner;
    found.seen = noted.last;
    const auto how = plan_recovery(found, why);
    if (!how) return open_shard(*writer_, keys_, indexes_, shard, what, destinations, noted); // behind by owners alone
    const auto now = std::chrono::floor<wall_time::duration>(std::chrono::system_clock::now());
    if (auto done = sqlite::recover(*writer_, *opened->owned, *how, now); !done)
      return tl::unexpected(std::move(done.error()));
    if (found.seen > found.assigned)
      tell_("pipeline " + shard.pipeline + ": what had the positions " + std::to_string(found.assigned.value() + 1) +
            " to " + std::to_string(found.seen.value()) + " is lost, and recorded so; none of them is given again");
    return open_shard(*writer_, keys_, indexes_, shard, what, destinations, noted);
  }

  void note(const owned_shard& shard) {
    const auto noted = reached_->note(shard.name, {shard.owner, shard.heads.last});
    if (noted) return;
    const auto now = std::chrono::steady_clock::now();
    if (told_ && now - *told_ < told_at_most_every) return;
    told_ = now;
    tell_(noted.error().text() + "; until it can, a start will not notice if the newest messages are missing");
  }

  file_lock lock_; ///< released last
  std::unique_ptr<high_water> reached_;
  id_keys keys_;
  const std::string identity_;
  write_behind_limits indexes_;
  bool accept_loss_;
  std::function<void(const std::string&)> tell_;
  std::optional<std::chrono::steady_clock::time_point> told_; ///< that the note stays behind
  std::unique_ptr<connection> writer_;
  std::unique_ptr<connection> reader_db_;
  reader reader_;
  checkpointer checkpointer_; ///< stops first
};

result<id_keys::secret> read_secret(connection& db) {
  id_keys::secret secret{};
  auto row = db.use("SELECT id_hash_key FROM secret");
  const bool found = row.next() && row.bytes_at(0).size() == sizeof(secret);
  if (auto read = db.outcome(); !read) return tl::unexpected(std::move(read.error()));
  if (!found) return fail(errc::corrupt, "the key of the id index is missing", "secret");
  std::memcpy(secret.data(), row.bytes_at(0).data(), sizeof(secret));
  return secret;
}

result<connections> connect(const std::filesystem::path& file, const sqlite_options& options) {
  auto writer = connection::open(file, options.cache_bytes);
  if (!writer) return tl::unexpected(std::move(writer.error()));
  if (auto ready = prepare(**writer, file); !ready) return tl::unexpected(std::move(ready.error()));
  if (options.max_bytes != 0) {
    const std::uint64_t page_bytes = (*writer)->single("PRAGMA page_size").value_or(4096);
    (*writer)->execute("PRAGMA max_page_count = " + std::to_string(options.max_bytes / page_bytes));
    if (auto limited = (*writer)->outcome(); !limited) return tl::unexpected(std::move(limited.error()));
  }
  auto reader = connection::open(file, options.cache_bytes / 4);
  if (!reader) return tl::unexpected(std::move(reader.error()));
  auto background = connection::open(file, background_cache_bytes);
  if (!background) return tl::unexpected(std::move(background.error()));
  return connections{std::move(*writer), std::move(*reader), std::move(*background)};
}

} // namespace

result<std::unique_ptr<journal>> open_sqlite(const std::filesystem::path& data_dir, const sqlite_options& options) {
  std::error_code failed;
  std::filesystem::create_directories(data_dir, failed);
  if (failed)
    return fail(failed.value() == ENOSPC ? errc::no_space : errc::unavailable,
                "cannot be created: " + failed.message() + "; node.data_dir says where", data_dir.string());
  if (auto usable = check_access(data_dir); !usable) return tl::unexpected(std::move(usable.error()));
  auto lock = file_lock::take(data_dir / "lock");
  if (!lock) return tl::unexpected(std::move(lock.error()));

  auto reached = std::make_unique<high_water>(data_dir / "high-water");
  if (auto ours = check_files(data_dir, !reached->empty(), options.accept_loss); !ours)
    return tl::unexpected(std::move(ours.error()));
  auto connected = connect(journal_file(data_dir), options);
  if (!connected) return tl::unexpected(std::move(connected.error()));
  const auto secret = read_secret(*connected->writer);
  if (!secret) return tl::unexpected(secret.error());
  return std::make_unique<sqlite_journal>(std::move(*lock), std::move(reached), std::move(*connected), *secret,
                                          options);
}

} // namespace reseq::store::sqlite
