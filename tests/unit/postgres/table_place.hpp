/// A table as a receiver, in a database of its own.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"
#include "cutting_proxy.hpp"
#include "journal_fixture.hpp"
#include "postgres_server.hpp"
#include "receiver_contract.hpp"
#include "reseq/store/postgres/function_receiver.hpp"
#include "reseq/store/postgres/pqxx_versions.hpp"
#include "reseq/store/postgres/table_receiver.hpp"

namespace reseq::test {

/// A database of its own with the table `ledger`, behind a proxy.
class table_place final : public receiver_place {
public:
  table_place() : proxy(postgres_server::shared().socket_directory()) {
    direct_ = postgres_server::shared().create_database();
    const auto begin = direct_.find("///") + 3;
    url_ = proxy.url(direct_.substr(begin, direct_.find('?') - begin));
  }

  std::unique_ptr<store::transactional_receiver> access(const store::receiver_owner& owner) override {
    if (function)
      return std::make_unique<store::postgres::function_receiver>(store::postgres::server_url(url_), owner, timeout,
                                                                  function, store::postgres::listener{}, grace);
    const auto to =
      store::postgres::parse_table_url(url_ + (url_.find('?') == std::string::npos ? "?" : "&") + "table=" + table);
    REQUIRE(to.has_value());
    const auto tell = [this](const std::string& news) { told.push_back(news); };
    return std::make_unique<store::postgres::table_receiver>(*to, owner, timeout, tell, grace);
  }

  std::vector<seen_message> seen() override {
    std::vector<seen_message> out;
    for (const auto& row :
         sql("SELECT sequence, position, message_id, coalesce(key, ''), "
             "replace(headers::text, ' ', ''), encode(payload, 'hex') FROM public.ledger ORDER BY ctid"))
      out.push_back({row[0].as<std::uint64_t>(), row[1].as<std::uint64_t>(), row[2].c_str(), row[3].c_str(),
                     row[4].c_str(), from_hex(row[5].c_str())});
    return out;
  }

  void lose_all() override { sql("TRUNCATE public.ledger; TRUNCATE reseq.delivered"); }
  void forget_journal() override { sql("ALTER TABLE reseq.delivered DROP journal, DROP written"); }
  void forget_record() override { sql("DELETE FROM reseq.delivered"); }
  void run(const std::string& claim) override { sql(claim); }

  /// Of the database, not through the proxy.
  [[nodiscard]] const std::string& direct_url() const { return direct_; }

  pqxx::result sql(const std::string& statement) const {
    pqxx::connection db(direct_);
    pqxx::work tx(db);
    auto rows = tx.exec(statement);
    tx.commit();
    return rows;
  }

  /// From now on everybody here is a role that may only write; answers its name.
  std::string become_writer() const {
    auto role = "writer_" + std::string(sql("SELECT pg_backend_pid()")[0][0].c_str());
    sql("CREATE ROLE " + role + " LOGIN; GRANT USAGE ON SCHEMA reseq TO " + role +
        "; GRANT SELECT, INSERT, UPDATE ON reseq.delivered TO " + role + "; GRANT INSERT ON public.ledger TO " + role);
    sql("ALTER DATABASE " + std::string(sql("SELECT current_database()")[0][0].c_str()) + " SET role = " + role);
    return role;
  }

  std::string table = "ledger";
  duration timeout = std::chrono::seconds{20}; ///< of the receivers' statements …
  duration grace = std::chrono::seconds{5};    ///< … and for the server to say so
  std::vector<std::string> told;               ///< by the receivers
  cutting_proxy proxy;
  delivery_function function; ///< empty: the table itself takes the messages

private:
  static std::string from_hex(const std::string& digits) {
    std::string out;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
      out += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    return out;
  }

  std::string direct_;
  std::string url_;
};

} // namespace reseq::test
