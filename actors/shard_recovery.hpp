/// What is asked of all who remember what they got, before a shard that has diverged is recovered.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/protocol.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/receiver_survey.hpp"

namespace reseq::actors {

/// One operator's wish to recover a shard. Its receivers are asked, and compared with the journal, and only if none of
/// them is in the way, records of other journals are taken over, if that is wished; then it goes to the resequencer,
/// which is asked last, and to the journal. Records are taken over before the journal moves on: whatever happens in
/// between, the next attempt finds them to be ours, and ahead.
///
/// Whoever answers last runs the next step, on his thread.
class recovery_inquiry : public std::enable_shared_from_this<recovery_inquiry> {
public:
  struct receiver {
    core::destination_status of;
    sink_actor sink;
  };

  /// Who is asked; the resequencer may be null.
  struct everybody {
    std::vector<receiver> receivers;
    reader_actor reader;
    resequencer_actor resequencer;
    journal_actor journal;
  };

  /// `known` is the shard as its journal has it, with those destinations whose receivers are compared with that.
  recovery_inquiry(recover wish, std::string pipeline, store::shard_state known, everybody asked);

  void begin();

private:
  using record = std::optional<store::receiver_record>;

  void looked(const std::vector<result<record>>& answers);
  void compared(const result<std::optional<std::string>>& other_history);
  void take_over();
  void taken(const std::vector<result<record>>& answers);
  void pass_on();
  /// Why nothing can be done with what a receiver has said.
  [[nodiscard]] result<void> check(const receiver& who, const result<record>& answer) const;
  void refuse(const error& why) const;

  recover wish_;
  std::string pipeline_;
  store::shard_state known_;
  everybody asked_;
};

} // namespace reseq::actors
