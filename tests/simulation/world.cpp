#include "world.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>
#include <string>
#include <utility>

#include "owner.hpp"
#include "reseq/core/shard_mirror.hpp"
#include "violation.hpp"

namespace reseq::simulation {
namespace {

constexpr auto recovery_limit = std::chrono::minutes{10};
constexpr std::uint64_t recovery_steps = 100'000;

enum action : std::uint8_t {
  mail_arrives,
  timer_rings,
  worker_works,
  receiver_acts,
  producer_submits,
  time_passes,
  actions
};

} // namespace

world::world(choices& from, story& to)
  : choose(from), plan(draw_scenario(from)), disk(*this), pool(*this), outside(*this), beside(*this), clients(*this),
    people(*this), next_door(plan.neighbours), told_(to) {
  for (const auto& d : plan.destinations) books_.emplace_back(d);
  open_shard();
}

world::~world() = default;

wall_time world::wall() const {
  return wall_time{std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch())};
}

give_up world::on_giving_up(const core::held_record& record) const {
  return record.reason == core::hold_reason::refused ? plan.of(record.destination).settings.on_refused
                                                     : plan.retry.on_exhausted;
}

void world::open_shard() {
  for (const auto& d : plan.destinations) {
    if (!d.transactional || !fault(plan.faults.receiver_goes_back)) continue;
    outside.go_back(d.id);
    disk.go_back_with(d.id);
  }
  const auto number = disk.open();
  tell("an owner opens the shard with epoch ", number);
  for (const auto& d : plan.destinations) book_of(d.id).opened(disk.progress(d.id));
  boss = std::make_unique<owner>(*this, number);
  boss->lanes.perform();
  pool.find_owner();
}

void world::kill_owner() {
  mail.lose_owner();
  boss.reset();
  pool.lose_owner();
  outside.lose_owner();
  beside.lose_owner();
  clients.lose_owner();
  people.lose_owner();
  const auto after = std::chrono::milliseconds{choose.below(1000)};
  mail.ring_at(now + after, world_party, [this] { open_shard(); });
}

void world::hand_over() {
  tell("the owner has handed over");
  for (auto& b : books_) b.handed_over();
  kill_owner();
}

void world::run() {
  for (std::uint32_t n = 0; n < plan.chaos_steps; ++n) {
    strike();
    step();
  }
  calm = true;
  pool.recover();
  outside.recover();
  beside.recover(!choose.chance(200));
  const auto spared = choose.below(static_cast<std::uint32_t>(plan.destinations.size()) + 1);
  for (const auto& d : plan.destinations) outside.come_back(d.id);
  if (spared > 0) {
    const destination_id still_away{spared};
    const auto& d = plan.of(still_away);
    const bool any_may_park = d.by_key() && d.settings.max_blocked_keys > plan.keys;
    if (any_may_park && choose.chance(700)) {
      finish_but_one_key(still_away);
    } else {
      tell("everybody recovers but d", still_away);
      outside.go_away(still_away);
      finish({still_away, {}}, "Isolation");
      outside.come_back(still_away);
    }
  }
  tell("everybody recovers");
  finish({}, "Liveness");
  check_end();
}

void world::finish_but_one_key(destination_id d) {
  const auto number = choose.below(plan.keys + 1);
  const auto key = number == 0 ? "" : "k" + std::to_string(number);
  outside.poison(d, key, choose.chance(500));
  people.leave_alone(d, key);
  finish({d, key}, "Isolation");
  outside.cure();
  people.leave_nothing_alone();
}

void world::finish(const held_up& but, const char* promise) {
  const auto limit = now + recovery_limit;
  const auto most_steps = steps_ + recovery_steps;
  while (!drained(but)) {
    require(now < limit && steps_ < most_steps, promise, [&] { return "not everything is done in time" + standing(); });
    if (!idle())
      step();
    else if (!people.tidy_up())
      pass_time(promise);
  }
}

bool world::idle() const {
  const bool due = mail.next_ring() && *mail.next_ring() <= now;
  return mail.waiting() == 0 && !due && pool.busy() == 0 && outside.under_way() == 0 && clients.eager() == 0;
}

bool world::drained(const held_up& but) const {
  if (!boss || !boss->accepts || next_door.left() > 0) return false;
  if (but.destination == destination_id{} && (!clients.done() || !idle() || !told_all())) return false;
  return std::ranges::all_of(plan.destinations, [&](const destination_plan& d) {
    const auto& b = books_[d.id.value() - 1];
    if (d.id == but.destination) return !but.key || b.all_saved_but(*but.key);
    return disk.progress(d.id).watermark == b.last();
  });
}

/// The resequencer knows everything that the owner has to say.
bool world::told_all() const {
  const auto* mirror = boss->lanes.machine().outside();
  return mirror == nullptr || beside.is_away() || mirror->lanes().idle();
}

void world::pass_time(const char* promise) {
  const auto next = mail.next_ring();
  require(next.has_value(), promise, [&] { return "nothing happens any more" + standing(); });
  now = std::max(now, *next);
  mail.ring();
  ++steps_;
}

std::string world::standing() const {
  std::string text;
  if (next_door.left() > 0) text += ", the neighbour has " + std::to_string(next_door.left()) + " to do";
  for (const auto& d : plan.destinations)
    text += ", " + d.settings.name + " stands at " + std::to_string(disk.progress(d.id).watermark.value()) + " of " +
            std::to_string(books_[d.id.value() - 1].last().value());
  for (const auto& d : plan.destinations) {
    if (!d.by_key() || !boss) continue;
    const auto status = *boss->lanes.machine().status(d.id);
    text += "; " + d.settings.name + " by key, " + std::to_string(status.parked) + " parked, window " +
            std::to_string(status.pending) + " + " + std::to_string(status.ready) + " of " +
            std::to_string(d.settings.window) + ", blocked";
    for (const auto& head : status.heads) text += " " + std::to_string(head.seq.value()) + " (" + head.phase + ")";
  }
  return text;
}

void world::step() {
  ++steps_;
  const auto next_ring = mail.next_ring();
  const auto pairs = static_cast<std::uint32_t>(mail.waiting());
  std::array<std::uint32_t, actions> weights{};
  weights[mail_arrives] = 6 * std::min(pairs, 4U);
  weights[timer_rings] = next_ring && *next_ring <= now ? 8 : 0;
  weights[worker_works] = 3 * pool.busy();
  weights[receiver_acts] = 3 * outside.under_way();
  weights[producer_submits] = 3 * clients.eager();
  weights[time_passes] = calm ? 0 : 2;
  auto drawn = choose.below(std::max(1U, std::accumulate(weights.begin(), weights.end(), 0U)));
  std::size_t what = 0;
  while (what < actions && drawn >= weights[what]) drawn -= weights[what++];
  switch (what) {
  case mail_arrives: mail.deliver(choose.below(pairs)); break;
  case timer_rings: mail.ring(); break;
  case worker_works: pool.work(); break;
  case receiver_acts: outside.act(); break;
  case producer_submits: clients.submit(); break;
  default:
    now += next_ring && choose.chance(300) ? std::max(*next_ring - now, duration::zero())
                                           : std::chrono::milliseconds{1 + choose.below(100)};
  }
  if (boss && steps_ % 8 == 0) boss->lanes.check_windows();
}

void world::strike() {
  const auto& f = plan.faults;
  const std::array<std::uint32_t, 8> rates{f.owner_dies,          f.owner_hands_over,   f.worker_dies,
                                           f.worker_retires,      f.receiver_goes_away, f.operator_acts,
                                           f.worker_falls_silent, f.resequencer_loses};
  if (!boss || std::ranges::all_of(rates, [](auto r) { return r == 0; })) return;
  const auto luck = choose.below(1000);
  std::uint32_t above = 1000; // the top of the range strikes, so that zero is quiet
  std::size_t which = 0;
  while (which < rates.size() && luck < above - rates[which]) above -= rates[which++];
  switch (which) {
  case 0:
    tell("the owner dies");
    kill_owner();
    break;
  case 1:
    if (!std::exchange(boss->accepts, false)) break;
    tell("the owner is told to hand over");
    mail.post(world_party, shard_party, [this] { boss->lanes.drain(); });
    break;
  case 2: pool.die(); break;
  case 3: pool.retire(); break;
  case 4: toggle_receiver(); break;
  case 5: people.act(); break;
  case 6: pool.fall_silent(); break;
  case 7: beside.strike(); break;
  default: break;
  }
}

void world::toggle_receiver() {
  const auto d = plan.destinations[choose.below(static_cast<std::uint32_t>(plan.destinations.size()))].id;
  outside.is_away(d) ? outside.come_back(d) : outside.go_away(d);
}

void world::check_end() {
  for (const auto& d : plan.destinations) {
    books_[d.id.value() - 1].finished(disk.progress(d.id));
    require(disk.held(d.id).empty(), "No loss", [&] { return d.settings.name + " still holds messages"; });
  }
  require(boss->lanes.machine().messages_in_memory() == 0, "Bounded memory",
          [] { return "the windows are not empty in the end"; });
  require(!plan.outside || !beside.keeps_results(), "Bounded memory",
          [] { return "the resequencer keeps a result in the end"; });
  require(!plan.outside || !beside.keeps_sequences(), "Bounded memory",
          [] { return "the resequencer keeps a sequence in the end"; });
  require(!plan.outside || !beside.lags(), "Divergence",
          [] { return "the resequencer does not know how far a lane is in the end"; });
  require(!pool.result_is_kept(), "Bounded memory", [] { return "a result is kept in the end"; });
  require(boss->work.wanted().empty(), "Bounded memory",
          [&] { return "the dispatcher still has work in the end, of " + boss->work.wanted(); });
  require(boss->work.table().waiting() == 0, "Bounded memory",
          [] { return "the dispatch table still has work in the end"; });
  require(boss->work.table().in_flight() <= pool.hanging(), "Bounded memory",
          [] { return "a worker's slot is still taken in the end"; });
}

} // namespace reseq::simulation
