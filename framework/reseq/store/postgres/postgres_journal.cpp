#include "reseq/store/postgres/postgres_journal.hpp"

#include <mutex>
#include <utility>
#include <vector>

#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/link.hpp"
#include "reseq/store/postgres/reader.hpp"
#include "reseq/store/postgres/schema.hpp"
#include "reseq/store/postgres/server_url.hpp"
#include "reseq/store/postgres/session_check.hpp"
#include "reseq/store/postgres/writer.hpp"

namespace reseq::store::postgres {

namespace {

/// A shard's partitions are at most about so many, and what is past retention is kept at most so much longer.
constexpr int partitions_in_retention = 4;

/// What other operations than `commit` do may be done again.
template <class T>
result<T> never_in_doubt(result<T> outcome) {
  if (!outcome && outcome.error().code == errc::in_doubt) outcome.error().code = errc::unavailable;
  return outcome;
}

class postgres_journal final : public journal {
public:
  postgres_journal(std::unique_ptr<server_url> url, std::unique_ptr<database> writing,
                   std::unique_ptr<database> reading, id_keys::secret secret, const postgres_options& options)
    : url_(std::move(url)), keys_(secret), identity_(identity_of(secret)),
      writer_(*url_, std::move(writing), keys_,
              {{options.node,
                options.indexes,
                {options.partition_messages, options.retention / partitions_in_retention},
                options.takeover_patience},
               options.doubt_patience,
               options.tell}),
      reading_(*url_, std::move(reading), "reading", options.tell), reader_(reading_, keys_) {}

  [[nodiscard]] std::string identity() const override { return identity_; }

  result<shard_state> open(const shard_id& shard, const definition& what,
                           std::span<const destination_spec> destinations) override {
    const std::lock_guard writing(writing_);
    auto opened = never_in_doubt(writer_.open(shard, what, destinations));
    if (!opened) return tl::unexpected(std::move(opened.error()));
    const std::lock_guard listing(listing_);
    shards_.push_back(std::move(opened->owned));
    opened->state.handle = shard_handle{static_cast<std::uint32_t>(shards_.size())};
    return std::move(opened->state);
  }

  result<std::vector<left_behind>> left_behind_elsewhere() override {
    const std::lock_guard writing(writing_);
    return never_in_doubt(writer_.left_behind_elsewhere());
  }

  result<std::vector<shard_committed>> commit(std::span<const shard_commit> batch, wall_time now) override {
    const std::lock_guard writing(writing_);
    std::vector<commit_part> parts;
    parts.reserve(batch.size());
    for (const auto& wanted : batch) {
      partitioned_shard* shard = look_up(wanted.shard);
      if (shard == nullptr) return unknown(wanted.shard);
      parts.push_back({shard, &wanted});
    }
    return writer_.commit(parts, now);
  }

  result<std::vector<core::backlog_item>> read(shard_handle shard, destination_id destination, sequence from,
                                               std::uint32_t max_messages, std::uint64_t max_bytes) override {
    const auto* found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return reader_.read(*found, destination, from, max_messages, max_bytes);
  }

  result<core::key_backlog> read_keys(shard_handle shard, destination_id destination,
                                      std::span<const core::key_cursor> keys, sequence until,
                                      std::uint32_t max_messages, std::uint64_t max_bytes) override {
    const auto* found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return reader_.read_keys(*found, destination, keys, until, max_messages, max_bytes);
  }

  result<std::optional<stored_message>> find(shard_handle shard, position at) override {
    const auto* found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return reader_.find(*found, at);
  }

  result<std::optional<position>> find_id(shard_handle shard, const std::string& message_id) override {
    const auto* found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return reader_.find_id(*found, message_id);
  }

  result<std::vector<dead_letter>> dead_letters(shard_handle shard, std::optional<core::enrolment> after,
                                                std::uint32_t limit) override {
    const auto* found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return reader_.dead_letters(*found, after, limit);
  }

  result<recorded_end> end_of(shard_handle shard, core::enrolment what) override {
    const auto* found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return reader_.end_of(*found, what);
  }

  result<epoch> current_epoch(shard_handle shard) override {
    const auto* found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return reader_.current_epoch(*found);
  }

  result<recovery_findings> findings(shard_handle shard) override {
    const std::lock_guard writing(writing_);
    const auto* found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return found->findings();
  }

  result<void> recover(shard_handle shard, const recovery& how, wall_time now) override {
    const std::lock_guard writing(writing_);
    auto* found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return never_in_doubt(writer_.recover(*found, how, now));
  }

  result<std::uint64_t> expire(shard_handle shard, wall_time before, wall_time now,
                               std::uint32_t max_messages) override {
    const std::lock_guard writing(writing_);
    auto* found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return never_in_doubt(writer_.expire(*found, before, now, max_messages));
  }

private:
  partitioned_shard* look_up(shard_handle shard) {
    const std::lock_guard listing(listing_);
    return shard.value() == 0 || shard.value() > shards_.size() ? nullptr : shards_[shard.value() - 1].get();
  }

  static tl::unexpected<error> unknown(shard_handle shard) {
    return fail(errc::internal, "no shard was opened as " + std::to_string(shard.value()), "shard");
  }

  std::unique_ptr<server_url> url_;
  id_keys keys_;
  const std::string identity_;
  std::mutex writing_; ///< the writer, and the writer's half of each shard
  std::mutex listing_; ///< `shards_`; what it holds is never removed
  std::vector<std::unique_ptr<partitioned_shard>> shards_;
  writer writer_;
  link reading_;
  reader reader_;
};

result<id_keys::secret> read_secret(database& db) {
  return db.transact([&](pqxx::work& tx) -> result<id_keys::secret> {
    const auto rows = db.run(tx, "SELECT ('x' || translate(left(id_hash_key::text, 18), '-', ''))::bit(64)::bigint, "
                                 "('x' || translate(right(id_hash_key::text, 17), '-', ''))::bit(64)::bigint "
                                 "FROM reseq.secret");
    if (rows.size() != 1) return fail(errc::corrupt, "the key of the id index is missing", "reseq.secret");
    return id_keys::secret{static_cast<std::uint64_t>(rows[0][0].as<std::int64_t>()),
                           static_cast<std::uint64_t>(rows[0][1].as<std::int64_t>())};
  });
}

} // namespace

result<std::unique_ptr<journal>> open_postgres(const postgres_options& options) {
  auto url = std::make_unique<server_url>(options.url);
  auto writing = database::connect(*url);
  if (!writing) return tl::unexpected(std::move(writing.error()));
  auto reading = database::connect(*url);
  if (!reading) return tl::unexpected(std::move(reading.error()));
  if (auto sessions = refuse_transaction_pooler(**writing, **reading); !sessions)
    return tl::unexpected(std::move(sessions.error()));
  if (auto ready = prepare_schema(**writing); !ready) return tl::unexpected(std::move(ready.error()));
  const auto secret = read_secret(**writing);
  if (!secret) return tl::unexpected(secret.error());
  return std::make_unique<postgres_journal>(std::move(url), std::move(*writing), std::move(*reading), *secret, options);
}

} // namespace reseq::store::postgres
