#include "book.hpp"

#include <algorithm>

#include "violation.hpp"

namespace reseq::simulation {
namespace {

std::string text(sequence seq) { return std::to_string(seq.value()); }

} // namespace

book::book(const destination_plan& plan) : plan_(plan), entries_(1) {}

std::string book::name(sequence seq) const { return plan_.settings.name + "/" + text(seq); }

void book::enrolled(sequence seq, position at, const std::string& message_id) {
  require(seq.value() == entries_.size(), "Order",
          [&] { return name(seq) + " was assigned when " + text(last() + 1) + " was next"; });
  entries_.push_back({at, message_id, 0});
}

void book::opened(const core::progress_record& saved) {
  under_way_ = false;
  not_before_ = {};
  draining_ = false;
  quiet_ = quiet_ && saved.paused;
  previous_ = saved.last_delivered;
  for (auto& e : entries_) e.marks &= static_cast<std::uint16_t>(~(over | excluded));
}

void book::sent(const core::send_request& request, time_point now) {
  const auto& items = request.items;
  require(!under_way_, "Order", [&] { return plan_.settings.name + ": a second request at the same time"; });
  require(!quiet_, "Operators", [&] { return name(items.front().seq) + " was sent while paused"; });
  require(!draining_, "Operators",
          [&] { return name(items.front().seq) + " was sent after the owner was told to end"; });
  require(now >= not_before_, "Isolation", [&] { return plan_.settings.name + " asked for more time than it got"; });
  require(!items.empty() && items.size() <= plan_.settings.batch, "Bounded memory",
          [&] { return plan_.settings.name + ": a request of " + std::to_string(items.size()) + " messages"; });
  auto previous = previous_;
  for (const auto& item : items) {
    check_item(item, previous);
    previous = item.seq;
  }
  request_.clear();
  for (const auto& item : items) request_.push_back(item.seq);
  under_way_ = true;
}

void book::check_item(const core::send_item& item, sequence previous) const {
  const auto seq = item.seq;
  require(seq > sequence{} && seq <= last(), "No loss", [&] { return name(seq) + " was sent and never accepted"; });
  require(seq > previous, "Order", [&] { return name(seq) + " was sent after " + text(previous); });
  require(item.previous == previous, "Order", [&] {
    return name(seq) + " names " + text(item.previous) + " as the one before it, which was " + text(previous);
  });
  const auto& e = entries_[seq.value()];
  require(item.at == e.at && item.message && item.message->id() == e.message_id, "Order",
          [&] { return name(seq) + " was sent with another message than was accepted"; });
  const auto made_of = std::to_string(item.at.value()) + "/" + std::to_string(plan_.own_chain ? plan_.id.value() : 0U);
  require(item.body && item.body->content_type == made_of, "Order",
          [&] { return name(seq) + " was sent with another message's result"; });
  require(!is(seq, settled | over), "Effectively once",
          [&] { return name(seq) + " was sent again after it was settled"; });
  require(!is(seq, excluded), "Order", [&] { return name(seq) + " was sent, and its result leaves it out"; });
  for (auto gap = previous + 1; gap < seq; ++gap)
    require(is(gap, settled), "Effectively once",
            [&] { return name(seq) + " was sent before it was durable that nothing comes of " + text(gap); });
}

void book::took(const core::send_item& item, epoch owner, bool late) {
  const auto seq = item.seq;
  const bool stale = owner < newest_;
  require(!stale || late, "One owner", [&] { return name(seq) + " came under an epoch that had gone by"; });
  newest_ = std::max(newest_, owner);
  if (is(seq, taken)) {
    require(late || !plan_.transactional, "Effectively once", [&] { return name(seq) + " was written twice"; });
    return;
  }
  if (!stale) check_first(seq); // a message that the later owner settled without delivery may still get through once
  mark(seq, taken);
  highest_ = std::max(highest_, seq);
  if (is(seq, settled)) return;
  ++unsaved_;
  require(unsaved_ <= plan_.settings.max_unsaved, "Effectively once",
          [&] { return name(seq) + " makes " + std::to_string(unsaved_) + " messages that would be delivered again"; });
}

void book::check_first(sequence seq) {
  require(seq > highest_, "Order", [&] { return name(seq) + " came after " + text(highest_); });
  while (complete_ < last() && is(complete_ + 1, taken | settled)) ++complete_;
  require(complete_ + 1 >= seq, "Order", [&] { return name(seq) + " came before " + text(complete_ + 1); });
}

void book::confirmed(const core::send_request& request) {
  for (const auto& item : request.items) {
    require(is(item.seq, taken), "No loss", [&] { return name(item.seq) + " was confirmed and never taken"; });
    mark(item.seq, acknowledged);
  }
}

void book::answered(const core::receiver_answer& how, time_point now) {
  under_way_ = false;
  if (const auto* trouble = std::get_if<core::failing>(&how); trouble != nullptr && trouble->retry_after)
    not_before_ = now + *trouble->retry_after;
  if (!std::holds_alternative<core::confirmed>(how)) return;
  for (const auto seq : request_) mark(seq, over);
  previous_ = request_.back();
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
  const bool justified = record.reason == core::hold_reason::refused     ? is(record.seq, refused)
                         : record.reason == core::hold_reason::exhausted ? is(record.seq, exhausted)
                                                                         : is(record.seq, refused | exhausted);
  require(justified, "No loss", [&] { return name(record.seq) + " is held without a reason"; });
}

void book::saved(const core::progress_record& before, const core::progress_record& after) {
  const auto& above = after.above;
  require(after.watermark >= before.watermark && after.watermark <= last(), "No loss",
          [&] { return name(before.watermark) + " was the saved watermark, which moved to " + text(after.watermark); });
  require(std::ranges::adjacent_find(above, std::ranges::greater_equal{}) == above.end() &&
            (above.empty() || above.front() > after.watermark + 1) &&
            above.size() <= std::size_t{plan_.settings.window} + plan_.settings.max_unsaved,
          "Bounded memory", [&] { return plan_.settings.name + ": what is settled above the watermark is malformed"; });
  for (auto seq = before.watermark + 1; seq <= after.watermark; ++seq) {
    settle(seq);
    if (is(seq, over)) letters_ = 0;
    if (is(seq, letter)) ++letters_;
  }
  for (const auto seq : above) settle(seq);
  require(settled_ == after.watermark.value() + above.size(), "Effectively once",
          [&] { return plan_.settings.name + ": something that was settled is no longer"; });
  const auto delivered = after.last_delivered;
  require(delivered >= before.last_delivered && (delivered == sequence{} || is(delivered, acknowledged)), "Order",
          [&] { return name(delivered) + " was saved as the last delivered one"; });
  require(letters_ <= plan_.settings.max_dead_letters && letters_ == after.dead_letters_in_a_row, "No loss",
          [&] { return plan_.settings.name + " has " + std::to_string(letters_) + " dead letters in a row"; });
}

void book::settle(sequence seq) {
  if (is(seq, settled)) return;
  require(is(seq, acknowledged | without | skip | letter), "No loss",
          [&] { return name(seq) + " was saved as settled, and its receiver has never confirmed it"; });
  mark(seq, settled);
  ++settled_;
  if (is(seq, taken)) --unsaved_;
}

void book::finished(const core::progress_record& saved) const {
  require(saved.watermark == last(), "No loss",
          [&] { return name(saved.watermark) + " is where it ended, and " + text(last()) + " were accepted"; });
  for (sequence seq{1}; seq <= last(); ++seq)
    require(is(seq, taken | without | skip | letter), "No loss",
            [&] { return name(seq) + " is neither delivered nor recorded"; });
}

} // namespace reseq::simulation
