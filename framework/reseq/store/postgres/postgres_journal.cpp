#include "reseq/store/postgres/postgres_journal.hpp"

#include <mutex>
#include <utility>
#include <vector>

#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/epoch_check.hpp"
#include "reseq/store/postgres/link.hpp"
#include "reseq/store/postgres/reader.hpp"
#include "reseq/store/postgres/schema.hpp"
#include "reseq/store/postgres/server_url.hpp"
#include "reseq/store/postgres/session_check.hpp"
#include "reseq/store/postgres/writer.hpp"
#include "reseq/store/shard_journal.hpp"

namespace reseq::store::postgres {

namespace {

/// A partition lasts for so much of the retention where many messages come, so that about so many have what is kept;
/// and what is past retention is kept at most so much longer, to go with its partition.
constexpr int partitions_in_retention = 4;

/// What other operations than `commit` do may be done again.
template <class T>
result<T> never_in_doubt(result<T> outcome) {
  if (!outcome && outcome.error().code == errc::in_doubt) outcome.error().code = errc::unavailable;
  return outcome;
}

class postgres_journal final : public shard_journal<partitioned_shard, reader> {
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
               options.reconnect_patience,
               options.tell}),
      reading_(*url_, std::move(reading), "reading", options.tell), owners_(*url_, options.longest_silence),
      reader_(reading_, owners_, keys_) {}

  [[nodiscard]] std::string identity() const override { return identity_; }

  result<shard_state> open(const shard_id& shard, const definition& what,
                           std::span<const destination_spec> destinations) override {
    const std::lock_guard writing(writing_);
    auto opened = never_in_doubt(writer_.open(shard, what, destinations));
    if (!opened) return tl::unexpected(std::move(opened.error()));
    return keep(std::move(opened->owned), std::move(opened->state));
  }

  result<std::vector<left_behind>> left_behind_elsewhere() override {
    const std::lock_guard writing(writing_);
    return never_in_doubt(writer_.left_behind_elsewhere());
  }

  std::vector<gone_back> take_gone_back() override {
    const std::lock_guard writing(writing_);
    std::vector<gone_back> found;
    for (const auto* shard : writer_.take_gone_back()) found.push_back({handle_of(*shard), shard->gone_back});
    return found;
  }

private:
  reader& reading() override { return reader_; }

  result<recovery_findings> look_at(partitioned_shard& shard) override {
    return never_in_doubt(writer_.findings(shard));
  }

  result<std::vector<shard_committed>> write(std::span<const commit_part> parts, wall_time now) override {
    return writer_.commit(parts, now);
  }

  result<void> write_recovery(partitioned_shard& shard, const recovery& how, wall_time now) override {
    return never_in_doubt(writer_.recover(shard, how, now));
  }

  result<std::uint64_t> write_expiry(partitioned_shard& shard, wall_time before, wall_time now,
                                     std::uint32_t max_messages) override {
    return never_in_doubt(writer_.expire(shard, before, now, max_messages));
  }

  std::unique_ptr<server_url> url_;
  id_keys keys_;
  const std::string identity_;
  writer writer_;
  link reading_;
  epoch_check owners_;
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
  auto writing = database::connect(*url, session_for::journal, options.longest_silence);
  if (!writing) return tl::unexpected(std::move(writing.error()));
  auto reading = database::connect(*url, session_for::journal, options.longest_silence);
  if (!reading) return tl::unexpected(std::move(reading.error()));
  if (auto sessions = refuse_transaction_pooler(**writing, **reading); !sessions)
    return tl::unexpected(std::move(sessions.error()));
  (*writing)->allow_silence({}); // another process may be at it, and each step takes what it takes
  if (auto ready = prepare_schema(**writing); !ready) return tl::unexpected(std::move(ready.error()));
  (*writing)->allow_silence(options.longest_silence);
  const auto secret = read_secret(**writing);
  if (!secret) return tl::unexpected(secret.error());
  return std::make_unique<postgres_journal>(std::move(url), std::move(*writing), std::move(*reading), *secret, options);
}

} // namespace reseq::store::postgres
