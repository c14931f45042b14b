/// A journal on PostgreSQL whose connections can be cut at the worst moment.
#pragma once

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cutting_proxy.hpp"
#include "journal_fixture.hpp"
#include "postgres_server.hpp"
#include "reseq/store/postgres/postgres_journal.hpp"
#include "reseq/store/postgres/pqxx_versions.hpp"

namespace reseq::test {

using namespace std::chrono_literals;
using cut = cutting_proxy::cut;

/// A database with a proxy before it.
class place {
public:
  place() : place(postgres_server::shared()) {}
  explicit place(postgres_server& server) : proxy(server.socket_directory()) {
    direct_ = server.create_database();
    const auto begin = direct_.find("///") + 3;
    options.url = proxy.url(direct_.substr(begin, direct_.find('?') - begin));
    options.node = "test";
    options.takeover_patience = 200ms;
    options.tell = [this](const std::string& said) { news += said + "\n"; };
  }

  result<std::unique_ptr<store::journal>> open() { return store::postgres::open_postgres(options); }

  pqxx::result sql(const std::string& statement) {
    pqxx::connection db(direct_);
    pqxx::work tx(db);
    auto rows = tx.exec(statement);
    tx.commit();
    return rows;
  }

  /// From now on a commit that adds rows to `table` waits for the advisory lock 1, which a connection that this gives
  /// holds.
  std::unique_ptr<pqxx::connection> hold_commits(const std::string& table = "reseq.message") {
    sql("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END$$;"
        "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON " +
        table + " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()");
    auto holder = std::make_unique<pqxx::connection>(direct_);
    pqxx::nontransaction tx(*holder);
    tx.exec("SELECT pg_advisory_lock(1)");
    return holder;
  }

  /// As an ANALYZE does, until the second of these ends.
  std::pair<std::unique_ptr<pqxx::connection>, std::unique_ptr<pqxx::work>> lock_messages() {
    auto holder = std::make_unique<pqxx::connection>(direct_);
    auto tx = std::make_unique<pqxx::work>(*holder);
    tx->exec("LOCK TABLE reseq.message IN SHARE UPDATE EXCLUSIVE MODE");
    return {std::move(holder), std::move(tx)};
  }

  /// From now on, commits wait for the synchronous standby of this name, or for none.
  void wait_for_standby(postgres_server& server, const std::string& name) {
    pqxx::connection db(server.url());
    pqxx::nontransaction tx(db);
    tx.exec("ALTER SYSTEM SET synchronous_standby_names = '" + name + "'");
    tx.exec("SELECT pg_reload_conf()");
    if (name.empty()) return;
    std::atomic<bool> waits{false};
    const auto committing = std::async(std::launch::async, [&] {
      pqxx::connection other(direct_);
      pqxx::nontransaction(other).exec("SET client_min_messages = error");
      while (!waits) pqxx::nontransaction(other).exec("SELECT pg_current_xact_id()"); // until the server has noticed
    });
    const std::string waiting = " FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while (!waits) waits = !tx.exec("SELECT" + waiting).empty();
    while (committing.wait_for(1ms) != std::future_status::ready) tx.exec("SELECT pg_cancel_backend(pid)" + waiting);
  }

  void wait_until_held() {
    while (sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")[0][0].as<int>() == 0)
      std::this_thread::yield();
  }

  cutting_proxy proxy;
  store::postgres::postgres_options options;
  std::string news; ///< of the journal's thread

private:
  std::string direct_;
};

inline std::vector<std::string> ids(const std::vector<core::accepted_message>& messages) {
  std::vector<std::string> out;
  for (const auto& one : messages) out.push_back(one.message->id());
  return out;
}

inline errc code_of(const result<store::shard_committed>& outcome) {
  return outcome ? errc::internal : outcome.error().code;
}

} // namespace reseq::test
