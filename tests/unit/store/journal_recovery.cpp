// What every journal must do when it has gone backwards and is to go on.

#include <vector>

#include "journal_contract.hpp"
#include "journal_fixture.hpp"
#include "reseq/store/receiver_survey.hpp"

namespace reseq::test {

namespace {

constexpr destination_id one{1};

store::recovery past(std::uint64_t owner, std::uint64_t last, std::vector<store::recovery::lost> missing) {
  return {epoch{owner}, position{last}, std::move(missing), {}, "the resequencer was told of more"};
}

store::recovery::lost lost(std::uint32_t destination, std::uint64_t first, std::uint64_t last) {
  return {destination_id{destination}, {sequence{first}, sequence{last}}};
}

/// Recovers and opens again, as the program does.
void recover(opened& shard, const store::recovery& how, std::uint32_t destinations = 1) {
  const auto done = shard->recover(shard.state.handle, how, at_ms(77));
  if (!done) FAIL(done.error().text());
  shard.state = must(shard->open({"orders", 0}, {"{}"}, specs(destinations)));
}

std::vector<std::uint64_t> sequences(const std::vector<core::backlog_item>& items) {
  std::vector<std::uint64_t> out;
  for (const auto& item : items) out.push_back(item.seq.value());
  return out;
}

using numbers = std::vector<std::uint64_t>;

} // namespace

void check_recovery(const store_factory& make) {
  const auto place = make();
  SECTION("no epoch, position or sequence that was seen is given again, and what is missing is recorded") {
    {
      opened shard(must(place->open()), specs(2));
      must(shard.commit(submit_many("m", 1, 5, {1, 2})));
      recover(shard, past(9, 1'000'000, {lost(1, 6, 500'000)}), 2);
      CHECK(shard.state.owner == epoch{10});
      CHECK(shard.state.last == position{1'000'000});
      const auto done = must(shard.commit({submit("next", {1, 2})}));
      CHECK(done.accepted[0].at == position{1'000'001});
      CHECK(done.accepted[0].enrolled[0].seq == sequence{500'001});
      CHECK(done.accepted[0].enrolled[1].seq == sequence{6});
    }
    opened shard(must(place->open()), specs(2));
    CHECK(shard.state.owner == epoch{11});
    CHECK(shard.state.last == position{1'000'001});
    const auto& known = shard.state.destinations;
    CHECK(known[0].last == sequence{500'001});
    CHECK(known[1].last == sequence{6});
    CHECK(known[0].backlog() == 6);
    REQUIRE(known[0].lost.size() == 1);
    CHECK(known[0].lost[0].range == core::sequence_range{sequence{6}, sequence{500'000}});
    CHECK(known[0].lost[0].recovered == at_ms(77));
    CHECK(known[0].lost[0].why == "the resequencer was told of more");
    CHECK(known[1].lost.empty());
    CHECK(must(shard.commit({submit("m5", {1, 2})})).receipts[0] == receipt{"m5", true, position{5}});
    CHECK(must(shard.commit({submit("next", {1, 2})})).receipts[0] == receipt{"next", true, position{1'000'001}});
  }
  SECTION("a backlog is read on both sides of what is missing") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("m", 1, 40)));
    recover(shard, past(9, 60, {lost(1, 41, 70)}));
    must(shard.commit(submit_many("n", 1, 40)));
    CHECK(sequences(shard.read(1, 38)) == numbers{38, 39, 40});
    CHECK(sequences(shard.read(1, 71, 3)) == numbers{71, 72, 73});
    CHECK(shard.read(1, 71, 1)[0].at == position{61});
    CHECK(shard.read(1, 71, 1)[0].message->id() == "n1");
  }
  SECTION("a search for a key goes on behind what is missing") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("m", 1, 3)));
    recover(shard, past(9, 100, {lost(1, 4, 70)}));
    must(shard.commit(submit_many("n", 1, 3)));
    const auto search = [&](std::uint64_t from, std::uint64_t until) {
      const std::vector<core::key_cursor> keys{{"key-m3", sequence{from}}, {"key-n2", sequence{from}}};
      return must(shard->read_keys(shard.state.handle, one, keys, sequence{until}, 10, 1U << 20U));
    };
    numbers found;
    sequence from{1};
    for (int calls = 0; from <= sequence{73} && calls < 10; ++calls) {
      const auto piece = search(from.value(), 73);
      for (const auto& item : piece.items) found.push_back(item.seq.value());
      REQUIRE(piece.searched >= from);
      from = piece.searched + 1;
    }
    CHECK(found == numbers{3, 72});
    CHECK(search(2, 50).searched == sequence{50});
    CHECK(search(10, 50).searched == sequence{50});
    CHECK(search(10, 73).searched >= sequence{71});
  }
  SECTION("what is missing is no backlog: room, retention and leaving do not wait for it") {
    opened shard(must(place->open()), specs(1, 10));
    must(shard.commit(submit_many("m", 1, 8), {}, at_ms(10)));
    recover(shard, past(9, 100'000, {lost(1, 9, 50'000)}));
    shard.state = must(shard->open({"orders", 0}, {"{}"}, specs(1, 10)));
    const auto done = must(shard.commit(submit_many("n", 1, 3), {}, at_ms(20)));
    CHECK(done.receipts[1]);
    CHECK(done.receipts[2].error().code == errc::full);
    shard.settle(1, 8);
    CHECK(must(shard->expire(shard.state.handle, at_ms(15), at_ms(10'000), 3)) == 3);
    std::uint64_t gone = 3;
    for (int i = 0; i < 4; ++i) must(shard->expire(shard.state.handle, at_ms(15), at_ms(10'000), 3));
    for (std::uint64_t at = 4; at <= 8; ++at) gone += must(shard->find(shard.state.handle, position{at})) ? 0 : 1;
    CHECK(gone == 8);
    CHECK(must(shard->find(shard.state.handle, position{100'001})));
    shard.settle(1, 50'002);
    CHECK(shard->open({"orders", 0}, {"{}"}, std::vector<store::destination_spec>{}));
  }
  SECTION("a destination may lose more, and others too, time and again") {
    opened shard(must(place->open()), specs(2));
    recover(shard, past(9, 3, {lost(1, 1, 3)}), 2);
    must(shard.commit({submit("a", {1, 2})}));
    recover(shard, past(20, 9, {lost(1, 5, 9), lost(2, 2, 2)}), 2);
    recover(shard, past(30, 9, {lost(1, 10, 12)}), 2);
    must(shard.commit({submit("b", {1, 2})}));
    CHECK(sequences(shard.read(1, 4)) == numbers{4});
    CHECK(sequences(shard.read(1, 13)) == numbers{13});
    CHECK(sequences(shard.read(2, 3)) == numbers{3});
    CHECK(shard.state.destinations[0].lost.size() == 3);
    CHECK(shard.state.destinations[0].backlog() == 1); // as it was opened
  }
  SECTION("a destination that went backwards stands where it is put, and lacks what is past retention") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("m", 1, 10)));
    shard.settle(1, 6);
    must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 4));
    auto how = past(9, 10, {lost(1, 3, 4)});
    how.rewound.push_back({one, sequence{2}, {}, sequence{2}});
    recover(shard, how);
    CHECK(shard.state.destinations[0].progress.watermark == sequence{2});
    CHECK(shard.state.destinations[0].last == sequence{10});
    CHECK(shard.state.destinations[0].backlog() == 6);
    CHECK(sequences(shard.read(1, 5, 2)) == numbers{5, 6});
  }
  SECTION("a receiver that has gone back gets again what followed, but for dead letters") {
    opened shard(must(place->open()), specs(2));
    must(shard.commit(submit_many("m", 1, 10, {1, 2})));
    core::journal_change change;
    change.dead_letters.push_back({one, sequence{4}, position{4}, core::hold_reason::refused, 1, "no", at_ms(1)});
    change.dead_letters.push_back({one, sequence{8}, position{8}, core::hold_reason::refused, 1, "no", at_ms(1)});
    change.progress.push_back({one, sequence{6}, {sequence{8}}, sequence{6}, 2, true});
    must(shard.commit({}, change));
    shard.state = must(shard->open({"orders", 0}, {"{}"}, specs(2)));
    const std::vector<store::receiver_seen> seen{{one, {epoch{1}, sequence{2}, "m2"}}, {destination_id{2}, {}}};
    const auto plan = must(store::plan_rewinding(*shard, shard.state, seen));
    CHECK(plan.missing.empty());
    CHECK(plan.why.find("destination d1 has gone back: the last that it has is sequence 2") != std::string::npos);
    CHECK(plan.progress ==
          std::vector<core::progress_record>{{one, sequence{2}, {sequence{4}, sequence{8}}, sequence{2}, 0, true}});
    recover(shard, {shard.state.owner + 1, shard.state.last, plan.missing, plan.progress, plan.why}, 2);
    CHECK(shard.state.destinations[0].progress == plan.progress[0]);
    CHECK(shard.state.destinations[0].backlog() == 6);
    CHECK(must(store::plan_rewinding(*shard, shard.state, seen)).progress.empty());
  }
  SECTION("what such a receiver lacks and the journal no longer has is named") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("m", 1, 10)));
    shard.settle(1, 6);
    must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 4));
    recover(shard, past(9, 30, {lost(1, 11, 20)}));
    must(shard.commit({submit("next")}));
    shard.settle(1, 21);
    shard.state = must(shard->open({"orders", 0}, {"{}"}, specs(1)));
    const auto plan_from = [&](std::uint64_t last) {
      return must(store::plan_rewinding(*shard, shard.state,
                                        std::vector<store::receiver_seen>{{one, {epoch{1}, sequence{last}, ""}}}));
    };
    const auto far = plan_from(2);
    REQUIRE(far.missing.size() == 1);
    CHECK(far.missing[0].range == core::sequence_range{sequence{3}, sequence{4}});
    CHECK(plan_from(4).missing.empty());
    CHECK(plan_from(10).missing.empty());
    recover(shard, {shard.state.owner + 1, shard.state.last, far.missing, far.progress, far.why});
    CHECK(shard.state.destinations[0].progress.watermark == sequence{2});
    CHECK(sequences(shard.read(1, 5, 2)) == numbers{5, 6});
  }
  SECTION("a receiver with another history is told from one that has what this journal gave") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("m", 1, 10)));
    recover(shard, past(9, 20, {lost(1, 11, 20)}));
    const auto found = [&](std::uint64_t last, const std::string& id) {
      return must(store::find_other_history(*shard, shard.state,
                                            std::vector<store::receiver_seen>{{one, {epoch{1}, sequence{last}, id}}}));
    };
    CHECK(found(7, "other")
            .value_or("")
            .find("has another history: the last that it has is sequence 7, message other, "
                  "which is message m7 in the journal. No recovery mends that: empty the table and delete its row in "
                  "reseq.delivered") != std::string::npos);
    CHECK_FALSE(found(7, "m7"));
    CHECK_FALSE(found(7, "")); // nobody knows
    CHECK_FALSE(found(0, ""));
    CHECK_FALSE(found(15, "was lost"));
    CHECK_FALSE(found(21, "is ahead, and that is said elsewhere"));
    shard.settle(1, 10);
    must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 4));
    CHECK_FALSE(found(3, "is past retention"));
  }
  SECTION("messages that no record says whose they are, are the journal's if it has the last one") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("m", 1, 10)));
    recover(shard, past(9, 20, {lost(1, 11, 20)}));
    shard.settle(1, 10);
    must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 4));
    const auto found = [&](std::uint64_t last, const std::string& id) {
      std::vector<store::receiver_seen> seen{{one, {epoch{}, sequence{last}, id}}};
      seen[0].has.unclaimed = "says nothing";
      CHECK(store::recognize(*shard, shard.state, seen));
      return store::find_unclaimed(shard.state, seen).value_or("recognized");
    };
    CHECK(found(7, "m7") == "recognized");
    for (const auto& [last, id] :
         std::vector<std::pair<std::uint64_t, std::string>>{{7, "other"}, {7, ""}, {3, "m3"}, {15, "m15"}, {21, "m21"}})
      CHECK(found(last, id) == "the receiver of destination d1 says nothing");
  }
  SECTION("what would go back, or lose what is there, is refused, and nothing happens") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("m", 1, 5)));
    for (const auto& wrong : {past(1, 5, {}), past(9, 4, {}), past(9, 9, {lost(1, 5, 6)}), past(9, 9, {lost(1, 7, 6)}),
                              past(9, 9, {lost(2, 6, 7)}), past(9, 9, {lost(1, 6, std::uint64_t{1} << 60U)})})
      CHECK(shard->recover(shard.state.handle, wrong, at_ms(1)).error().code == errc::invalid);
    CHECK(must(shard.commit({submit("m6")})).accepted[0].at == position{6});
  }
  SECTION("who was the owner before is refused from then on") {
    opened shard(must(place->open()), specs(1));
    const auto done = shard->recover(shard.state.handle, past(9, 5, {}), at_ms(1));
    REQUIRE(done);
    CHECK(shard.commit({submit("late")}).error().code == errc::fenced);
    CHECK(shard->recover(shard.state.handle, past(10, 5, {}), at_ms(1)).error().code == errc::fenced);
  }
}

} // namespace reseq::test
