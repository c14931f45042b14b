#include "actors/open_journal.hpp"

#include <spdlog/spdlog.h>

#include "reseq/store/postgres/postgres_journal.hpp"
#include "reseq/store/sqlite/sqlite_journal.hpp"

namespace reseq::actors {

result<std::unique_ptr<store::journal>> open_journal(const config::settings& settings) {
  if (settings.store.kind != "postgres") return store::sqlite::open_sqlite(settings.node.data_dir);
  store::postgres::postgres_options options;
  options.url = settings.store.postgres;
  options.node = settings.node.name;
  options.retention = settings.store.retention;
  options.tell = [](const std::string& news) { spdlog::warn("{}", news); };
  return store::postgres::open_postgres(options);
}

} // namespace reseq::actors
