#include "journal.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "reseq/core/progress.hpp"
#include "reseq/store/codec.hpp"
#include "violation.hpp"
#include "world.hpp"

namespace reseq::simulation {

namespace {

/// Of several ids the same, now and then.
std::uint64_t key_of(const std::string& id) { return std::hash<std::string>{}(id) % 61 << 58U; }

} // namespace

journal::journal(world& with) : world_(with), lanes_(with.plan.destinations.size()) {
  for (const auto& d : with.plan.destinations) lane(d.id).progress.destination = d.id;
}

epoch journal::open() {
  doubt_.reset();
  adopted_.clear();
  opened_ = {};
  owned_ = std::make_unique<store::owned_shard>(1, world_.plan.behind);
  owned_->owner = ++owner_;
  auto records = recorded();
  owned_->behind.start(indexed_);
  for (const auto& d : world_.plan.destinations) owned_->behind.start(d.id, sequence{lane(d.id).enrolment.size()});
  for (auto at = indexed_ + 1; at.value() <= messages_.size(); ++at) {
    const auto& [message, enrolled] = messages_[at.value() - 1];
    owned_->behind.add(at, key_of(message->id()), enrolled);
  }
  owned_->heads.last = position{messages_.size()};
  owned_->has_unrouted = !unrouted_.empty();
  std::vector<store::destination_spec> specs;
  for (const auto& d : world_.plan.destinations) specs.push_back({d.settings.name, d.settings.max_pending});
  records.describe(specs, *owned_, opened_);
  return owner_;
}

store::recorded_shard journal::recorded() const {
  store::recorded_shard records;
  for (const auto& d : world_.plan.destinations) {
    const auto& l = lane(d.id);
    auto& record = records.at(d.id);
    record.name = d.settings.name;
    record.progress = l.progress;
    for (const auto& [seq, held] : l.held) record.held.push_back(held);
    for (const auto& [key, from] : l.parked) record.parked.push_back({d.id, key, from});
  }
  return records;
}

std::vector<core::destination_setup> journal::setups() const {
  std::vector<core::destination_setup> all;
  for (const auto& d : world_.plan.destinations) {
    const auto& state = opened_.destinations[d.id.value() - 1];
    all.push_back({d.id, d.settings, state.last, state.progress, state.held, state.parked, d.own_chain});
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

result<std::vector<store::shard_committed>> journal::commit(const std::vector<store::shard_commit>& parts) {
  const auto& rates = world_.plan.faults;
  const bool fails = world_.fault(rates.commit_fails);
  const bool in_doubt = !fails && world_.fault(rates.commit_in_doubt);
  const bool happens = !fails && (!in_doubt || world_.choose.chance(500));
  clear_doubt();
  auto batch = std::make_unique<store::staged_batch>();
  for (const auto& wanted : parts) {
    auto decided = stage(*batch, wanted);
    if (happens) write(*batch->find(*owned_), wanted, decided);
    world_.tell("a commit accepts ", decided.accepted_from.size(), " of ", wanted.submissions.size(),
                " submissions and saves ", wanted.change.progress.size(), " lanes",
                happens ? "" : ": nothing of it happened", in_doubt ? ", and is in doubt" : "");
  }
  if (in_doubt) {
    doubt_ = {std::move(batch), happens};
    return fail(errc::in_doubt, "the connection broke in COMMIT");
  }
  auto answers = batch->finish(fails ? fail(errc::unavailable, "nothing happened") : result<void>{});
  if (answers && !answers->empty()) {
    auto& accepted = answers->front().accepted;
    accepted.insert(accepted.begin(), adopted_.begin(), adopted_.end());
    adopted_.clear();
  }
  return answers;
}

/// Decides what comes of it, in the owner's memory.
core::sequenced journal::stage(store::staged_batch& batch, const store::shard_commit& wanted) {
  auto& staged = batch.stage(*owned_);
  staged.settle(wanted.change);
  auto& answer = batch.answer();
  auto decided = staged.sequence(wanted.submissions, look_up(staged, wanted.submissions));
  check(decided, wanted.submissions.size());
  answer = {decided.receipts, std::move(decided.accepted)};
  for (const auto& accepted : answer.accepted) staged.stored(accepted, key_of(accepted.message->id()));
  if (!decided.unrouted.empty()) staged.stored_unrouted();
  decided.accepted = answer.accepted;
  return decided;
}

store::known_ids journal::look_up(const store::staged_shard& staged, const std::vector<submission>& wanted) const {
  store::known_ids known;
  for (const auto& one : wanted) {
    const auto& id = one.message->id();
    const auto key = key_of(id);
    auto candidates = staged.find(key);
    const auto [first, end] = id_index_.equal_range(key);
    for (auto at = first; at != end; ++at) candidates.push_back(at->second);
    for (const auto at : candidates)
      if (messages_[at.value() - 1].message->id() == id) known.emplace(id, ids_.at(id));
    if (owned_->has_unrouted && unrouted_.contains(id)) known.emplace(id, ids_.at(id));
  }
  return known;
}

void journal::write(store::staged_shard& staged, const store::shard_commit& wanted, const core::sequenced& decided) {
  apply(wanted.change);
  for (std::size_t i = 0; i < decided.accepted.size(); ++i)
    store(wanted.submissions[decided.accepted_from[i]], decided.accepted[i]);
  for (const auto index : decided.unrouted) {
    const auto& one = wanted.submissions[index];
    unrouted_.insert(one.message->id());
    ids_.emplace(one.message->id(), core::known_id{{}, one.fingerprint});
  }
  write_indexes(staged.indexes());
}

void journal::write_indexes(const store::write_behind::slice& slice) {
  for (const auto& chunk : slice.chunks) {
    auto& l = lane(chunk.destination);
    require(chunk.first.value() == l.enrolment.size() + 1, "No loss", [&] { return "the index has a gap"; });
    const auto decoded = store::decode_positions(chunk.positions);
    l.enrolment.insert(l.enrolment.end(), decoded.begin(), decoded.end());
  }
  for (const auto& [key, at] : slice.ids) id_index_.emplace(key, at);
  if (slice.indexed) indexed_ = *slice.indexed;
}

/// As after the owner has got a connection again, and waited for what the old one had under way.
void journal::clear_doubt() {
  if (!doubt_) return;
  auto before = std::move(*std::exchange(doubt_, std::nullopt));
  if (!before.happened) return before.staged->undo();
  for (auto& part : before.staged->publish())
    adopted_.insert(adopted_.end(), part.accepted.begin(), part.accepted.end());
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

position journal::look_up(destination_id d, sequence seq) const {
  const auto& l = lane(d);
  const auto at = l.places[seq.value() - 1];
  position found;
  if (seq.value() <= l.enrolment.size())
    found = l.enrolment[seq.value() - 1];
  else if (const auto tail = owned_->behind.tail(d, seq, 1); tail && !tail->positions.empty())
    found = tail->positions.front();
  require(found == at || (found == position{} && doubt_), "No loss", [&] {
    return world_.plan.of(d).settings.name + "/" + std::to_string(seq.value()) + " is at position " +
           std::to_string(at.value()) + ", and is looked for at " + std::to_string(found.value());
  });
  return found;
}

result<std::vector<core::backlog_item>> journal::read(const core::read_request& what) {
  if (world_.fault(world_.plan.faults.read_fails)) {
    world_.tell("a read of d", what.destination, "'s backlog fails");
    return fail(errc::unavailable, "the journal is away");
  }
  const auto last = this->last(what.destination);
  std::vector<core::backlog_item> items;
  std::uint64_t bytes = 0;
  for (auto seq = what.from; seq <= last && items.size() < what.max_messages; ++seq) {
    if (!items.empty() && bytes >= what.max_bytes) break;
    const auto at = look_up(what.destination, seq);
    if (at == position{}) break;
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
  const auto lowest = std::ranges::min_element(what.keys, {}, &core::key_cursor::from)->from;
  const auto until = std::min({what.until, last(what.destination), lowest + world_.choose.below(20)});
  core::key_backlog out{{}, sequence{lowest - sequence{1}}};
  std::uint64_t bytes = 0;
  for (auto seq = lowest; seq <= until && out.items.size() < what.max_messages; ++seq) {
    if (!out.items.empty() && bytes >= what.max_bytes) break;
    const auto at = look_up(what.destination, seq);
    if (at == position{}) break;
    out.searched = seq;
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
