/// Destinations that take messages in transactions: how they are reached, and what they remember when a shard starts.
#pragma once

#include <future>
#include <utility>
#include <vector>

#include "actors/sinks.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/settings.hpp"
#include "reseq/model/transaction.hpp"
#include "reseq/store/receiver_survey.hpp"

namespace reseq::actors {

/// What makes access to the receiver of `destination`; empty when that is none that takes messages in transactions.
/// `function` is what C++ composed for it, empty for none. `errc::invalid`, naming the destination: its URL is wrong.
result<receiver_maker> transactional_receiver(const destination_settings& destination,
                                              const delivery_function& function, const store::receiver_owner& owner);

/// What was found out in time, and the threads that are still at it, which end with their connections' timeouts.
struct survey {
  std::vector<store::receiver_seen> seen;
  std::vector<std::future<void>> late;
};

/// Opens them, several at once, and says what they remember. Who does not answer within `patience` is left out: what is
/// wrong there is noticed when something is to be delivered.
survey ask_receivers(std::vector<std::pair<destination_id, receiver_maker>> receivers, duration patience);

} // namespace reseq::actors
