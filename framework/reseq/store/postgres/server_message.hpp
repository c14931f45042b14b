/// What the server says of a statement that it did not do.
#pragma once

#include <exception>
#include <string>

namespace reseq::store::postgres {

/// Names are empty where it speaks of none, and in sessions that do not `tell_more`.
struct server_message {
  std::string state; ///< SQLSTATE
  std::string text;  ///< with a line for each detail that it gives
  std::string schema;
  std::string table;
  std::string column;
  std::string constraint;
};

server_message read_message(const std::exception& e);

/// Whether it is a row's data that the server refuses: a value (SQLSTATE 22…), a constraint that it violates (23…,
/// 44…), a limit that it goes past (54…: too deep a JSON, too long a key of an index), more rows than there may be
/// (21…); or a trigger or function that raises an exception of no other kind, in PL/pgSQL (P0…) or another language
/// (38…): so tables refuse rows by rules of their own.
bool refuses_data(const std::string& state);

/// Whether a partitioned table has no partition for the row. No constraint has a name then.
bool lacks_partition(const server_message& said);

} // namespace reseq::store::postgres
