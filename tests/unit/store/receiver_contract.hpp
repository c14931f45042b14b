/// What every transactional receiver must do, wherever it keeps the messages. A test program calls these with its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "reseq/store/transactional_receiver.hpp"

namespace reseq::test {

/// A message as the receiver's readers see it.
struct seen_message {
  std::uint64_t sequence = 0;
  std::uint64_t position = 0;
  std::string message_id;
  std::string key;
  std::string headers;
  std::string payload;

  friend bool operator==(const seen_message&, const seen_message&) = default;
};

/// Where messages are received, for one destination.
class receiver_place {
public:
  virtual ~receiver_place() = default;
  /// One more owner's access. Those before it stay.
  virtual std::unique_ptr<store::transactional_receiver> access(const store::receiver_owner& owner) = 0;
  /// What is there, in order of arrival.
  virtual std::vector<seen_message> seen() = 0;
  /// It goes back to an empty one.
  virtual void lose_all() = 0;
  /// What is recorded is as an older version recorded it, which does not say whose it is.
  virtual void forget_journal() = 0;
  /// What is recorded is gone, and the messages are there.
  virtual void forget_record() = 0;
  /// Does what the receiver asks an operator to.
  virtual void run(const std::string& claim) = 0;
};

store::receiver_owner owner_with(std::uint64_t epoch, std::uint64_t assigned = 1000,
                                 const std::string& journal = "journal-of-orders");
/// As `owner_with`, who was told that everything up to `ours` is its journal's.
store::receiver_owner owner_knowing(std::uint64_t epoch, std::uint64_t ours,
                                    const std::string& journal = "journal-of-orders");
/// Messages with these sequences, each following on the one before it, the first on `previous`.
std::vector<store::received> messages(const std::vector<std::uint64_t>& sequences, std::uint64_t previous,
                                      const std::string& journal = "m");
std::vector<std::uint64_t> range_of(std::uint64_t first, std::uint64_t last);
std::vector<std::uint64_t> sequences_of(const std::vector<seen_message>& seen);

/// "confirmed", "stale EPOCH", "refused: why" or "failing: why".
std::string said(const core::receiver_answer& answer);

using receiver_factory = std::function<std::unique_ptr<receiver_place>()>;

/// Runs the sections of one Catch test case. Each gets an empty place from `make`.
void check_receiving(const receiver_factory& make);
void check_receiver_fencing(const receiver_factory& make);
void check_positions(const receiver_factory& make);
/// Messages that it has others in the place of are not taken for delivered: of those that can be read.
void check_other_history(const receiver_factory& make);
/// What is recorded for one journal is not touched by another one.
void check_installations(const receiver_factory& make);
/// Messages of which no record says whose they are.
void check_unclaimed(const receiver_factory& make);
void check_going_back(const receiver_factory& make);

} // namespace reseq::test
