/// The database file: whose it is, which version, and how older ones are brought up to date.
#pragma once

#include <cstdint>
#include <filesystem>

#include "reseq/model/error.hpp"
#include "reseq/store/sqlite/connection.hpp"

namespace reseq::store::sqlite {

/// Refuses the numbers by which a database says whose it is and in which version, if they are another program's or a
/// newer version's: `errc::incompatible`.
result<void> check_numbers(std::uint64_t application, std::uint64_t version, const std::filesystem::path& file);

/// Creates the tables, or brings them up to this version one numbered step after the other, each in a transaction.
result<void> prepare(connection& db, const std::filesystem::path& file);

/// A message's rowid: its shard's number and its position, so that each shard's messages lie together in order.
constexpr unsigned position_bits = 44;
constexpr std::uint64_t place(std::uint64_t shard, std::uint64_t position) {
  return (shard << position_bits) | position;
}
constexpr std::uint64_t position_of(std::uint64_t place) { return place & ((std::uint64_t{1} << position_bits) - 1); }

} // namespace reseq::store::sqlite
