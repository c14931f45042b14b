#include "journal.hpp"

#include <algorithm>
#include <utility>

#include "reseq/core/progress.hpp"
#include "violation.hpp"
#include "world.hpp"

namespace reseq::simulation {

journal::journal(world& with) : world_(with), lanes_(with.plan.destinations.size()) {
  for (const auto& d : with.plan.destinations) lane(d.id).progress.destination = d.id;
}

epoch journal::open() {
  in_doubt_ = false;
  read_heads();
  handed_out_ = position{messages_.size()};
  return ++owner_;
}

void journal::read_heads() {
  heads_.last = position{messages_.size()};
  for (const auto& d : world_.plan.destinations) {
    const auto& l = lane(d.id);
    const sequence limit{l.progress.settled_messages() + d.settings.max_pending};
    heads_.destinations[d.id] = {d.settings.name, sequence{l.places.size()}, limit};
  }
}

std::vector<core::destination_setup> journal::setups() const {
  std::vector<core::destination_setup> all;
  for (const auto& d : world_.plan.destinations) {
    const auto& l = lane(d.id);
    core::destination_setup one{d.id, d.settings, sequence{l.places.size()}, l.progress, {}, {}, d.own_chain};
    for (const auto& [seq, record] : l.held) one.held.push_back(record);
    for (const auto& [key, from] : l.parked) one.parked.push_back({d.id, key, from});
    all.push_back(std::move(one));
  }
  return all;
}

void journal::go_back_with(destination_id d) {
  auto& l = lane(d);
  auto& book = world_.book_of(d);
  const auto has = book.highest();
  if (!core::progress::is_ahead_of(l.progress, has)) return;
  const auto first = std::ranges::upper_bound(l.letters, has);
  const auto end = std::ranges::upper_bound(l.letters, l.progress.watermark);
  auto before = std::exchange(l.progress, core::progress::gone_back(l.progress, has, {first, end}));
  ++owner_;
  world_.tell("d", d, "'s progress goes back from ", before.watermark, " to ", l.progress.watermark);
  book.gone_back(before, l.progress);
}

result<journal::committed> journal::commit(const std::vector<submission>& submissions,
                                           const core::journal_change& change) {
  const auto& rates = world_.plan.faults;
  if (world_.fault(rates.commit_fails)) {
    world_.tell("a commit fails: nothing of it happened");
    return fail(errc::unavailable, "nothing happened");
  }
  const bool in_doubt = world_.fault(rates.commit_in_doubt);
  apply(change);
  if (std::exchange(in_doubt_, false)) read_heads();
  std::unordered_map<std::string, core::known_id> known;
  for (const auto& wanted : submissions)
    if (const auto* found = find(wanted.message->id())) known.emplace(wanted.message->id(), *found);
  auto decided = core::sequence_batch(heads_, submissions, known);
  check(decided, submissions.size());
  for (std::size_t i = 0; i < decided.accepted.size(); ++i)
    store(submissions[decided.accepted_from[i]], decided.accepted[i]);
  for (const auto index : decided.unrouted)
    ids_.emplace(submissions[index].message->id(), core::known_id{{}, submissions[index].fingerprint});
  world_.tell("a commit accepts ", decided.accepted.size(), " of ", submissions.size(), " submissions and saves ",
              change.progress.size(), " lanes", in_doubt ? "; it happened, and is reported as failed" : "");
  if (in_doubt) {
    in_doubt_ = true;
    return fail(errc::in_doubt, "the connection broke in COMMIT");
  }
  heads_.take(decided.next);
  return committed{std::move(decided.receipts), not_handed_out()};
}

void journal::check(const core::sequenced& decided, std::size_t wanted) const {
  require(decided.receipts.size() == wanted, "Idempotent receipt", [] { return "a submission got no receipt"; });
  require(std::ranges::is_sorted(decided.accepted_from), "Order",
          [] { return "a batch was accepted in another order than it came in"; });
  for (const auto& answer : decided.receipts) {
    if (answer || answer.error().code != errc::full) continue;
    const bool full = std::ranges::any_of(world_.plan.destinations, [&](const destination_plan& d) {
      return d.settings.name == answer.error().where && d.settings.max_pending < 1000;
    });
    require(full, "No loss", [&] { return answer.error().where + " was called full"; });
  }
}

void journal::store(const submission& wanted, const core::accepted_message& accepted) {
  const auto& id = accepted.message->id();
  require(accepted.at.value() == messages_.size() + 1, "Order", [&] {
    return "position " + std::to_string(accepted.at.value()) + " was assigned when " +
           std::to_string(messages_.size() + 1) + " was next";
  });
  require(ids_.emplace(id, core::known_id{accepted.at, wanted.fingerprint}).second, "Idempotent receipt",
          [&] { return id + " was accepted twice"; });
  messages_.push_back({accepted.message, accepted.enrolled});
  for (const auto& [destination, seq] : accepted.enrolled) {
    auto& l = lane(destination);
    world_.book_of(destination).enrolled(seq, accepted.at, *accepted.message);
    l.places.push_back(accepted.at);
    const auto settled = l.progress.settled_messages();
    require(l.places.size() - settled <= world_.plan.of(destination).settings.max_pending, "Bounded memory",
            [&] { return id + " was accepted into a full backlog"; });
  }
}

std::vector<core::accepted_message> journal::not_handed_out() {
  std::vector<core::accepted_message> news;
  while (handed_out_.value() < messages_.size()) {
    const auto& m = messages_[handed_out_.value()];
    ++handed_out_;
    news.push_back({handed_out_, m.message, m.enrolled});
  }
  return news;
}

void journal::apply(const core::journal_change& change) {
  for (const auto& done : change.operations) {
    operations_.push_back(done);
    if (done.kind == "skip") world_.book_of(done.destination).skipped(done.seq);
  }
  for (const auto& record : change.dead_letters) {
    require(world_.on_giving_up(record) == give_up::dead_letter, "No loss",
            [&] { return "a message was dead-lettered that should have been held"; });
    world_.book_of(record.destination).dead(record);
    auto& letters = lane(record.destination).letters;
    letters.insert(std::ranges::upper_bound(letters, record.seq), record.seq);
  }
  for (const auto& [destination, key] : change.unparked) lane(destination).parked.erase(key);
  for (const auto& [destination, key, from] : change.parked) lane(destination).parked[key] = from;
  for (const auto& record : change.progress) {
    auto& l = lane(record.destination);
    world_.book_of(record.destination).saved(l.progress, record, l.parked);
    l.progress = record;
    const auto& limit = world_.plan.of(record.destination).settings.max_pending;
    heads_.destinations[record.destination].limit = sequence{record.settled_messages() + limit};
  }
  for (const auto& [destination, seq] : change.unheld) lane(destination).held.erase(seq);
  for (const auto& record : change.held) {
    require(record.reason == core::hold_reason::dead_letters || world_.on_giving_up(record) == give_up::hold, "No loss",
            [&] { return "a message is held that should have been dead-lettered"; });
    world_.book_of(record.destination).held(record);
    lane(record.destination).held.insert_or_assign(record.seq, record);
  }
  check_heads(change);
  for (const auto& d : world_.plan.destinations)
    for (const auto& [seq, record] : lane(d.id).held)
      require(!world_.book_of(d.id).is_saved(seq), "No loss", [&, held = seq] {
        return d.settings.name + "/" + std::to_string(held.value()) + " is held and settled at once";
      });
}

/// Only heads are given up: what went before them is settled, as durably as they are given up.
void journal::check_heads(const core::journal_change& change) const {
  const auto check = [&](const core::held_record& record) {
    require(world_.book_of(record.destination).is_head(record.seq), "Isolation", [&] {
      return world_.plan.of(record.destination).settings.name + "/" + std::to_string(record.seq.value()) +
             " was given up before it was the head";
    });
  };
  std::ranges::for_each(change.held, check);
  std::ranges::for_each(change.dead_letters, check);
}

result<std::vector<core::backlog_item>> journal::read(const core::read_request& what) {
  if (world_.fault(world_.plan.faults.read_fails)) {
    world_.tell("a read of d", what.destination, "'s backlog fails");
    return fail(errc::unavailable, "the journal is away");
  }
  const auto& places = lane(what.destination).places;
  std::vector<core::backlog_item> items;
  std::uint64_t bytes = 0;
  for (auto seq = what.from; seq.value() <= places.size() && items.size() < what.max_messages; ++seq) {
    if (!items.empty() && bytes >= what.max_bytes) break;
    const auto at = places[seq.value() - 1];
    const auto& message = messages_[at.value() - 1].message;
    bytes += message->size_bytes();
    items.push_back({seq, at, message});
  }
  return items;
}

/// Looks at some of it, as the real ones do, and now and then at little.
result<core::key_backlog> journal::search(const core::read_request& what) {
  if (world_.fault(world_.plan.faults.read_fails)) {
    world_.tell("a search of d", what.destination, "'s backlog fails");
    return fail(errc::unavailable, "the journal is away");
  }
  const auto& places = lane(what.destination).places;
  const auto lowest = std::ranges::min_element(what.keys, {}, &core::key_cursor::from)->from;
  const auto until = std::min({what.until, sequence{places.size()}, lowest + world_.choose.below(20)});
  core::key_backlog out{{}, sequence{lowest - sequence{1}}};
  std::uint64_t bytes = 0;
  for (auto seq = lowest; seq <= until && out.items.size() < what.max_messages; ++seq) {
    if (!out.items.empty() && bytes >= what.max_bytes) break;
    out.searched = seq;
    const auto at = places[seq.value() - 1];
    const auto& message = messages_[at.value() - 1].message;
    const auto wanted = std::ranges::find(what.keys, message->key(), &core::key_cursor::key);
    if (wanted == what.keys.end() || seq < wanted->from) continue;
    bytes += message->size_bytes();
    out.items.push_back({seq, at, message});
  }
  return out;
}

const core::known_id* journal::find(const std::string& id) const {
  const auto found = ids_.find(id);
  return found == ids_.end() ? nullptr : &found->second;
}

sequence journal::place(position at, destination_id d) const {
  if (at == position{} || at.value() > messages_.size()) return {};
  for (const auto& [destination, seq] : messages_[at.value() - 1].enrolled)
    if (destination == d) return seq;
  return {};
}

std::size_t journal::operations(const std::string& kind, destination_id d, sequence seq) const {
  return static_cast<std::size_t>(std::ranges::count_if(operations_, [&](const core::operation_record& done) {
    return done.kind == kind && done.destination == d && done.seq == seq;
  }));
}

} // namespace reseq::simulation
