/// The window of one destination with order by key: as `lane`, but the head is each key's, and a key that is held up
/// does not hold up the others.
///
/// A pure state machine, single-threaded. The messages of a key form a chain in the window. While the window is full, a
/// key that has more than a sixteenth of it, or whose head does not move, is *parked*: from some sequence on its
/// messages are outside, those that come by later too, until its head moves and it is read again from there. A held
/// message leaves the window like those behind it. So `window` bounds what is in memory, `max_blocked_keys` how many
/// keys may be parked, and only when both are used up do the other keys wait.
///
/// Every operation costs O(log n) in what the window and the parked keys hold, but for `make_room`, which looks at each
/// key when it does find something to do, at most once a second for nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reseq/core/detail/dense_index.hpp"
#include "reseq/core/detail/indexed_heap.hpp"
#include "reseq/core/detail/slab.hpp"
#include "reseq/core/detail/slot_index.hpp"
#include "reseq/core/key_progress.hpp"
#include "reseq/core/lane.hpp"
#include "reseq/core/records.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"

namespace reseq::core {

struct key_lane_limits {
  lane_limits lane;
  std::uint32_t max_blocked_keys = 1; ///< parked at once
};

/// What hinders the delivery of one key. Kept here, judged by `key_delivery`.
struct key_trouble {
  std::uint32_t failures = 0; ///< in a row
  std::uint32_t singly = 0;   ///< messages of a refused request that go one by one until they are cleared
  bool alone = false;         ///< goes in requests of its own, and brings nothing new into them
  std::string last_error;
};

/// What may go into the next request.
struct key_release {
  std::size_t count = 0;   ///< messages; 0: nothing may go
  bool first_time = false; ///< of keys whose head was not handed over yet
  bool again = false;      ///< of keys whose head was
  bool probe = false;      ///< one key's only: of those that failed least, the one that `draw` falls on
  std::uint64_t draw = 0;
};

/// A message that left the window unsettled.
struct evicted_message {
  sequence seq;
  position at;
  bool uses_job = false;
};

/// A read of what parked keys have outside.
struct key_read {
  std::vector<key_cursor> keys; ///< empty: there is nothing to read
  sequence until;
  std::uint32_t max_messages = 0;
  std::uint64_t max_bytes = 0;
};

/// What holds up one key, for people.
struct blocked_key {
  std::string_view key;
  sequence head;       ///< the first that is not settled, or where that is to be found outside
  bool inside = false; ///< it is in the window
  bool held = false;
  time_point since{};             ///< when it became the head
  std::uint64_t ready_behind = 0; ///< messages of the key that wait in the window for nothing but it
  bool saving = false;            ///< it waits for an outcome before it to become durable
  std::optional<time_point> rests_until;
  std::string_view last_error;
};

class key_lane {
public:
  /// What becomes of a message of the backlog.
  enum class fate : std::uint8_t {
    enters, ///< it is in the window now
    passes, ///< it stays outside: its key is parked
    waits,  ///< there is no room: it has to be offered again
  };

  /// Goes on from what was saved.
  key_lane(const key_lane_limits& limits, const progress_record& saved, std::span<const parked_record> parked,
           time_point now);

  // Coming in.

  /// The sequence that is to be offered next.
  [[nodiscard]] sequence next() const { return next_; }
  /// Nothing after it was offered yet.
  [[nodiscard]] sequence reached() const { return progress_.reached(); }
  /// Passes over `lost`, which begins with `next()`, after `reached()`: it has no messages.
  void pass(const sequence_range& lost);
  /// Offers `next()`. `state` is pending or held.
  fate offer(slot_state state, position at, const message_ptr& message, std::uint64_t bytes, time_point now);
  /// How many messages a read of the backlog from `next()` on should bring, when `last` is the last one: 0 while that
  /// would change nothing.
  [[nodiscard]] std::uint32_t wanted(sequence last) const;
  [[nodiscard]] std::uint64_t wanted_bytes() const;

  /// What is to be read of parked keys that may go on; after a start, of all. Followed by `found` for each message that
  /// this brings, ascending, and `searched`, or by `read_failed`. One at a time.
  key_read catch_up(sequence last);
  fate found(sequence seq, slot_state state, position at, const message_ptr& message, std::uint64_t bytes,
             time_point now);
  /// Whether a search up to there has looked at anything.
  [[nodiscard]] bool searched_any(sequence upto) const;
  void searched(sequence upto);
  void read_failed();

  /// Whether keys may be parked; not while none of them could go on anyway.
  void let_park(bool may) { may_park_ = may; }
  /// While something waits for room: parks keys whose head is held, or has not moved for a second. Says what left.
  void make_room(sequence last, time_point now, std::vector<evicted_message>& left);

  // In the window; as in `lane`.

  [[nodiscard]] const lane_slot* find(sequence seq) const;
  /// As of a `lane`.
  [[nodiscard]] bool waits_for_saving() const { return unsaved_ >= limits_.max_unsaved; }
  [[nodiscard]] lane_slot* find(sequence seq);
  /// Whether it is in the window, and nothing of its key before it is unsettled.
  [[nodiscard]] bool is_head(sequence seq) const;
  /// Whether something of its key before it has neither a result nor an outcome.
  [[nodiscard]] bool is_behind_unfinished(sequence seq) const;
  /// Appends the pending messages that have become heads since the last call.
  void take_heads(std::vector<sequence>& out);
  /// Appends the pending heads that have come to keep back a result of their key since the last call.
  void take_holding(std::vector<sequence>& out);

  void finish(sequence seq, content_ptr body, std::uint64_t body_bytes, time_point now);
  /// A head becomes held.
  void hold(sequence seq);
  /// Held becomes ready or pending; one that has left the window will be read again.
  void unhold(sequence seq, time_point now);
  /// Settles what is in the window, or held outside.
  void settle(sequence seq, bool delivered, time_point now);

  // Going out.

  /// Appends what goes into a request, ascending, and makes it sent. Nothing of a key goes while a request of it is
  /// under way, it rests, or an outcome without a delivery before it is not durable; and no more than `max_unsaved`
  /// that are sent, or settled and not saved. What was handed over cannot leave the window: of one key that is a single
  /// message or at most a sixteenth of `window_bytes`, so that a key which fails from then on leaves room for others,
  /// and for the first time at most `most_request_bytes`.
  void release(const key_release& what, time_point now, std::vector<released_slot>& out);
  /// Those of them that are sent are ready again.
  void take_back(std::span<const sequence> messages);
  /// The trouble of a message in the window.
  key_trouble& trouble(sequence seq) { return key_of(seq).trouble; }
  /// The key of that message is not released until then.
  void rest(sequence seq, time_point until);
  void end_rests(time_point now);
  /// Ends all rests, and counts no key's failures beyond the first. Costs the number of keys.
  void forgive();

  // Saving, as in `progress`.

  void begin_save(progress_record& record, std::vector<parked_record>& parked,
                  std::vector<journal_change::parked_key>& unparked);
  void saved();
  void save_failed();
  /// A parked key could go on, and there was no room for it.
  [[nodiscard]] bool starves() const { return starved_; }
  /// Whether a key was unparked since the last call, which ought to be saved even if nothing is settled after it.
  bool take_unparked() { return std::exchange(unparked_, false); }
  [[nodiscard]] sequence saved_watermark() const { return saved_watermark_; }
  [[nodiscard]] std::uint64_t saved_messages() const { return saved_messages_; } ///< settled

  // For people and timers.

  /// When, because of the time alone, `end_rests` has something to do.
  [[nodiscard]] std::optional<time_point> next_rest_ends() const;
  /// When, because of the time alone, `make_room` may find something to do; if that is past, it waits for an event.
  [[nodiscard]] std::optional<time_point> look_again_at() const { return nothing_to_evict_until_; }
  /// Whether a message that is not in the window is settled.
  [[nodiscard]] bool is_settled(sequence seq, std::string_view key) const;
  /// The keys whose heads are oldest, at most `most`.
  [[nodiscard]] std::vector<blocked_key> oldest(std::size_t most) const;
  [[nodiscard]] std::uint64_t parked_keys() const { return parked_.size(); }
  [[nodiscard]] std::uint64_t messages() const { return unsettled_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t pending() const { return pending_; }
  [[nodiscard]] std::uint64_t ready() const { return ready_; } ///< including what is sent

private:
  using slot = detail::slot;
  static constexpr slot none = detail::no_slot;

  struct entry {
    lane_slot what;
    sequence seq;
    slot key = none;
    slot before = none; ///< of the same key
    slot after = none;
    bool handed = false;    ///< over to the receiver, once
    bool unsaved = false;   ///< sent, or settled and not saved
    bool delivered = false; ///< settled so
    bool durable = false;   ///< settled, and saved
    bool passed = false;    ///< settled, and everything before it
    bool announced = false; ///< as a head
    bool holding = false;   ///< it was said that it keeps results back
  };

  enum class queue : std::uint8_t { none, fresh, again };

  /// Known while it has entries, or is parked.
  struct key_state {
    std::string key;
    slot first = none; ///< of its entries
    slot last = none;
    slot head = none;            ///< the first unsettled
    std::uint32_t kept = 0;      ///< entries
    std::uint32_t unsettled = 0; ///< of these
    std::uint32_t ready = 0;     ///< of those, not sent
    std::uint32_t handed = 0;    ///< of the unsettled
    std::uint32_t barrier = 0;   ///< passed, without a delivery and not durable
    time_point head_since{};
    time_point latest_finish{};
    sequence from;   ///< parked: outside from here on; 0: not parked
    sequence passed; ///< the last one that is known to be outside
    sequence asked;  ///< `from`, as the read under way will leave it; 0: it does not bring this key
    bool held = false;
    bool stalled = false; ///< parked because its head does not move
    bool full = false;    ///< the read under way brings more than there is room for
    queue waits_in = queue::none;
    std::uint32_t place = 0; ///< in that queue
    std::optional<time_point> rests_until;
    std::uint32_t listed = 0; ///< where in `listed_`
    key_trouble trouble;
  };

  using by_sequence = std::set<std::pair<sequence, slot>>;
  using parking = std::map<std::string, std::optional<sequence>, std::less<>>;

  // Keys.
  [[nodiscard]] slot find_key(std::string_view key) const;
  slot know(const std::string& key);
  void forget_if_idle(slot k);
  key_state& key_of(sequence seq);

  // Entries.
  [[nodiscard]] slot find_entry(sequence seq) const;
  lane_slot& enter(slot k, sequence seq, slot_state state, position at, const message_ptr& message, std::uint64_t bytes,
                   time_point now);
  void append_settled(slot k, sequence seq);
  void remove(slot e);
  void change(entry& e, slot_state to);
  std::uint64_t* count_of(slot_state state);
  /// If it counts as unsaved.
  void stop_counting(entry& e) {
    if (std::exchange(e.unsaved, false)) --unsaved_;
  }
  void advance_head(slot k, time_point now);
  void requeue(slot k);
  void unqueue(slot k);
  std::size_t take(slot k, std::size_t most, time_point now, std::vector<released_slot>& out);
  [[nodiscard]] slot pick(const key_release& what) const;
  [[nodiscard]] slot least_failed(std::uint64_t draw) const;

  // Room, and parking.
  [[nodiscard]] std::uint32_t free_messages() const;
  [[nodiscard]] bool has_room() const { return free_messages() > 0 && charged_bytes() < limits_.window_bytes; }
  /// With the results that are expected.
  [[nodiscard]] std::uint64_t charged_bytes() const { return bytes_ + pending_ * results_.expected(); }
  [[nodiscard]] bool has_share() const;
  [[nodiscard]] bool worth_reading() const;
  [[nodiscard]] bool may_park(const key_state& k) const;
  [[nodiscard]] bool may_bring(const key_state& k) const;
  [[nodiscard]] static bool is_outside(const key_state& k, sequence seq);
  [[nodiscard]] bool would_pass(slot k) const;
  void advance_next();
  void pass(slot k, sequence seq);
  void set_from(slot k, sequence from);
  void list_catching(slot k);
  void unpark_if_caught_up(slot k);
  void settle_outside(sequence seq);
  [[nodiscard]] slot parked_at(sequence seq) const;
  [[nodiscard]] std::uint32_t evictable(const key_state& k) const;
  std::size_t evict(slot k, std::size_t most, std::vector<evicted_message>& left);

  lane_limits limits_;
  std::uint32_t max_blocked_keys_;
  std::uint32_t share_; ///< a sixteenth of the window
  key_progress progress_;

  detail::slab<entry> entries_;
  detail::dense_index entry_index_; ///< by sequence
  detail::slab<key_state> keys_;
  detail::slot_index key_index_; ///< by key
  std::vector<slot> listed_;     ///< all keys, in no order

  sequence next_;
  sequence recovered_;               ///< up to here things were reached before the start
  std::optional<std::string> waits_; ///< the key of what was offered last and waits
  bool may_park_ = true;
  bool unparked_ = false;
  bool starved_ = false; ///< a parked key could go on, and there is no room for it
  std::optional<time_point> nothing_to_evict_until_;
  std::uint32_t stuck_ = 0; ///< messages that neither moved nor could be evicted when room was made last

  detail::indexed_heap<std::uint64_t> fresh_; ///< keys that may go, by head
  detail::indexed_heap<std::uint64_t> again_;
  std::set<std::pair<time_point, slot>> resting_;
  std::vector<slot> moved_;   ///< keys with another head than before
  std::vector<slot> holding_; ///< keys whose heads may have come to keep results back
  by_sequence parked_;        ///< by `from`
  by_sequence catching_;      ///< those of them that may be read again
  std::vector<slot> asked_;   ///< by the read under way
  std::uint32_t quota_ = 0;   ///< how many of a key it may leave in the window

  std::deque<slot> undurable_; ///< settled, in the order in which they were
  std::uint32_t barrier_ = 0;  ///< of these, without a delivery and of keys that are not known yet
  std::size_t saving_ = 0;     ///< of these, in the save under way
  parking unsaved_parking_;    ///< the latest word on each key that changed: where it begins, or that it is not parked
  parking saving_parking_;
  sequence saving_watermark_;
  std::uint64_t saving_messages_ = 0;
  sequence saved_watermark_;
  std::uint64_t saved_messages_ = 0;

  std::uint64_t unsettled_ = 0;
  std::uint64_t kept_ = 0;
  std::uint64_t behind_ = 0; ///< of these, settled behind a head that is not
  std::uint64_t bytes_ = 0;
  std::uint64_t pending_ = 0;
  std::uint64_t ready_ = 0;
  std::uint32_t unsaved_ = 0;
  result_sizes results_;
};

} // namespace reseq::core
