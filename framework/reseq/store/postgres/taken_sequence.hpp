/// A destination's table that has another message in a new one's place.
#pragma once

#include <optional>
#include <string>

#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/server_message.hpp"

namespace reseq::store::postgres {

/// What to say, and what to do, where `refusal` is by an index of `table`, a quoted name, that lets each sequence in
/// once: of the table itself, of a partition, or of what is behind a view. By any other index a table refuses messages
/// by a rule of its own. To be asked when the transaction is over.
std::optional<std::string> explain_taken_sequence(database& db, const server_message& refusal,
                                                  const std::string& table);

} // namespace reseq::store::postgres
