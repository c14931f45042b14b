#include "receiver_contract.hpp"

#include "catch.hpp"
#include "journal_fixture.hpp"

namespace reseq::test {

namespace {

bool contains(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

} // namespace

store::receiver_owner owner_with(std::uint64_t epoch, std::uint64_t assigned, const std::string& journal) {
  return {"orders", "ledger", reseq::epoch{epoch}, sequence{assigned}, journal};
}

store::receiver_owner owner_knowing(std::uint64_t epoch, std::uint64_t ours, const std::string& journal) {
  auto owner = owner_with(epoch, 1000, journal);
  owner.ours = sequence{ours};
  return owner;
}

std::vector<store::received> messages(const std::vector<std::uint64_t>& sequences, std::uint64_t previous,
                                      const std::string& journal) {
  std::vector<store::received> out;
  for (const auto n : sequences) {
    core::send_item item;
    item.seq = sequence{n};
    item.previous = sequence{previous};
    item.at = position{n + 100};
    item.message = std::make_shared<const message>(journal + std::to_string(n), n % 2 == 0 ? "key" : "", content{});
    item.body = std::make_shared<const content>(content{std::string("body\0 ", 6) + std::to_string(n), "", {}});
    out.push_back({std::move(item), R"({"n":")" + std::to_string(n) + R"("})"});
    previous = n;
  }
  return out;
}

std::vector<std::uint64_t> range_of(std::uint64_t first, std::uint64_t last) {
  std::vector<std::uint64_t> out;
  for (auto n = first; n <= last; ++n) out.push_back(n);
  return out;
}

std::vector<std::uint64_t> sequences_of(const std::vector<seen_message>& seen) {
  std::vector<std::uint64_t> out;
  for (const auto& one : seen) out.push_back(one.sequence);
  return out;
}

std::string said(const core::receiver_answer& answer) {
  if (const auto* refused = std::get_if<core::refused>(&answer)) return "refused: " + refused->why;
  if (const auto* stale = std::get_if<core::stale>(&answer)) return "stale " + std::to_string(stale->seen.value());
  if (const auto* failing = std::get_if<core::failing>(&answer)) return "failing: " + failing->why;
  return "confirmed";
}

void check_receiving(const receiver_factory& make) {
  const auto place = make();
  const auto first = place->access(owner_with(1));
  const auto fresh = first->open();
  REQUIRE(fresh);
  CHECK(fresh->last == sequence{});
  CHECK(fresh->last_message.empty());
  SECTION("whoever opens it hears of what it has") {
    CHECK(said(first->deliver(messages({1, 2}, 0))) == "confirmed");
    const auto found = place->access(owner_with(2))->open();
    REQUIRE(found);
    CHECK(found->owner == epoch{2});
    CHECK(found->last == sequence{2});
    CHECK(found->last_message == "m2");
    const auto late = place->access(owner_with(1))->open();
    REQUIRE(late);
    CHECK(late->owner == epoch{2});
    CHECK(first->open()->last == sequence{2});
  }
  SECTION("what is delivered is there, byte for byte") {
    CHECK(said(first->deliver(messages({1, 2}, 0))) == "confirmed");
    const std::string body("body\0 ", 6);
    CHECK(place->seen() == std::vector<seen_message>{{1, 101, "m1", "", R"({"n":"1"})", body + "1"},
                                                     {2, 102, "m2", "key", R"({"n":"2"})", body + "2"}});
  }
  SECTION("what comes again is there once") {
    CHECK(said(first->deliver(messages(range_of(1, 5), 0))) == "confirmed");
    CHECK(said(first->deliver(messages(range_of(1, 5), 0))) == "confirmed");
    CHECK(said(first->deliver(messages(range_of(4, 8), 3))) == "confirmed");
    CHECK(sequences_of(place->seen()) == range_of(1, 8));
  }
  SECTION("the next owner finds what the last one brought, whatever progress says") {
    CHECK(said(first->deliver(messages(range_of(1, 5), 0))) == "confirmed");
    const auto second = place->access(owner_with(2));
    CHECK(said(second->deliver(messages(range_of(2, 4), 1))) == "confirmed");
    CHECK(said(second->deliver(messages(range_of(5, 7), 4))) == "confirmed");
    CHECK(sequences_of(place->seen()) == range_of(1, 7));
  }
  SECTION("the same owner may start again under the same epoch") {
    CHECK(said(first->deliver(messages({1}, 0))) == "confirmed");
    const auto again = place->access(owner_with(1));
    REQUIRE(again->open());
    CHECK(said(again->deliver(messages({1, 2}, 0))) == "confirmed");
    CHECK(said(first->deliver(messages({2, 3}, 1))) == "confirmed");
    CHECK(sequences_of(place->seen()) == range_of(1, 3));
  }
  SECTION("sequences without a delivery are left out") {
    CHECK(said(first->deliver(messages({2, 5}, 0))) == "confirmed");
    CHECK(said(first->deliver(messages({9}, 5))) == "confirmed");
    CHECK(sequences_of(place->seen()) == std::vector<std::uint64_t>{2, 5, 9});
  }
  SECTION("a message that was there, and was dropped when it was worked out again, is behind") {
    CHECK(said(first->deliver(messages({1, 2, 3}, 0))) == "confirmed");
    CHECK(said(place->access(owner_with(2))->deliver(messages({4}, 2))) == "confirmed");
    CHECK(sequences_of(place->seen()) == range_of(1, 4));
  }
  SECTION("sequences as great as they get") {
    constexpr std::uint64_t great = 9'007'199'254'740'990;
    const auto late = place->access(owner_with(1, great + 1));
    CHECK(said(late->deliver(messages({great, great + 1}, 0))) == "confirmed");
    CHECK(said(late->deliver(messages({great, great + 1}, 0))) == "confirmed");
    CHECK(sequences_of(place->seen()) == std::vector<std::uint64_t>{great, great + 1});
  }
}

void check_receiver_fencing(const receiver_factory& make) {
  const auto place = make();
  const auto first = place->access(owner_with(9));
  CHECK(said(first->deliver(messages({1, 2}, 0))) == "confirmed");
  const auto second = place->access(owner_with(10));
  SECTION("a stale owner's batch changes nothing once the next one has announced itself") {
    REQUIRE(second->open());
    CHECK(said(first->deliver(messages({3}, 2))) == "stale 10");
    CHECK(said(first->deliver(messages({2}, 1))) == "stale 10");
    CHECK(sequences_of(place->seen()) == range_of(1, 2));
  }
  SECTION("nor once the next one has written") {
    CHECK(said(second->deliver(messages({3}, 2))) == "confirmed");
    CHECK(said(first->deliver(messages({3, 4}, 2))) == "stale 10");
    CHECK(sequences_of(place->seen()) == range_of(1, 3));
  }
  SECTION("nor when it connects anew") {
    REQUIRE(second->open());
    const auto late = place->access(owner_with(9));
    REQUIRE(late->open());
    CHECK(said(late->deliver(messages({3}, 2))) == "stale 10");
    CHECK(said(second->deliver(messages({3}, 2))) == "confirmed");
    CHECK(sequences_of(place->seen()) == range_of(1, 3));
  }
}

void check_positions(const receiver_factory& make) {
  const auto place = make();
  CHECK(said(place->access(owner_with(1))->deliver(messages({1, 2, 3}, 0))) == "confirmed");
  CHECK(place->access(owner_with(2, 3))->open().value().last_position == position{});
  CHECK(place->access(owner_with(2, 2))->open().value().last_position == position{103});
}

void check_other_history(const receiver_factory& make) {
  const auto place = make();
  CHECK(said(place->access(owner_with(1))->deliver(messages(range_of(1, 5), 0))) == "confirmed");
  const auto next = place->access(owner_with(2, 8));
  const auto other = said(next->deliver(messages({2, 3}, 1, "other")));
  CHECK(contains(other, "failing: the receiver has message m"));
  CHECK(contains(other, "it has another history"));
  CHECK(contains(said(next->deliver(messages(range_of(4, 8), 3, "other"))), "failing: "));
  CHECK(sequences_of(place->seen()) == range_of(1, 5));
  CHECK(said(next->deliver(messages({2, 3}, 1))) == "confirmed");
  CHECK(said(next->deliver(messages(range_of(4, 8), 3))) == "confirmed");
  CHECK(sequences_of(place->seen()) == range_of(1, 8));
}

void check_installations(const receiver_factory& make) {
  const auto place = make();
  const auto first = place->access(owner_with(3));
  CHECK(said(first->deliver(messages({1, 2}, 0))) == "confirmed");
  const auto second = place->access(owner_with(7, 1, "journal-of-others"));
  SECTION("another installation is told so, gets nothing in, and does not disturb whom it belongs to") {
    const auto found = second->open();
    REQUIRE(found);
    CHECK(found->foreign == "journal-of-orders");
    CHECK(found->last == sequence{2});
    CHECK(found->written.ends_with(" UTC"));
    const auto answer = said(second->deliver(messages({3}, 2)));
    CHECK(contains(answer,
                   "failing: the receiver belongs to another installation: what is recorded of it is of journal "
                   "journal-…, last written 2"));
    CHECK(contains(answer, "--take-over"));
    CHECK(said(first->deliver(messages({3}, 2))) == "confirmed");
    CHECK(said(place->access(owner_with(4))->deliver(messages({3, 4}, 2))) == "confirmed");
    CHECK(sequences_of(place->seen()) == range_of(1, 4));
  }
  SECTION("an installation that takes it over goes on behind what is there, and the one before is refused") {
    const auto taken = second->take_over(sequence{1});
    REQUIRE(taken);
    CHECK(taken->foreign.empty());
    CHECK(taken->last == sequence{2});
    CHECK(taken->last_position == position{102});
    const auto next = place->access(owner_with(8, 2, "journal-of-others"));
    CHECK(said(next->deliver(messages({3}, 2, "other"))) == "confirmed");
    CHECK(contains(said(first->deliver(messages({3}, 2))), "failing: the receiver belongs to another installation"));
    CHECK(first->open()->foreign == "journal-of-others");
    CHECK(sequences_of(place->seen()) == range_of(1, 3));
  }
  SECTION("it is not taken over while messages wait under sequences that are used there") {
    const auto waits = place->access(owner_with(7, 5, "journal-of-others"));
    const auto refused = waits->take_over(sequence{1});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::conflict);
    CHECK(contains(refused.error().text(), "under sequences 2 to 2, which journal journal-… has used"));
    CHECK(waits->open()->foreign == "journal-of-orders");
    CHECK(said(first->deliver(messages({3}, 2))) == "confirmed");
    CHECK(waits->take_over(sequence{3})->foreign.empty());
  }
  SECTION("taking over what is one's own changes nothing") {
    CHECK(first->take_over({})->last == sequence{2});
    CHECK(said(first->deliver(messages({3}, 2))) == "confirmed");
  }
}

void check_unclaimed(const receiver_factory& make) {
  const auto place = make();
  const auto first = place->access(owner_with(1));
  CHECK(said(first->deliver(messages(range_of(1, 5), 0))) == "confirmed");
  CHECK(said(first->deliver(messages({6}, 5))) == "confirmed");
  const bool all = GENERATE(false, true);
  CAPTURE(all);
  const auto forget = [&] { all ? place->forget_record() : place->forget_journal(); };
  forget();
  const auto others = place->access(owner_with(9, 1000, "journal-of-others"));
  SECTION("nobody who does not know them takes them for his own, or for delivered, and it is said what to do") {
    const auto next = place->access(owner_with(2));
    const auto found = next->open();
    REQUIRE(found);
    CHECK(found->last == sequence{6});
    CHECK(found->last_message == "m6");
    CHECK(contains(found->unclaimed, "has messages up to sequence 6, and "));
    CHECK(contains(found->unclaimed, " does not say whose they are. This is journal journal-of-orders, epoch 2: "));
    CHECK(said(next->deliver(messages(range_of(4, 7), 3))) == "failing: the receiver " + found->unclaimed);
    CHECK(
      said(others->deliver(messages(range_of(1, 7), 0, "other"))).starts_with("failing: the receiver has messages"));
    CHECK(said(others->deliver(messages({7}, 6, "other"))).starts_with("failing: the receiver has messages"));
    CHECK(sequences_of(place->seen()) == range_of(1, 6));

    const std::string before = "start again: ";
    const auto at = found->unclaimed.find(before) + before.size();
    place->run(found->unclaimed.substr(at, found->unclaimed.find(". Else", at) - at));
    CHECK(is_ours(must(next->open())));
    CHECK(must(others->open()).foreign == "journal-of-orders");
    CHECK(said(next->deliver(messages(range_of(4, 7), 3))) == "confirmed");
    CHECK(said(first->deliver(messages({8}, 7))) == "stale 2");
    CHECK(sequences_of(place->seen()) == range_of(1, 7));
  }
  SECTION("who has seen the last one to be his own goes on, and others are refused then") {
    const auto next = place->access(owner_knowing(2, 6));
    if (GENERATE(false, true)) CHECK(is_ours(must(next->open())));
    CHECK(said(next->deliver(messages(range_of(6, 8), 5))) == "confirmed");
    CHECK(must(others->open()).foreign == "journal-of-orders");
    CHECK(said(first->deliver(messages({9}, 8))) == "stale 2");
    CHECK(sequences_of(place->seen()) == range_of(1, 8));
  }
  SECTION("so does he who was at work, but not behind another one than that") {
    for (int tries = 0; said(first->deliver(messages({7}, 6))) != "confirmed"; ++tries) REQUIRE(tries < 3);
    CHECK(must(others->open()).foreign == "journal-of-orders");
    CHECK_FALSE(is_ours(must(place->access(owner_knowing(9, 6, "journal-of-others"))->open())));
    forget();
    CHECK_FALSE(is_ours(must(place->access(owner_knowing(2, 6))->open())));
    CHECK(is_ours(must(place->access(owner_knowing(2, 7))->open())));
  }
  SECTION("who takes them over goes on behind them, unless messages wait under their sequences") {
    const auto refused = others->take_over(sequence{5});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::conflict);
    CHECK(contains(refused.error().text(), "messages wait here under sequences 6 to 6, and would be taken for"));
    CHECK(contains(refused.error().text(), "does not say whose they are"));
    CHECK_FALSE(is_ours(must(others->open())));
    CHECK(must(others->take_over(sequence{6})).last == sequence{6});
    CHECK(said(others->deliver(messages({7}, 6, "other"))) == "confirmed");
    CHECK(contains(said(first->deliver(messages({7}, 6))), "belongs to another installation"));
  }
  SECTION("where there are none any more, it is anybody's") {
    place->lose_all();
    const auto next = place->access(owner_knowing(2, 6));
    CHECK(is_ours(must(next->open())));
    CHECK(contains(said(next->deliver(messages({7}, 6))), "it has nothing of this destination, but sequence 6"));
    CHECK(said(next->deliver(messages({1}, 0))) == "confirmed");
  }
}

void check_going_back(const receiver_factory& make) {
  const auto place = make();
  const auto first = place->access(owner_with(1));
  CHECK(said(first->deliver(messages(range_of(1, 5), 0))) == "confirmed");
  SECTION("a receiver that lacks what was delivered gets nothing, and that is said") {
    place->lose_all();
    const auto next = place->access(owner_with(2));
    const auto answer = said(next->deliver(messages({6}, 5)));
    CHECK(next->open()->last == sequence{});
    CHECK(contains(answer, "failing: it has nothing of this destination, but sequence 5 was delivered there"));
    CHECK(place->seen().empty());
  }
  SECTION("an owner notices that while it is at work") {
    place->lose_all();
    static_cast<void>(first->deliver(messages({6}, 5)));
    CHECK(contains(said(first->deliver(messages({6}, 5))), "was delivered there"));
    CHECK(place->seen().empty());
  }
  SECTION("a journal that has gone back does not take the receiver's messages for its own") {
    const auto other = place->access(owner_with(2, 3));
    CHECK(contains(said(other->deliver(messages({1, 2}, 0))), "the last that it has is sequence 5, message m5"));
    CHECK(said(other->deliver(messages({1, 2}, 0))).starts_with("failing: "));
    CHECK(sequences_of(place->seen()) == range_of(1, 5));
  }
  SECTION("nor does another journal that is as far") {
    const auto other = place->access(owner_with(2, 8));
    CHECK(contains(said(other->deliver(messages(range_of(4, 8), 3, "other"))), "which is message other5"));
    CHECK(sequences_of(place->seen()) == range_of(1, 5));
  }
}

} // namespace reseq::test
