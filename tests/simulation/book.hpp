/// One destination's truth: what its receiver has got, and what is durable about the rest. Checks each entry.
///
/// It is written from the outside, by the receivers, the journal and the workers, never by the state machines.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/message.hpp"
#include "scenario.hpp"

namespace reseq::simulation {

/// Where each parked key begins.
using parked_keys = std::map<std::string, sequence>;

class book {
public:
  explicit book(const destination_plan& plan);

  /// A message was given its place here, durably: dense, once.
  void enrolled(sequence seq, position at, const message& what);
  [[nodiscard]] sequence last() const { return sequence{entries_.size() - 1}; }
  [[nodiscard]] position at(sequence seq) const { return entries_[seq.value()].at; }

  // The owner.
  /// An owner starts from what is saved.
  void opened(const core::progress_record& saved);
  /// The owner hands a request to the receiver's connection.
  void sent(const core::send_request& request, time_point now);
  /// The owner is told how its request ended.
  void answered(core::request_id request, const core::receiver_answer& how, time_point now);
  /// An operator says that the receiver is mended: what it wished for before does not count.
  void forget_wishes();
  /// Nobody may send from now on, or again.
  void set_quiet(bool quiet) { quiet_ = quiet; }
  [[nodiscard]] bool under_way() const { return !requests_.empty(); }

  /// Until another owner opens the shard, nobody sends anything new.
  void draining() { draining_ = true; }
  /// The owner says that everything is saved.
  void handed_over() const;

  // The receiver.
  /// It has got this from an owner with that epoch. `late`: that owner had given the request up.
  void took(const core::send_item& item, epoch owner, bool late);
  /// It compares, as transactional ones do: it has the one that was delivered before this one.
  void follows(const core::send_item& item) const;
  /// The last that it has got, none after `limit`.
  [[nodiscard]] sequence latest_up_to(sequence limit) const;
  /// It has lost all that it got after this one.
  void goes_back(sequence to);
  /// It says that it has got all of them.
  void confirmed(const core::send_request& request);
  /// It will never take this one.
  void refuses(sequence seq) { mark(seq, refused); }
  [[nodiscard]] bool has(sequence seq) const { return is(seq, taken); }
  [[nodiscard]] sequence highest() const { return highest_; }
  [[nodiscard]] epoch newest() const { return newest_; }

  // What else can become of a message.
  /// A result that counted leaves it out here.
  void left_out(sequence seq) { mark(seq, without); }
  /// The present owner gets such a result while it waits for one.
  void excludes(sequence seq) { mark(seq, excluded); }
  /// Its transform used up its attempts, or cannot do it.
  void gave_up(sequence seq) { mark(seq, exhausted); }
  void skipped(sequence seq);
  void dead(const core::dead_letter_record& record);
  void held(const core::held_record& record);
  /// `after` has replaced `before`, durably; `parked` is what is saved with it.
  void saved(const core::progress_record& before, const core::progress_record& after, const parked_keys& parked);
  /// `after` has replaced `before`, durably, because of a receiver that went back. What had been delivered, dropped or
  /// skipped since is open again, but not what was settled above the watermark; dead letters stay what they are.
  void gone_back(const core::progress_record& before, const core::progress_record& after);
  [[nodiscard]] bool is_saved(sequence seq) const { return is(seq, settled); }
  /// Everything before it, of its key with order by key, is saved as settled.
  [[nodiscard]] bool is_head(sequence seq) const;
  [[nodiscard]] bool all_saved_but(const std::string& key) const;

  /// Everybody has recovered and everything is done: nothing may be missing.
  void finished(const core::progress_record& saved) const;

private:
  enum mark_bit : std::uint16_t {
    taken = 1,        ///< by the receiver
    acknowledged = 2, ///< confirmed by the receiver
    settled = 4,      ///< durably
    without = 8,      ///< a result that counted leaves it out
    exhausted = 16,   ///< its transform was given up
    refused = 32,     ///< by the receiver, alone in its request
    skip = 64,        ///< recorded as skipped
    letter = 128,     ///< recorded as dead-lettered
    over = 256,       ///< the present owner was told that it is confirmed
    excluded = 512,   ///< the present owner got a result that leaves it out
    recent = 1024,    ///< taken from the present owner, which does not know that it has to send it again
    counted = 2048,   ///< a dead letter of before the receiver went back: it does not count again
  };
  struct entry {
    position at;
    std::string message_id;
    std::string key;
    sequence before; ///< the one that it follows: with order by key, of its key
    std::uint16_t marks = 0;
  };
  /// What is to be ordered: everything, or with order by key the messages of one key.
  struct line {
    sequence last;
    sequence taken;            ///< the highest that the receiver has got
    std::uint32_t unsaved = 0; ///< taken and not settled
    time_point not_before{};   ///< the receiver's own wish
  };

  void mark(sequence seq, mark_bit bit) { entries_[seq.value()].marks |= bit; }
  void clear(sequence seq, int bits) { entries_[seq.value()].marks &= static_cast<std::uint16_t>(~bits); }
  [[nodiscard]] bool is(sequence seq, int bits) const { return (entries_[seq.value()].marks & bits) != 0; }
  [[nodiscard]] std::string name(sequence seq) const;
  [[nodiscard]] line& line_of(sequence seq);
  void check_others(const core::send_request& request) const;
  void check_previous(const core::send_request& request) const;
  void check_item(const core::send_item& item, const core::send_request& request) const;
  void check_first(sequence seq);
  void check_record(const core::progress_record& before, const core::progress_record& after) const;
  void check_letters(const core::progress_record& before, const core::progress_record& after);
  [[nodiscard]] static bool says_settled(const core::progress_record& record, const parked_keys& parked, sequence seq,
                                         const std::string& key);
  void settle(sequence seq);
  void count_unsaved(sequence seq);
  void check_unsaved(sequence seq, std::uint32_t unsaved) const;
  void forget_unsaved(sequence seq);

  const destination_plan& plan_;
  std::vector<entry> entries_; ///< by sequence; the first is unused
  std::map<std::string, line> lines_;
  sequence highest_;  ///< taken
  sequence previous_; ///< what the next delivery has to name as the one before it
  epoch newest_;
  std::uint64_t settled_ = 0;
  std::uint32_t unsaved_ = 0;                                  ///< `recent` and not settled
  std::uint32_t letters_ = 0;                                  ///< dead ones since the last delivery
  std::map<core::request_id, std::vector<sequence>> requests_; ///< under way
  bool quiet_ = false;
  bool draining_ = false;
};

} // namespace reseq::simulation
