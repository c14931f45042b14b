/// Destinations that take messages in transactions: how they are reached, and what they remember when a shard starts.
#pragma once

#include <functional>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/sinks.hpp"
#include "reseq/model/settings.hpp"
#include "reseq/model/transaction.hpp"
#include "reseq/store/receiver_survey.hpp"

namespace reseq::actors {

/// What makes access to the receiver of `destination`; empty when that is none that takes messages in transactions.
/// `function` is what C++ composed for it, empty for none. `errc::invalid`, naming the destination: its URL is wrong.
result<receiver_maker> transactional_receiver(const destination_settings& destination,
                                              const delivery_function& function, const store::receiver_owner& owner);

using receivers_by_id = std::vector<std::pair<destination_id, receiver_maker>>;

/// A shard of the journal, and how its receivers stand to it.
struct opened_shard {
  store::shard_state state;
  std::map<destination_id, sequence> compared{}; ///< of whose receivers it is known, and the last that is there of ours
  store::rewinding back{};                       ///< what an operator has to agree to
  std::optional<std::string> diverged{};         ///< why, if it has
  std::vector<std::future<void>> late{};         ///< threads that still ask; they end with their connections' timeouts
};

/// Opens a shard and compares it with what its receivers remember, asked several at once. Where receivers have gone
/// back, progress is put back to what they have, and the shard opened again. Who does not answer within seconds is left
/// out, so that it does not keep the shard from accepting: its sink looks again.
result<opened_shard>
open_with_receivers(store::journal& journal, const std::string& pipeline,
                    const std::function<result<store::shard_state>()>& open,
                    const std::function<result<receivers_by_id>(const store::shard_state&)>& receivers_of);

} // namespace reseq::actors
