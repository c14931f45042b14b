#include "shard_world.hpp"

#include <algorithm>

namespace reseq::core::test {
namespace {

constexpr std::uint64_t largest_message = 60;
constexpr std::uint64_t largest_result = 30;

std::string text(destination_id d, sequence seq) {
  return std::to_string(d.value()) + "/" + std::to_string(seq.value());
}

} // namespace

shard_world::shard_world(std::uint64_t seed) : random_(seed) {
  on_exhausted_ = chance(50) ? give_up::hold : give_up::dead_letter;
  destinations_.resize(1 + below(4));
  for (std::uint32_t i = 0; i < destinations_.size(); ++i) {
    auto& setup = destinations_[i].setup;
    setup.id = destination_id{i + 1};
    setup.progress.destination = setup.id;
    setup.own_chain = chance(25);
    auto& s = setup.settings;
    s.name = "d" + std::to_string(i + 1);
    s.window = static_cast<std::uint32_t>(1 + below(12));
    s.window_bytes = 20 + below(400);
    s.max_unsaved = static_cast<std::uint32_t>(1 + below(6));
    s.batch = static_cast<std::uint32_t>(1 + below(s.max_unsaved));
    s.on_refused = chance(50) ? give_up::hold : give_up::dead_letter;
    s.max_dead_letters = static_cast<std::uint32_t>(below(4));
    s.retry_max = std::chrono::seconds{1 + below(5)};
  }
  start();
}

void shard_world::step() {
  auto& d = *random_destination();
  const auto dice = below(1000);
  if (dice < 150)
    commit();
  else if (dice < 280)
    announce();
  else if (dice < 500)
    answer_work();
  else if (dice < 690)
    answer_request(d);
  else if (dice < 790)
    answer_read(d);
  else if (dice < 900)
    answer_save();
  else if (dice < 940)
    pass_time();
  else if (dice < 970)
    operate(d);
  else if (dice < 985)
    late_events();
  else if (dice < 992)
    d.receiver_down = !d.receiver_down;
  else
    crash();
  perform();
  check_state();
}

void shard_world::recover_and_finish() {
  healthy_ = true;
  for (auto& d : destinations_) {
    d.receiver_down = false;
    shard_->resume(next_token_++, d.setup.id, now_, {});
  }
  for (int round = 0; round < 20'000 && violation_.empty(); ++round) {
    while (!committed_.empty()) announce();
    answer_work();
    answer_save();
    for (auto& d : destinations_) {
      answer_read(d);
      answer_request(d);
      if (round % 50 == 0) shard_->retry(next_token_++, d.setup.id, std::nullopt, now_, {});
    }
    pass_time();
    perform();
    check_state();
    const bool done = std::ranges::all_of(destinations_, [](const destination& d) {
      return d.setup.progress.watermark.value() == d.journal.size() && !d.request;
    });
    if (done && !saving_) break;
  }
  check_end();
}

std::uint64_t shard_world::below(std::uint64_t bound) { return random_() % bound; }

void shard_world::expect(bool holds, const std::string& promise) {
  if (!holds && violation_.empty()) violation_ = promise;
}

shard_world::destination* shard_world::random_destination() { return &destinations_[below(destinations_.size())]; }

bool shard_world::is_saved(const destination& d, sequence seq) {
  const auto& p = d.setup.progress;
  return seq <= p.watermark || std::ranges::find(p.above, seq) != p.above.end();
}

void shard_world::start() {
  std::vector<destination_setup> setups;
  for (auto& d : destinations_) {
    d.setup.last = sequence{d.journal.size()};
    d.handed.clear();
    d.confirmed.clear();
    d.excluded.clear();
    d.request.reset();
    d.read.reset();
    d.previous = d.setup.progress.last_delivered;
    setups.push_back(d.setup);
  }
  asked_.clear();
  committed_.clear();
  tokens_.clear();
  shard_.emplace(std::move(setups), on_exhausted_, random_(), now_, epoch{1});
}

void shard_world::crash() {
  if (saving_ && chance(50)) apply(*saving_);
  saving_.reset();
  for (auto& d : destinations_)
    if (d.request && chance(50)) take_in(d, *d.request, 1 + below(d.request->items.size()));
  if (chance(20)) lose();
  start();
}

/// The journal has gone backwards and was recovered: some sequences have no messages.
void shard_world::lose() {
  auto& d = *random_destination();
  const sequence first{d.journal.size() + 1};
  for (auto n = 1 + below(30); n > 0; --n) d.journal.push_back({position{++last_position_}, nullptr});
  d.setup.lost.push_back({first, sequence{d.journal.size()}});
  for (auto seq = first; seq.value() <= d.journal.size(); ++seq) d.may_go_without.insert(seq);
}

void shard_world::commit() {
  for (auto n = 1 + below(4); n > 0; --n) {
    accepted_message m{position{++last_position_}, nullptr, {}};
    m.message = std::make_shared<message>("m", "", content{std::string(below(largest_message), 'm'), "", {}});
    for (auto& d : destinations_) {
      if (destinations_.size() > 1 && chance(30)) continue;
      d.journal.push_back({m.at, m.message});
      m.enrolled.push_back({d.setup.id, sequence{d.journal.size()}});
    }
    committed_.push_back(std::move(m));
  }
}

void shard_world::announce() {
  std::vector<accepted_message> batch;
  for (auto n = 1 + below(6); n > 0 && !committed_.empty(); --n) {
    batch.push_back(std::move(committed_.front()));
    committed_.pop_front();
  }
  shard_->accepted(batch, now_);
}

void shard_world::answer_work() {
  if (asked_.empty()) return;
  const auto which = std::next(asked_.begin(), static_cast<std::ptrdiff_t>(below(asked_.size())));
  const auto [at, chain] = which->first;
  const auto [head, asked] = which->second;
  if (!healthy_ && chance(15)) {
    if (!head) return; // only heads are given up
    asked_.erase(which);
    shard_->gave_up({position{at}, chain_index{chain}, 5, "boom", asked}, now_, {});
    return;
  }
  work_result done;
  if (healthy_ || !chance(15)) done.body = make_result();
  if (!healthy_ && done.body && chance(10)) done.only_to = {random_destination()->setup.id};
  for (auto& d : destinations_) {
    const bool lane_of_it = chain == (d.setup.own_chain ? d.setup.id.value() : 0);
    const bool without = !done.body || (done.only_to && done.only_to->front() != d.setup.id);
    const auto here = std::ranges::find(d.journal, position{at}, &stored::at);
    if (lane_of_it && without && here != d.journal.end())
      note_exclusion(d, sequence{static_cast<std::uint64_t>(here - d.journal.begin()) + 1});
  }
  asked_.erase(which);
  shard_->worked({{position{at}, chain_index{chain}, std::move(done), asked}}, now_);
}

void shard_world::answer_request(destination& d) {
  if (!d.request) return;
  const auto request = *std::exchange(d.request, std::nullopt);
  if (d.receiver_down || (!healthy_ && chance(20))) {
    if (chance(30)) take_in(d, request, 1 + below(request.items.size())); // got through, the answer did not
    receiver_answer trouble = failing{"503", std::nullopt};
    if (chance(20)) trouble = failing{"429", std::chrono::seconds{1 + below(5)}};
    if (chance(20)) trouble = stale{epoch{below(3)}};
    shard_->answered(d.setup.id, request.id, trouble, now_, {});
    return;
  }
  const bool all_new = std::ranges::none_of(request.items, [&](const send_item& i) { return d.taken.contains(i.seq); });
  if (!healthy_ && all_new && chance(15)) {
    shard_->answered(d.setup.id, request.id, refused{"422"}, now_, {});
    return;
  }
  take_in(d, request, request.items.size());
  for (const auto& item : request.items) d.confirmed.insert(item.seq);
  d.previous = request.items.back().seq;
  shard_->answered(d.setup.id, request.id, confirmed{}, now_, {});
}

void shard_world::answer_read(destination& d) {
  if (!d.read) return;
  const auto asked = *std::exchange(d.read, std::nullopt);
  if (!healthy_ && chance(15)) {
    shard_->backlog_failed(d.setup.id, now_);
    return;
  }
  std::vector<backlog_item> items;
  std::uint64_t bytes = 0;
  for (auto seq = asked.from; seq.value() <= d.journal.size() && items.size() < asked.max_messages; ++seq) {
    const auto& m = d.journal[seq.value() - 1];
    if (!m.message || (!items.empty() && bytes >= asked.max_bytes)) break;
    bytes += m.message->size_bytes();
    items.push_back({seq, m.at, m.message});
  }
  shard_->backlog(d.setup.id, std::move(items), now_);
}

void shard_world::answer_save() {
  if (!saving_) return;
  const auto change = *std::exchange(saving_, std::nullopt);
  if (!healthy_ && chance(20)) {
    shard_->save_failed(now_);
    return;
  }
  apply(change);
  shard_->saved(now_);
}

void shard_world::operate(destination& d) {
  const auto token = next_token_++;
  tokens_.insert(token);
  const auto dice = below(4);
  const sequence seq{1 + below(d.journal.size() + 1)};
  if (dice == 0) shard_->pause(token, d.setup.id, now_, {});
  if (dice == 1) resume(d, token);
  if (dice == 2) shard_->retry(token, d.setup.id, std::nullopt, now_, {});
  if (dice == 3) {
    auto which = seq;
    if (const auto status = shard_->status(d.setup.id); !status->held.empty()) which = status->held.front().seq;
    if (const auto at = shard_->find(d.setup.id, which); at && at->state == "held") d.may_go_without.insert(which);
    shard_->skip(token, d.setup.id, which, now_, {});
  }
}

/// What waits for nothing but its receiver goes at once, however often that has failed.
void shard_world::resume(destination& d, std::uint64_t token) {
  const auto head = shard_->status(d.setup.id)->head;
  const bool goes = head && head->phase == "delivery" && !d.request;
  shard_->resume(token, d.setup.id, now_, {});
  perform();
  expect(!goes || d.request, text(d.setup.id, goes ? head->seq : sequence{}) + ": is not sent after a resume");
}

void shard_world::late_events() {
  const auto before = shard_->counters().late_answers;
  auto& d = *random_destination();
  shard_->answered(d.setup.id, request_id{1'000'000}, confirmed{}, now_, {});
  shard_->worked({{position{last_position_ + 100}, chain_index{}, {make_result(), {}}, asking{1}}}, now_);
  expect(shard_->counters().late_answers == before + 2, "late answers are counted");
  shard_->backlog(destination_id{77}, {}, now_);
  shard_->tick(now_);
}

void shard_world::pass_time() {
  now_ += std::chrono::milliseconds{below(300)};
  if (const auto due = shard_->wakeup(); due && chance(70)) now_ = std::max(now_, *due);
  shard_->tick(now_);
}

content_ptr shard_world::make_result() {
  auto made = std::make_shared<const content>(content{std::string(below(largest_result), 'r'), "", {}});
  results_.push_back(made);
  return made;
}

void shard_world::note_exclusion(destination& d, sequence seq) {
  d.may_go_without.insert(seq);
  const auto status = *shard_->status(d.setup.id);
  const bool being_held = status.head && status.head->seq == seq && status.head->phase == "saving";
  if (const auto found = shard_->find(d.setup.id, seq); !being_held && found && found->state == "pending")
    d.excluded.insert(seq);
}

void shard_world::perform() {
  auto todo = shard_->take();
  for (const auto& w : todo.withdrawn) asked_.erase({w.at.value(), w.chain.value()});
  for (const auto& w : todo.work)
    expect(asked_.emplace(work_id{w.at.value(), w.chain.value()}, asked_work{w.head, w.asked}).second,
           "work is asked for once");
  for (const auto& w : todo.heads)
    if (const auto found = asked_.find({w.at.value(), w.chain.value()}); found != asked_.end())
      found->second.head = true;
  for (const auto& r : todo.reads) {
    auto& d = destinations_[r.destination.value() - 1];
    expect(!d.read, "one read a destination at a time");
    expect(r.max_messages > 0 && r.max_messages <= d.setup.settings.window, "a read stays within the window");
    d.read = r;
  }
  for (auto& request : todo.sends) take_send(std::move(request));
  if (todo.save) {
    expect(!saving_, "one save at a time");
    expect(!todo.save->empty() || !todo.answers.empty(), "an empty change is not saved");
    saving_ = std::move(todo.save);
  }
  for (const auto& answer : todo.answers) {
    if (healthy_) continue;
    expect(tokens_.erase(answer.token) == 1, "an operator is answered once");
  }
}

void shard_world::take_send(send_request request) {
  auto& d = destinations_[request.destination.value() - 1];
  expect(!d.request, "one request a destination at a time");
  expect(!request.items.empty() && request.items.size() <= d.setup.settings.batch, "a request is 1 to batch messages");
  std::set<sequence> inside;
  auto previous = d.previous;
  for (const auto& item : request.items) {
    const auto what = text(d.setup.id, item.seq);
    expect(item.previous == previous, what + ": names " + std::to_string(item.previous->value()) + " as previous");
    expect(item.seq > previous, what + ": sent in order");
    expect(!is_saved(d, item.seq), what + ": what is saved as settled is not sent again");
    expect(item.at == d.journal[item.seq.value() - 1].at, what + ": is the message of its position");
    expect(!d.excluded.contains(item.seq), what + ": what a result excluded is not sent");
    expect(item.body != nullptr && item.message != nullptr, what + ": has a body");
    for (sequence q{1}; q < item.seq; ++q)
      expect(!d.journal[q.value() - 1].message || is_saved(d, q) || d.confirmed.contains(q) || inside.contains(q),
             what + ": sent before the outcome of " + std::to_string(q.value()) + " was sure");
    inside.insert(item.seq);
    d.handed.insert(item.seq);
    previous = item.seq;
  }
  const auto unsaved = std::ranges::count_if(d.handed, [&](sequence s) { return !is_saved(d, s); });
  expect(static_cast<std::uint64_t>(unsaved) <= d.setup.settings.max_unsaved,
         "at most max_unsaved sent ahead of saves");
  d.request = std::move(request);
}

void shard_world::take_in(destination& d, const send_request& request, std::size_t items) {
  for (std::size_t i = 0; i < items; ++i) {
    const auto seq = request.items[i].seq;
    if (!d.taken.contains(seq))
      expect(d.taken.empty() || seq > *d.taken.rbegin(), text(d.setup.id, seq) + ": first deliveries are in order");
    d.taken.insert(seq);
  }
}

void shard_world::apply(const journal_change& change) {
  for (const auto& p : change.progress) {
    auto& d = destinations_[p.destination.value() - 1];
    expect(p.watermark >= d.setup.progress.watermark, "progress never moves back");
    for (const auto seq : d.setup.progress.above)
      expect(seq <= p.watermark || std::ranges::find(p.above, seq) != p.above.end(), "what was settled stays settled");
    expect(p.above.size() <= std::size_t{d.setup.settings.window} + d.setup.settings.max_unsaved, "above is bounded");
    for (const auto& letter : change.dead_letters)
      if (letter.destination == p.destination) d.may_go_without.insert(letter.seq);
    auto settled = p.above;
    for (auto seq = d.setup.progress.watermark + 1; seq <= p.watermark; ++seq) settled.push_back(seq);
    for (const auto seq : settled)
      expect(d.taken.contains(seq) || d.may_go_without.contains(seq), text(p.destination, seq) + ": lost");
    d.setup.progress = p;
  }
  const auto remove = [&](destination_id id, sequence seq) {
    std::erase_if(destinations_[id.value() - 1].setup.held, [&](const held_record& h) { return h.seq == seq; });
  };
  for (const auto& key : change.unheld) remove(key.destination, key.seq);
  for (const auto& record : change.held) {
    remove(record.destination, record.seq);
    destinations_[record.destination.value() - 1].setup.held.push_back(record);
  }
}

void shard_world::check_state() {
  std::uint64_t most_bytes = 0;
  for (const auto& d : destinations_) {
    const auto status = *shard_->status(d.setup.id);
    const auto& s = d.setup.settings;
    expect(status.pending + status.ready <= s.window, s.name + ": the window's messages are bounded");
    most_bytes += s.window_bytes + largest_message + 1 + s.window * largest_result;
    expect(status.settled == d.setup.progress.watermark, s.name + ": settled is what is saved");
    for (const auto& held : status.held)
      expect(std::ranges::find(d.setup.held, held.seq, &held_record::seq) != d.setup.held.end(),
             s.name + ": shown as held before it is durable");
    if (!status.head || status.head->phase != "transform") continue;
    const auto found = asked_.find({status.head->at.value(), status.head->chain.value()});
    expect(found != asked_.end() && found->second.head, s.name + ": the head is being worked on, as a head");
  }
  expect(shard_->bytes_in_memory() <= most_bytes, "the windows' bytes are bounded");
}

void shard_world::check_end() {
  for (const auto& d : destinations_) {
    const auto& name = d.setup.settings.name;
    expect(d.setup.progress.watermark.value() == d.journal.size(), name + ": everything is settled in the end");
    for (sequence seq{1}; seq.value() <= d.journal.size(); ++seq)
      expect(d.taken.contains(seq) || d.may_go_without.contains(seq), text(d.setup.id, seq) + ": lost");
    expect(d.setup.held.empty(), name + ": nothing is held in the end");
  }
  expect(shard_->messages_in_memory() == 0 && shard_->bytes_in_memory() == 0, "the windows are empty in the end");
  for (const auto& result : results_) expect(result.expired(), "no result stays in memory in the end");
  expect(asked_.empty(), "no work is left over in the end");
  shard_->drain();
  expect(shard_->drained(), "a shard at rest is drained");
}

} // namespace reseq::core::test
