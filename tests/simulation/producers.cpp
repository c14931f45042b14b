#include "producers.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "owner.hpp"
#include "violation.hpp"
#include "world.hpp"

namespace reseq::simulation {
namespace {

constexpr auto receipt_promise = "Idempotent receipt";

party party_of(std::uint32_t who) { return static_cast<party>(first_producer + who); }

std::size_t number_of(const std::string& id) {
  std::size_t number = 0;
  std::from_chars(id.data() + 1, id.data() + id.size(), number);
  return number;
}

} // namespace

producers::producers(world& with) : world_(with), all_(with.plan.producers) {}

std::uint32_t producers::eager() const {
  if (!world_.boss || !world_.boss->accepts) return 0;
  const bool more = made_.size() < world_.plan.messages;
  return static_cast<std::uint32_t>(
    std::ranges::count_if(all_, [&](const producer& p) { return p.is == state::idle && (more || !p.wanted.empty()); }));
}

void producers::submit() {
  auto nth = world_.choose.below(eager());
  const bool more = made_.size() < world_.plan.messages;
  const auto found = std::ranges::find_if(
    all_, [&](const producer& p) { return p.is == state::idle && (more || !p.wanted.empty()) && nth-- == 0; });
  if (found->wanted.empty()) {
    for (auto n = 1 + world_.choose.below(4); n > 0 && made_.size() < world_.plan.messages; --n)
      found->wanted.push_back(!made_.empty() && world_.choose.chance(200) ? repeat() : make());
  }
  send(static_cast<std::uint32_t>(found - all_.begin()));
}

submission producers::make() {
  const auto number = made_.size();
  const auto bytes = world_.choose.below(world_.plan.largest_message + 1);
  const auto key = world_.choose.below(world_.plan.keys + 1);
  submission one;
  one.message = std::make_shared<const message>("m" + std::to_string(number), key == 0 ? "" : "k" + std::to_string(key),
                                                content{std::string(bytes, 'm'), "", {}});
  one.fingerprint[0] = 1;
  one.routes = routes();
  made_.push_back(one);
  receipted_.push_back(false);
  fresh_.push_back(false);
  return one;
}

submission producers::repeat() {
  auto one = made_[world_.choose.below(static_cast<std::uint32_t>(made_.size()))];
  if (world_.fault(world_.plan.faults.producer_contradicts)) one.fingerprint[0] = 2;
  one.routes = routes(); // as the configuration resolves them now
  return one;
}

std::vector<destination_id> producers::routes() {
  std::vector<destination_id> to;
  for (const auto& d : world_.plan.destinations)
    if (!world_.choose.chance(250)) to.push_back(d.id);
  return to;
}

void producers::send(std::uint32_t who) {
  auto& p = all_[who];
  p.is = state::waiting;
  p.request = ++last_request_;
  p.receipted.clear();
  for (const auto& one : p.wanted) p.receipted.push_back(receipted_[number_of(one.message->id())]);
  world_.tell("producer ", who, " submits ", p.wanted.size(), " messages from ", p.wanted.front().message->id(), " on");
  auto letter = [this, who, request = p.request, wanted = p.wanted] {
    world_.boss->journal_writer.submit(wanted, [this, who, request](result<std::vector<result<receipt>>> got) {
      world_.mail.post(writer_party, party_of(who),
                       [this, who, request, said = std::move(got)] { answered(who, request, said); });
    });
  };
  const bool twice = world_.fault(world_.plan.faults.producer_resends);
  if (twice) world_.mail.post(party_of(who), writer_party, letter);
  world_.mail.post(party_of(who), writer_party, std::move(letter));
}

void producers::answered(std::uint32_t who, std::uint64_t request, const result<std::vector<result<receipt>>>& got) {
  auto& p = all_[who];
  if (p.is != state::waiting || p.request != request) return;
  if (got) {
    std::vector<submission> again;
    for (std::size_t i = 0; i < p.wanted.size(); ++i)
      if (!settle(p.wanted[i], p.receipted[i], (*got)[i])) again.push_back(p.wanted[i]);
    p.wanted = std::move(again);
  }
  if (p.wanted.empty())
    p.is = state::idle;
  else
    retry_later(who);
}

bool producers::settle(const submission& wanted, bool was_receipted, const result<receipt>& got) {
  const auto& id = wanted.message->id();
  if (got) {
    check_receipt(wanted, was_receipted, *got);
    receipted_[number_of(id)] = true;
    return true;
  }
  if (got.error().code == errc::full) return false;
  const auto* known = world_.disk.find(id);
  require(got.error().code == errc::unprocessable && known != nullptr && known->fingerprint != wanted.fingerprint,
          receipt_promise, [&] { return id + " was refused: " + got.error().text(); });
  return true;
}

void producers::check_receipt(const submission& wanted, bool was_receipted, const receipt& got) {
  const auto& id = wanted.message->id();
  const auto* known = world_.disk.find(id);
  require(known != nullptr, "No loss", [&] { return id + " has a receipt and is not durable"; });
  require(got.id == id && got.at == known->at, receipt_promise, [&] {
    return id + " has a receipt for position " + std::to_string(got.at.value()) + " and stands at " +
           std::to_string(known->at.value());
  });
  require(known->fingerprint == wanted.fingerprint, receipt_promise,
          [&] { return id + " was taken for a repetition of what has other content"; });
  const auto number = number_of(id);
  if (got.duplicate) return;
  require(!fresh_[number] && !was_receipted, receipt_promise, [&] { return id + " was new twice"; });
  fresh_[number] = true;
}

void producers::retry_later(std::uint32_t who) {
  all_[who].is = state::backing_off;
  const auto after = std::chrono::milliseconds{world_.calm ? 100 : 10 + world_.choose.below(500)};
  world_.mail.ring_at(world_.now + after, party_of(who), [this, who] { all_[who].is = state::idle; });
}

void producers::lose_owner() {
  for (std::uint32_t who = 0; who < all_.size(); ++who)
    if (all_[who].is == state::waiting) retry_later(who);
}

bool producers::done() const {
  return made_.size() == world_.plan.messages &&
         std::ranges::all_of(all_, [](const producer& p) { return p.is == state::idle && p.wanted.empty(); });
}

} // namespace reseq::simulation
