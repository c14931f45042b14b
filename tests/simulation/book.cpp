#include "book.hpp"

#include <algorithm>

#include "violation.hpp"

namespace reseq::simulation {
namespace {

std::string text(sequence seq) { return std::to_string(seq.value()); }

} // namespace

book::book(const destination_plan& plan) : plan_(plan), entries_(1) {}

std::string book::name(sequence seq) const { return plan_.settings.name + "/" + text(seq); }

book::line& book::line_of(sequence seq) { return lines_[entries_[seq.value()].key]; }

void book::enrolled(sequence seq, position at, const message& what) {
  require(seq.value() == entries_.size(), "Order",
          [&] { return name(seq) + " was assigned when " + text(last() + 1) + " was next"; });
  const auto& key = plan_.by_key() ? what.key() : std::string{};
  entries_.push_back({at, what.id(), key, lines_[key].last, 0});
  lines_[key].last = seq;
}

void book::opened(const core::progress_record& saved) {
  requests_.clear();
  draining_ = false;
  quiet_ = quiet_ && saved.paused;
  previous_ = saved.last_delivered;
  forget_wishes();
  for (auto& e : entries_) e.marks &= static_cast<std::uint16_t>(~(over | excluded | recent));
  unsaved_ = 0;
}

void book::forget_wishes() {
  for (auto& [key, one] : lines_) one.not_before = {};
}

void book::sent(const core::send_request& request, time_point now) {
  const auto& items = request.items;
  require(!items.empty() && items.size() <= plan_.settings.batch, "Bounded memory",
          [&] { return plan_.settings.name + ": a request of " + std::to_string(items.size()) + " messages"; });
  require(!quiet_, "Operators", [&] { return name(items.front().seq) + " was sent while paused"; });
  require(!draining_, "Operators",
          [&] { return name(items.front().seq) + " was sent after the owner was told to end"; });
  for (const auto& item : items) check_item(item, request);
  check_previous(request);
  check_others(request);
  auto& carried = requests_[request.id];
  for (const auto& item : items) {
    require(now >= line_of(item.seq).not_before, "Isolation",
            [&] { return name(item.seq) + ": the receiver asked for more time than it got"; });
    carried.push_back(item.seq);
  }
}

/// One request at a time, with order by key one of each key.
void book::check_others(const core::send_request& request) const {
  const auto most = plan_.by_key() ? plan_.settings.connections : 1;
  require(requests_.size() < most, "Order",
          [&] { return plan_.settings.name + ": one request more at the same time than there may be"; });
  for (const auto& [id, carried] : requests_)
    for (const auto seq : carried)
      for (const auto& item : request.items)
        require(entries_[seq.value()].key != entries_[item.seq.value()].key, "Order",
                [&] { return name(item.seq) + " was sent while " + text(seq) + " of its key was under way"; });
}

void book::check_previous(const core::send_request& request) const {
  auto previous = previous_;
  for (const auto& item : request.items) {
    if (plan_.by_key()) {
      require(!item.previous, "Order", [&] { return name(item.seq) + " names one before it"; });
      continue;
    }
    require(item.previous == previous, "Order", [&] {
      return name(item.seq) + " names " + text(item.previous.value_or(sequence{})) +
             " as the one before it, which was " + text(previous);
    });
    previous = item.seq;
  }
}

void book::check_item(const core::send_item& item, const core::send_request& request) const {
  const auto seq = item.seq;
  require(seq > sequence{} && seq <= last(), "No loss", [&] { return name(seq) + " was sent and never accepted"; });
  const auto& e = entries_[seq.value()];
  require(item.at == e.at && item.message && item.message->id() == e.message_id, "Order",
          [&] { return name(seq) + " was sent with another message than was accepted"; });
  const auto made_of = std::to_string(item.at.value()) + "/" + std::to_string(plan_.own_chain ? plan_.id.value() : 0U);
  require(item.body && item.body->content_type == made_of, "Order",
          [&] { return name(seq) + " was sent with another message's result"; });
  require(!is(seq, settled | over), "Effectively once",
          [&] { return name(seq) + " was sent again after it was settled"; });
  require(!is(seq, excluded), "Order", [&] { return name(seq) + " was sent, and its result leaves it out"; });
  const auto comes_first = [&](sequence earlier) {
    const auto at = std::ranges::find(request.items, earlier, &core::send_item::seq);
    return at < std::ranges::find(request.items, seq, &core::send_item::seq);
  };
  for (auto before = e.before; before != sequence{}; before = entries_[before.value()].before) {
    if (is(before, settled | over) || comes_first(before)) continue;
    require(is(before, without | skip | letter), "Order",
            [&] { return name(seq) + " was sent before " + text(before); });
    require(false, "Effectively once",
            [&] { return name(seq) + " was sent before it was durable that nothing comes of " + text(before); });
  }
}

void book::took(const core::send_item& item, epoch owner, bool late) {
  const auto seq = item.seq;
  const bool stale = owner < newest_;
  require(!stale || late, "One owner", [&] { return name(seq) + " came under an epoch that had gone by"; });
  newest_ = std::max(newest_, owner);
  if (is(seq, taken)) {
    require(late || !plan_.transactional, "Effectively once", [&] { return name(seq) + " was written twice"; });
    if (plan_.by_key() && !stale && !late && !is(seq, settled | recent)) count_unsaved(seq);
    return;
  }
  if (!stale) check_first(seq); // a message that the later owner settled without delivery may still get through once
  mark(seq, taken);
  highest_ = std::max(highest_, seq);
  line_of(seq).taken = std::max(line_of(seq).taken, seq);
  if (is(seq, settled)) return;
  check_unsaved(seq, ++line_of(seq).unsaved);
  if (!stale && !late) count_unsaved(seq);
}

void book::count_unsaved(sequence seq) {
  mark(seq, recent);
  check_unsaved(seq, ++unsaved_);
}

void book::check_unsaved(sequence seq, std::uint32_t unsaved) const {
  require(unsaved <= plan_.settings.max_unsaved, "Effectively once",
          [&] { return name(seq) + " makes " + std::to_string(unsaved) + " messages that would be delivered again"; });
}

void book::check_first(sequence seq) {
  require(seq > line_of(seq).taken, "Order", [&] { return name(seq) + " came after " + text(line_of(seq).taken); });
  for (auto before = entries_[seq.value()].before; before != sequence{}; before = entries_[before.value()].before)
    require(is(before, taken | settled), "Order", [&] { return name(seq) + " came before " + text(before); });
}

void book::follows(const core::send_item& item) const {
  require(item.previous.value_or(sequence{}) <= highest_, "No loss",
          [&] { return name(item.seq) + " came to a receiver that lacks " + text(*item.previous); });
}

sequence book::latest_up_to(sequence limit) const {
  while (limit > sequence{} && !is(limit, taken)) limit = sequence{limit.value() - 1};
  return limit;
}

void book::goes_back(sequence to) {
  for (auto seq = to + 1; seq <= last(); ++seq) clear(seq, taken | acknowledged);
  highest_ = to;
  auto& all = lines_[""];
  all.taken = to;
  all.unsaved = 0;
  for (sequence seq{1}; seq <= to; ++seq)
    if (is(seq, taken) && !is(seq, settled)) ++all.unsaved;
}

void book::confirmed(const core::send_request& request) {
  for (const auto& item : request.items) {
    require(is(item.seq, taken), "No loss", [&] { return name(item.seq) + " was confirmed and never taken"; });
    mark(item.seq, acknowledged);
  }
}

void book::answered(core::request_id request, const core::receiver_answer& how, time_point now) {
  const auto done = requests_.extract(request);
  if (!done) return;
  const auto* trouble = std::get_if<core::failing>(&how);
  for (const auto seq : done.mapped()) {
    if (trouble != nullptr && trouble->retry_after) line_of(seq).not_before = now + *trouble->retry_after;
    if (std::holds_alternative<core::confirmed>(how))
      mark(seq, over);
    else if (plan_.by_key() && is(seq, recent) && !is(seq, settled))
      forget_unsaved(seq);
  }
  if (std::holds_alternative<core::confirmed>(how)) previous_ = done.mapped().back();
}

void book::handed_over() const {
  for (sequence seq{1}; seq <= last(); ++seq)
    require(!is(seq, over) || is(seq, settled), "Effectively once",
            [&] { return name(seq) + " was confirmed and is not saved, after an orderly end"; });
}

void book::skipped(sequence seq) { mark(seq, skip); }

void book::dead(const core::dead_letter_record& record) {
  const auto policy = record.reason == core::hold_reason::refused ? refused : exhausted;
  require(is(record.seq, policy), "No loss", [&] { return name(record.seq) + " was dead-lettered without a reason"; });
  mark(record.seq, letter);
}

void book::held(const core::held_record& record) {
  const bool justified = record.reason == core::hold_reason::refused        ? is(record.seq, refused)
                         : record.reason != core::hold_reason::dead_letters ? is(record.seq, exhausted)
                                                                            : is(record.seq, refused | exhausted);
  require(justified, "No loss", [&] { return name(record.seq) + " is held without a reason"; });
}

bool book::is_head(sequence seq) const {
  auto before = entries_[seq.value()].before;
  while (before != sequence{} && is(before, settled)) before = entries_[before.value()].before;
  return before == sequence{};
}

bool book::all_saved_but(const std::string& key) const {
  return std::ranges::all_of(entries_.begin() + 1, entries_.end(),
                             [&](const entry& e) { return e.key == key || (e.marks & settled) != 0; });
}

void book::saved(const core::progress_record& before, const core::progress_record& after, const parked_keys& parked) {
  check_record(before, after);
  require(parked.size() <= (plan_.by_key() ? plan_.settings.max_blocked_keys : 0), "Bounded memory",
          [&] { return plan_.settings.name + ": " + std::to_string(parked.size()) + " keys are parked"; });
  for (sequence seq{1}; seq <= last(); ++seq) {
    const bool says = says_settled(after, parked, seq, entries_[seq.value()].key);
    require(says || seq > after.watermark, "No loss",
            [&] { return name(seq) + " is not settled, below the saved watermark " + text(after.watermark); });
    if (says) settle(seq);
  }
  require(settled_ == after.settled_messages(), "Effectively once",
          [&] { return plan_.settings.name + ": something that was settled is no longer"; });
  check_letters(before, after);
}

void book::gone_back(const core::progress_record& before, const core::progress_record& after) {
  require(after.last_delivered == highest_ && after.watermark >= highest_, "No loss",
          [&] { return name(highest_) + " is what the receiver has, and progress goes back to another place"; });
  for (auto seq = highest_ + 1; seq <= before.watermark; ++seq) {
    if (is(seq, letter)) {
      mark(seq, counted);
    } else {
      clear(seq, settled | skip); // a result that left it out may be kept with the resequencer, and counts again
      --settled_;
    }
  }
  letters_ = 0;
  for (sequence seq{1}; seq <= last(); ++seq)
    require(says_settled(after, {}, seq, {}) == is(seq, settled), "No loss",
            [&] { return name(seq) + " is settled, or not, contrary to what the receiver has"; });
}

void book::check_record(const core::progress_record& before, const core::progress_record& after) const {
  require(after.watermark >= before.watermark && after.watermark <= last(), "No loss",
          [&] { return name(before.watermark) + " was the saved watermark, which moved to " + text(after.watermark); });
  const auto ascending = [](const std::vector<sequence>& all) {
    return std::ranges::adjacent_find(all, std::ranges::greater_equal{}) == all.end();
  };
  const auto most = (std::size_t{plan_.settings.window} + plan_.settings.max_unsaved) * (plan_.by_key() ? 2 : 1);
  const bool above = ascending(after.above) && after.above.size() <= most &&
                     (plan_.by_key() || after.above.empty() || after.above.front() > after.watermark + 1);
  const bool open = ascending(after.open) && after.open.size() <= plan_.settings.window;
  require(above && open, "Bounded memory",
          [&] { return plan_.settings.name + ": what is settled above the watermark is malformed"; });
  const auto delivered = after.last_delivered;
  require(delivered >= before.last_delivered && (delivered == sequence{} || is(delivered, acknowledged)), "Order",
          [&] { return name(delivered) + " was saved as the last delivered one"; });
}

/// With order by key they are counted in the order in which they came about, which is nobody else's.
void book::check_letters(const core::progress_record& before, const core::progress_record& after) {
  if (!plan_.by_key()) {
    for (auto seq = before.watermark + 1; seq <= after.watermark; ++seq) {
      if (is(seq, over)) letters_ = 0;
      if (is(seq, letter) && !is(seq, counted)) ++letters_;
    }
    require(letters_ == after.dead_letters_in_a_row, "No loss",
            [&] { return plan_.settings.name + " has " + std::to_string(letters_) + " dead letters in a row"; });
  }
  require(after.dead_letters_in_a_row <= plan_.settings.max_dead_letters, "No loss", [&] {
    return plan_.settings.name + " has " + std::to_string(after.dead_letters_in_a_row) + " dead letters in a row";
  });
}

bool book::says_settled(const core::progress_record& record, const parked_keys& parked, sequence seq,
                        const std::string& key) {
  if (std::ranges::binary_search(record.above, seq)) return true;
  if (record.reached == sequence{}) return seq <= record.watermark;
  const auto from = parked.find(key);
  const bool outside = from != parked.end() && seq >= from->second;
  return seq <= record.reached && !outside && !std::ranges::binary_search(record.open, seq);
}

void book::settle(sequence seq) {
  if (is(seq, settled)) return;
  require(is(seq, acknowledged | without | skip | letter), "No loss",
          [&] { return name(seq) + " was saved as settled, and its receiver has never confirmed it"; });
  mark(seq, settled);
  ++settled_;
  if (is(seq, taken)) --line_of(seq).unsaved;
  if (is(seq, recent)) --unsaved_;
}

/// The owner knows that it will send it again.
void book::forget_unsaved(sequence seq) {
  entries_[seq.value()].marks &= static_cast<std::uint16_t>(~recent);
  --unsaved_;
}

void book::finished(const core::progress_record& saved) const {
  require(saved.watermark == last(), "No loss",
          [&] { return name(saved.watermark) + " is where it ended, and " + text(last()) + " were accepted"; });
  for (sequence seq{1}; seq <= last(); ++seq)
    require(is(seq, taken | without | skip | letter), "No loss",
            [&] { return name(seq) + " is neither delivered nor recorded"; });
}

} // namespace reseq::simulation
