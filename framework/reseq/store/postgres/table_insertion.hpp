/// How a destination's messages become rows of its table, as that is at the moment.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reseq/store/postgres/binary_array.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/table_url.hpp"
#include "reseq/store/transactional_receiver.hpp"

namespace reseq::store::postgres {

/// As the catalogue has it.
struct table_column {
  std::string name;
  std::string type;      ///< its OID
  std::string base_name; ///< what is below all domains, as it stands in statements
  bool bytes = false;    ///< that is bytea
};
using table_columns = std::vector<table_column>;

/// Begins a query's rest, `to_regclass` of whose argument and a closing parenthesis follow: the table's columns.
inline constexpr std::string_view of_table = " FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped AND "
                                             "attrelid = to_regclass(";

/// By the catalogues' rows: other sessions may just have created it. Empty: there is none. Without their lengths, and
/// domains as what is below them: a cast to varchar(8) cuts off what is longer, where the insertion refuses it.
table_columns columns_of(pqxx::work& tx, const std::string& quoted);

/// Whether it is one that a message fills.
bool is_filled(std::string_view column);
/// All of these, as a list of SQL's strings.
std::string filled_columns();

struct table_insertion {
  enum class way {
    bare,     ///< nothing can change a row: it is a table without triggers, which the statement looks at, too
    compared, ///< the server compares what it has inserted with what was sent
    unseen,   ///< the role may not read the rows, or a rule says what an insertion is
  };

  way how = way::unseen;
  bool readable = false; ///< the ids can be read
  std::string kind;      ///< of table, in words
  std::string columns;   ///< that the statement is made for, and inserts nothing into others
  std::string statement;
};

/// `errc::invalid`, naming it: the table lacks a column.
result<table_insertion> insertion_into(pqxx::work& tx, const table_columns& columns, const table_url& to);

/// Whether that is still what `insertion_into` would answer. Asked where nothing was inserted.
bool is_current(pqxx::work& tx, const table_insertion& made, const table_columns& columns, const table_url& to);

/// What became of a batch.
struct inserted_rows {
  struct changed_row {
    std::string seq; ///< as they are in the table, as text
    std::string message_id;
  };

  std::size_t count = 0;
  std::optional<changed_row> changed; ///< one of them that was not sent
};

/// A batch as the statement's parameters.
class batch_columns {
public:
  explicit batch_columns(std::span<const received> items);
  inserted_rows insert(database& db, pqxx::work& tx, const table_insertion& into);

private:
  binary_array sequences_{binary_array::of::bigint};
  binary_array positions_{binary_array::of::bigint};
  binary_array ids_{binary_array::of::text};
  binary_array keys_{binary_array::of::text};
  binary_array headers_{binary_array::of::text};
  binary_array payloads_{binary_array::of::bytea};
};

} // namespace reseq::store::postgres
