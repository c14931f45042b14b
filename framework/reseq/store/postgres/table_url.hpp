/// A table as a destination names it.
#pragma once

#include <string>
#include <string_view>

#include "reseq/model/error.hpp"

namespace reseq::store::postgres {

struct table_url {
  std::string server;            ///< the URL as libpq takes it
  std::string schema = "public"; // whatever the search path: a role named reseq would find the schema of that name
  bool names_schema = false;     ///< the URL does
  std::string table;

  /// As it stands in statements.
  [[nodiscard]] std::string quoted() const;
};

/// Reads `postgresql://…?table=NAME`, or `table=SCHEMA.NAME`, names as they are in the database's catalogue: upper and
/// lower case differ. Without a schema, `public` is meant. `errc::invalid` says what is wrong, and never quotes what
/// may be a secret.
result<table_url> parse_table_url(std::string_view text);

} // namespace reseq::store::postgres
