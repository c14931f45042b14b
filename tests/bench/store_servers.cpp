#include "store_servers.hpp"

#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "programs.hpp"
#include "reseq/store/postgres/pqxx_versions.hpp"

namespace reseq::bench {
namespace {

constexpr int used_segments = 64; // of 16 MB

std::vector<std::string> redis_arguments(const std::filesystem::path& socket) {
  return {"--port", "0", "--unixsocket", socket.string(), "--dir",         socket.parent_path().string(),
          "--save", "",  "--appendonly", "yes",           "--appendfsync", "everysec"};
}

/// A server that has run for a while writes its log over old segments. A new one fills each with zeros first, and all
/// commits wait meanwhile.
void age(pqxx::nontransaction& tx) {
  for (int i = 0; i < used_segments; ++i) tx.exec("SELECT pg_switch_wal() FROM pg_logical_emit_message(false, '', '')");
  tx.exec("CHECKPOINT");
}

} // namespace

store_servers::store_servers(const std::filesystem::path& scratch, std::uint32_t commit_delay_us)
  : redis_socket_(scratch / "redis.sock"), redis_(redis_arguments(redis_socket_)) {
  pqxx::connection db(postgres_.url());
  pqxx::nontransaction tx(db);
  tx.exec("ALTER SYSTEM SET min_wal_size = '2GB'");
  tx.exec("ALTER SYSTEM SET max_wal_size = '4GB'");
  tx.exec("ALTER SYSTEM SET commit_siblings = " + std::string(commit_delay_us == 0 ? "5" : "0"));
  tx.exec("ALTER SYSTEM SET commit_delay = " + std::to_string(commit_delay_us));
  tx.exec("SELECT pg_reload_conf()");
  age(tx);
}

std::string store_servers::new_table() {
  return "[store]\nkind = \"postgres\"\npostgres = \"" + new_database() + "\"\nredis = \"unix://" +
         redis_socket_.string() + "?db=" + std::to_string(tables_++) + "\"\n";
}

double store_servers::postgres_cpu_s() const {
  const auto id = std::to_string(postgres_.pid());
  std::ifstream children("/proc/" + id + "/task/" + id + "/children");
  double all = cpu_seconds(postgres_.pid());
  for (pid_t child = 0; children >> child;) all += cpu_seconds(child);
  return all;
}

double store_servers::redis_cpu_s() const { return cpu_seconds(redis_.pid()); }

} // namespace reseq::bench
