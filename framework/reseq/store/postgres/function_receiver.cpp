#include "reseq/store/postgres/function_receiver.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "reseq/model/permanent_error.hpp"

namespace reseq::store::postgres {

namespace {

/// The rest of `sql` behind white space, comments (they nest) and empty statements.
std::string_view without_blanks(std::string_view sql) {
  for (;;) {
    if (!sql.empty() && (std::isspace(static_cast<unsigned char>(sql.front())) != 0 || sql.front() == ';')) {
      sql.remove_prefix(1);
    } else if (sql.starts_with("--")) {
      sql.remove_prefix(std::min(sql.find_first_of("\r\n"), sql.size()));
    } else if (sql.starts_with("/*")) {
      std::size_t depth = 0;
      do {
        const bool opens = sql.starts_with("/*");
        const bool closes = sql.starts_with("*/");
        if (opens) ++depth;
        if (closes) --depth;
        sql.remove_prefix(opens || closes ? 2 : 1);
      } while (depth > 0 && !sql.empty());
    } else {
      return sql;
    }
  }
}

std::string first_word(std::string_view sql) {
  std::string word;
  for (const char c : without_blanks(sql)) {
    if (std::isalpha(static_cast<unsigned char>(c)) == 0) break;
    word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return word;
}

/// Why what goes to the server as a C string would not arrive whole; empty if it would.
std::string cut_off(std::string_view text, const std::string& what, const char* advice = "") {
  const auto at = text.find('\0');
  if (at == std::string_view::npos) return {};
  return what + " has a byte 0, after " + std::to_string(at) + (at == 1 ? " other" : " others") +
         ", which no text in PostgreSQL can have" + advice;
}

/// The same of a statement and its parameters.
std::string cut_off(std::string_view statement, const std::vector<parameter>& parameters) {
  auto why = cut_off(statement, "the statement");
  for (std::size_t i = 0; why.empty() && i < parameters.size(); ++i)
    if (const auto& text = parameters[i].text())
      why = cut_off(*text, "parameter $" + std::to_string(i + 1), " (parameter::bytes is for a bytea)");
  return why;
}

/// The function's: only its statements wait for the server.
class own_time {
public:
  explicit own_time(database& db) : db_(db) { db_.expect_nothing(); }
  ~own_time() { db_.expect_answer(); }
  own_time(const own_time&) = delete;
  own_time& operator=(const own_time&) = delete;

private:
  database& db_;
};

class open_transaction final : public transaction {
public:
  open_transaction(database& db, pqxx::work& tx) : db_(db), tx_(tx), not_waiting_(db) {}

  sql_result execute(std::string_view statement, const std::vector<parameter>& parameters) override {
    if (ends_transaction(statement))
      throw std::invalid_argument("a destination's function neither begins nor ends transactions: " +
                                  first_word(statement));
    if (failed) throw *failed;
    if (const auto why = cut_off(statement, parameters); !why.empty()) {
      failed.emplace(why, "22021"); // as the server says where it gets to see such a byte
      throw *failed;
    }
    const database::answer_expected soon(db_);
    try {
      return read(run_once(tx_, std::string(statement), parameters));
    } catch (const pqxx::broken_connection&) {
      throw;
    } catch (const pqxx::failure& e) {
      const auto said = read_message(e);
      misplaced = lacks_partition(said);
      failed.emplace(said.text, said.state);
      throw *failed;
    }
  }

  std::optional<sql_error> failed; ///< the transaction is good for nothing since
  bool misplaced = false;          ///< and that is for want of a partition

private:
  static sql_result read(const pqxx::result& from) {
    sql_result out;
    out.affected = static_cast<std::uint64_t>(from.affected_rows());
    out.rows.reserve(static_cast<std::size_t>(from.size()));
    for (const auto& row : from) {
      auto& into = out.rows.emplace_back();
      for (const auto& value : row)
        into.push_back(value.is_null() ? std::nullopt : std::optional<std::string>(view_of(value)));
    }
    return out;
  }

  database& db_;
  pqxx::work& tx_;
  own_time not_waiting_;
};

core::receiver_answer answer_of(const sql_error& e, bool misplaced) {
  const std::string said = std::string(e.what()) + " (" + e.state() + ")";
  if (refuses_data(e.state()) && !misplaced) return core::refused{said};
  return core::failing{said, std::nullopt};
}

} // namespace

bool ends_transaction(std::string_view statement) {
  constexpr std::array commands{"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"};
  const auto word = first_word(statement);
  if (word == "prepare") { // a statement may be prepared, a transaction not
    auto rest = without_blanks(statement);
    rest.remove_prefix(word.size());
    return first_word(rest) == "transaction";
  }
  return std::ranges::find(commands, word) != commands.end();
}

function_receiver::function_receiver(server_url server, receiver_owner owner, duration timeout, delivery_function f,
                                     listener tell, duration grace)
  : fenced_receiver(std::move(server), std::move(owner), timeout, std::move(tell), grace), f_(std::move(f)) {}

result<void> function_receiver::prepare(database&, pqxx::work&) { return {}; }

std::optional<core::receiver_answer> function_receiver::take(database& db, pqxx::work& tx,
                                                             std::span<const received> items) {
  open_transaction open(db, tx);
  for (const auto& [item, headers] : items) {
    try {
      f_(open, {owner().pipeline + "/" + owner().destination + "/" + std::to_string(item.seq.value()), item.seq,
                item.previous.value_or(sequence{}), item.at, item.message->id(), item.message->key(), item.attempt,
                item.body, headers});
    } catch (const pqxx::broken_connection&) {
      throw; // in doubt, or away
    } catch (const permanent_error& e) {
      return core::refused{e.what()};
    } catch (const sql_error& e) {
      return answer_of(e, open.misplaced);
    } catch (const std::exception& e) {
      return core::failing{e.what(), std::nullopt};
    } catch (...) {
      return core::failing{"the destination's function threw what is no std::exception", std::nullopt};
    }
    if (open.failed) return answer_of(*open.failed, open.misplaced);
  }
  return std::nullopt;
}

} // namespace reseq::store::postgres
