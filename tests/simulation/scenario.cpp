#include "scenario.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>

namespace reseq::simulation {
namespace {

using std::chrono::milliseconds;

/// Half of the kinds of faults are absent from a schedule: those that are left meet each other more often.
std::uint32_t rate(choices& choose, std::uint32_t often) {
  const std::array<std::uint32_t, 4> rates{0, often / 8, often / 3, often};
  return choose.chance(500) ? rates[choose.below(4)] : 0;
}

fault_rates draw_faults(choices& choose) {
  fault_rates f;
  f.owner_dies = rate(choose, 25);
  f.owner_hands_over = rate(choose, 10);
  f.worker_dies = rate(choose, 25);
  f.worker_falls_silent = rate(choose, 10);
  f.worker_retires = rate(choose, 8);
  f.worker_hangs = rate(choose, 300);
  f.answers_twice = rate(choose, 300);
  f.answers_for_others = rate(choose, 200);
  f.transform_fails = rate(choose, 400);
  f.commit_fails = rate(choose, 250);
  f.commit_in_doubt = rate(choose, 250);
  f.read_fails = rate(choose, 300);
  f.receiver_fails = rate(choose, 300);
  f.receiver_goes_away = rate(choose, 15);
  f.connection_breaks = rate(choose, 300);
  f.receiver_hangs = rate(choose, 200);
  f.receiver_goes_back = choose.chance(200) ? 500 : 0;
  f.claims_later_epoch = rate(choose, 60);
  f.operator_acts = rate(choose, 60);
  f.producer_resends = rate(choose, 200);
  f.producer_contradicts = rate(choose, 200);
  f.windows_shrink = rate(choose, 500);
  return f;
}

outcome_rates draw_outcomes(choices& choose) {
  outcome_rates o;
  o.fickle = choose.chance(500);
  o.drops = rate(choose, 400);
  o.narrows = rate(choose, 400);
  o.never_works = rate(choose, 150);
  o.refused = rate(choose, 250);
  o.poison = rate(choose, 200);
  o.freezes = rate(choose, 1000);
  if (choose.chance(150)) o.deadly = choose.chance(500) ? 1000 : choose.below(1000);
  return o;
}

/// Order by key, with room for other keys beside one that does not move.
void draw_by_key(choices& choose, destination_plan& d) {
  d.transactional = false;
  auto& s = d.settings;
  s.order = delivery_order::key;
  s.window = 2 + choose.below(choose.chance(300) ? 40 : 6);
  s.window_bytes = choose.chance(300) ? 400 + choose.below(600) : 1'000'000;
  s.batch = 1 + choose.below(std::min(s.window / 2, 4U));
  s.max_unsaved = 2 * s.batch + choose.below(6);
  s.connections = 1 + choose.below(4);
  s.max_blocked_keys = choose.chance(300) ? 1 + choose.below(4) : 1000;
}

destination_plan draw_destination(choices& choose, std::uint32_t number) {
  destination_plan d;
  d.id = destination_id{number};
  d.own_chain = choose.chance(300);
  d.transactional = choose.chance(250);
  d.checks_epoch = !d.transactional && choose.chance(500);
  auto& s = d.settings;
  s.name = "d" + std::to_string(number);
  s.window = 1 + choose.below(choose.chance(500) ? 16 : 5);
  s.window_bytes = choose.chance(300) ? 20 + choose.below(300) : 1'000'000;
  s.max_unsaved = 1 + choose.below(6);
  s.batch = 1 + choose.below(s.max_unsaved);
  s.max_pending = choose.chance(200) ? 1 + choose.below(8) : 1000;
  s.timeout = milliseconds{500 + choose.below(3000)};
  s.retry_max = milliseconds{100 + choose.below(3000)};
  s.on_refused = choose.chance(500) ? give_up::dead_letter : give_up::hold;
  s.max_dead_letters = choose.below(4);
  if (choose.chance(400)) draw_by_key(choose, d);
  return d;
}

retry_settings draw_retry(choices& choose) {
  retry_settings r;
  r.timeout = milliseconds{100 + choose.below(1500)};
  r.jitter = milliseconds{choose.below(500)};
  r.max_timeout = milliseconds{2000};
  r.max_attempts = 1 + choose.below(4);
  r.give_up_after = milliseconds{choose.below(3000)};
  r.hedge = choose.chance(700);
  r.on_exhausted = choose.chance(500) ? give_up::dead_letter : give_up::hold;
  return r;
}

void draw_resequencer(choices& choose, scenario& s) {
  s.outside = core::resequencing{milliseconds{20 + choose.below(300)}, milliseconds{choose.below(20)}};
  s.faults.resequencer_fails = rate(choose, 200);
  s.faults.resequencer_is_late = rate(choose, 200);
  s.faults.resequencer_loses = rate(choose, 25);
}

void draw_neighbour(choices& choose, scenario& s) {
  s.neighbours = 1 + choose.below(30);
  s.outcomes.next_door_hangs = rate(choose, 1000);
  s.outcomes.next_door_kills = rate(choose, 300);
}

/// What goes back does so between two owners, and has to have got something before.
void make_go_back(scenario& s) {
  for (auto& d : s.destinations) {
    if (d.by_key()) continue;
    d.transactional = true;
    d.checks_epoch = false;
  }
  s.messages += 10;
  s.faults.owner_dies = std::max(s.faults.owner_dies, 15U);
}

/// So long under one owner that it knows how much time the work takes, and may hedge.
void make_long(scenario& s) {
  s.retry.timeout *= 20;
  s.retry.max_timeout *= 20;
  s.messages += 80;
  s.chaos_steps += 800;
  s.faults.owner_dies = 0;
  s.faults.owner_hands_over = 0;
  s.faults.claims_later_epoch = 0;
  s.faults.receiver_goes_away = 0;
  s.faults.operator_acts = 0;
  s.faults.worker_dies /= 4;
  for (auto& d : s.destinations) {
    d.settings.window = std::max(d.settings.window, 8U);
    d.settings.max_pending = 1000;
  }
}

} // namespace

scenario draw_scenario(choices& choose) {
  scenario s;
  const auto destinations = 1 + choose.below(3);
  for (std::uint32_t i = 1; i <= destinations; ++i) s.destinations.push_back(draw_destination(choose, i));
  s.retry = draw_retry(choose);
  s.workers = 1 + choose.below(3);
  s.slots = 1 + choose.below(4);
  s.producers = 1 + choose.below(3);
  s.messages = 1 + choose.below(choose.chance(300) ? 40 : 14);
  s.largest_message = choose.chance(300) ? 100 : 1;
  s.keys = choose.below(6);
  s.chaos_steps = 20 + choose.below(300);
  s.max_untaken_bytes = choose.chance(200) ? 1 + choose.below(60) : 1'000'000;
  s.max_batch_bytes = choose.chance(200) ? 1 + choose.below(60) : 1'000'000;
  s.behind = {1 + choose.below(6), 1 + choose.below(40)};
  s.faults = draw_faults(choose);
  s.outcomes = draw_outcomes(choose);
  if (choose.chance(500)) draw_resequencer(choose, s);
  if (choose.chance(300)) draw_neighbour(choose, s);
  if (s.faults.receiver_goes_back > 0)
    make_go_back(s);
  else if (s.retry.hedge && choose.chance(150))
    make_long(s);
  return s;
}

} // namespace reseq::simulation
