#include "reseq/store/transactional_receiver.hpp"

#include <algorithm>
#include <optional>

namespace reseq::store {

namespace {

constexpr std::size_t shown_of_identity = 8;

tl::unexpected<core::receiver_answer> contradiction(const std::string& what) {
  return tl::unexpected<core::receiver_answer>(core::failing{what, std::nullopt});
}

} // namespace

std::string described(const receiver_record& known) {
  if (known.last == sequence{}) return "it has nothing of this destination";
  return "the last that it has is sequence " + std::to_string(known.last.value()) +
         (known.last_message.empty() ? "" : ", message " + known.last_message);
}

bool is_ours(const receiver_record& known) { return known.foreign.empty() && known.unclaimed.empty(); }

std::string belongs_elsewhere(const receiver_record& known) {
  if (known.foreign.empty()) return known.unclaimed;
  return "belongs to another installation: what is recorded of it is of journal " +
         known.foreign.substr(0, shown_of_identity) + "…, last written " +
         (known.written.empty() ? "nobody knows when" : known.written) +
         ". If that one is to go on, give this one another table or stream, in the destination's url, and start again; "
         "if its journal is gone for good (its node.data_dir was deleted, say), `reseqctl recover PIPELINE "
         "--take-over` shows how this one goes on behind what is there";
}

std::string unclaimed(sequence last, const receiver_owner& owner, const std::string& record, const std::string& claim) {
  return "has messages up to sequence " + std::to_string(last.value()) + ", and " + record +
         " does not say whose they are. This is journal " + owner.journal + ", epoch " +
         std::to_string(owner.owner.value()) +
         ": if it has delivered them, let the record say so and start again: " + claim +
         ". Else give this one another table or stream; or, if whose they are is gone for good, `reseqctl recover "
         "PIPELINE --take-over` shows how this one goes on behind them";
}

result<void> may_take_over(const receiver_record& known, sequence assigned, sequence settled) {
  const auto last = std::min(known.last, assigned);
  if (is_ours(known) || settled >= last) return {};
  const auto waiting = "messages wait here under sequences " + std::to_string((settled + 1).value()) + " to " +
                       std::to_string(last.value()) + ", ";
  if (known.foreign.empty())
    return fail(errc::conflict, waiting + "and would be taken for delivered: it " + known.unclaimed, "the receiver");
  return fail(errc::conflict,
              waiting + "which journal " + known.foreign.substr(0, shown_of_identity) +
                "… has used for messages of its own, and would be taken for delivered. No recovery mends that: let the "
                "destination's url name an empty table, and delete its row in reseq.delivered (or name another "
                "stream), and start again: it gets all that the journal still has",
              "the receiver");
}

core::receiver_answer other_history(const core::send_item& item, const std::string& theirs) {
  return core::failing{
    "the receiver has message " + theirs + " under sequence " + std::to_string(item.seq.value()) +
      ", which is message " + item.message->id() +
      " in the journal: it has another history. Empty it, and what is recorded of it, or name another "
      "one, and start again",
    std::nullopt};
}

tl::expected<std::size_t, core::receiver_answer>
already_received(const receiver_record& known, std::span<const received> items, const receiver_owner& owner) {
  if (!known.foreign.empty()) return contradiction("the receiver " + belongs_elsewhere(known));
  if (known.owner > owner.owner) return tl::unexpected<core::receiver_answer>(core::stale{known.owner});
  if (!known.unclaimed.empty()) return contradiction("the receiver " + known.unclaimed);
  const auto assigned = std::max(owner.assigned, items.back().item.seq);
  if (known.last > assigned)
    return contradiction(described(known) + ", and the journal has given this destination none beyond " +
                         std::to_string(assigned.value()) +
                         ": the journal has gone back in time, or another one wrote there");
  const auto next = std::ranges::find_if(items, [&](const received& one) { return one.item.seq > known.last; });
  const auto there = static_cast<std::size_t>(next - items.begin());
  if (there > 0 && items[there - 1].item.seq == known.last && !known.last_message.empty() &&
      items[there - 1].item.message->id() != known.last_message)
    return contradiction(described(known) + ", which is message " + items[there - 1].item.message->id() +
                         " in this journal: another one wrote there");
  const auto before = next == items.end() ? std::nullopt : next->item.previous;
  if (there == 0 && before && *before > known.last)
    return contradiction(described(known) + ", but sequence " + std::to_string(before->value()) +
                         " was delivered there: the receiver has gone back in time, or is another one than before");
  return there;
}

} // namespace reseq::store
