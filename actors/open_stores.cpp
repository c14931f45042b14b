#include "actors/open_stores.hpp"

#include <filesystem>
#include <random>

#include <spdlog/spdlog.h>

#include "reseq/store/postgres/postgres_journal.hpp"
#include "reseq/store/postgres/server_url.hpp"
#include "reseq/store/redis/redis_resequencer.hpp"
#include "reseq/store/sqlite/data_files.hpp"
#include "reseq/store/sqlite/sqlite_journal.hpp"

namespace reseq::actors {

namespace {

/// What an operator took for another one: a directory that was named wrongly, or from which everything was removed.
void tell_of_new_journal(const std::string& where) {
  spdlog::info("made a new journal in {}: epochs, positions and sequences begin anew, and so do Idempotency-Keys",
               where);
}

} // namespace

std::string whereabouts(const config::settings& settings) {
  if (settings.store.kind == "postgres") {
    const auto& url = settings.store.postgres; // as a whole it would be taken for a secret
    const auto scheme = url.find("://");
    return "PostgreSQL at " +
           store::postgres::server_url(url).without_secrets(scheme == std::string::npos ? "" : url.substr(scheme + 3));
  }
  return std::filesystem::absolute(settings.node.data_dir).lexically_normal().string();
}

result<std::unique_ptr<store::journal>> open_journal(const config::settings& settings) {
  if (settings.store.kind != "postgres") {
    store::sqlite::sqlite_options options;
    options.accept_loss = settings.store.accept_loss;
    options.tell = [](const std::string& news) { spdlog::warn("{}", news); };
    if (options.accept_loss)
      spdlog::warn("store.accept_loss is set: what the data directory may have lost is given up; do not leave it set");
    std::error_code unknown;
    const bool is_new =
      !std::filesystem::exists(store::sqlite::journal_file(settings.node.data_dir), unknown) && !unknown;
    auto opened = store::sqlite::open_sqlite(settings.node.data_dir, options);
    if (opened && is_new) tell_of_new_journal(whereabouts(settings));
    return opened;
  }
  store::postgres::postgres_options options;
  options.url = settings.store.postgres;
  options.node = settings.node.name;
  options.retention = settings.store.retention;
  options.tell = [](const std::string& news) { spdlog::warn("{}", news); };
  return store::postgres::open_postgres(options);
}

result<std::unique_ptr<store::resequencer>> make_resequencer(const config::settings& settings, const shard_id& shard,
                                                             std::string origin) {
  const auto& kept = settings.store;
  if (kept.kind != "postgres" || kept.redis.empty()) return nullptr;
  auto where = store::redis::parse_server_url(kept.redis);
  if (!where) return fail(where.error().code, where.error().what, "store.redis");
  store::redis::client_options options;
  options.timeout = kept.redis_timeout;
  options.seed = std::random_device{}();
  auto client = std::make_shared<store::redis::client>(std::move(*where), options);
  return std::make_unique<store::redis::redis_resequencer>(std::move(client), shard, std::move(origin));
}

} // namespace reseq::actors
