#include "journal_contract.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "journal_fixture.hpp"

namespace reseq::test {

namespace {

std::vector<std::uint64_t> positions(const std::vector<result<receipt>>& receipts) {
  std::vector<std::uint64_t> out;
  for (const auto& one : receipts) out.push_back(one ? one->at.value() : 0);
  return out;
}

errc code(const result<receipt>& outcome) { return outcome ? errc::internal : outcome.error().code; }

/// Every sequence of a destination from 1 on, by reads of `step` messages.
std::vector<core::backlog_item> read_all(opened& shard, std::uint32_t destination, std::uint32_t step,
                                         std::uint64_t from = 1) {
  std::vector<core::backlog_item> all;
  for (;;) {
    auto next = shard.read(destination, from + all.size(), step);
    if (next.empty()) return all;
    all.insert(all.end(), next.begin(), next.end());
  }
}

bool dense(const std::vector<core::backlog_item>& items, std::uint64_t from = 1) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].seq.value() != from + i) return false;
    if (i > 0 && items[i].at <= items[i - 1].at) return false;
  }
  return true;
}

/// A message for destination 1 with that key.
submission with_key(const std::string& id, const std::string& key) {
  auto one = submit(id);
  one.message = std::make_shared<const message>(id, key, one.message->body());
  return one;
}

std::vector<std::uint64_t> sequences(const core::key_backlog& found) {
  std::vector<std::uint64_t> out;
  for (const auto& item : found.items) out.push_back(item.seq.value());
  return out;
}

core::held_record held(std::uint32_t destination, std::uint64_t seq, std::uint64_t at) {
  return {destination_id{destination}, sequence{seq}, position{at}, core::hold_reason::refused, 3,
          "415 what is this?",         at_ms(77)};
}

} // namespace

void check_acceptance(const store_factory& make) {
  const auto place = make();
  SECTION("positions and sequences are dense from 1, and go on where they were after reopening") {
    {
      opened shard(must(place->open()), specs(2));
      const auto done = must(shard.commit({submit("a", {1, 2}), submit("b", {2}), submit("c", {1})}));
      CHECK(positions(done.receipts) == std::vector<std::uint64_t>{1, 2, 3});
      REQUIRE(done.accepted.size() == 3);
      CHECK(done.accepted[1].enrolled == std::vector<core::enrolment>{{destination_id{2}, sequence{2}}});
      CHECK(done.accepted[2].enrolled == std::vector<core::enrolment>{{destination_id{1}, sequence{2}}});
    }
    opened shard(must(place->open()), specs(2));
    CHECK(shard.state.last == position{3});
    CHECK(shard.state.destinations[0].last == sequence{2});
    CHECK(shard.state.destinations[1].last == sequence{2});
    CHECK(positions(must(shard.commit({submit("d", {1})})).receipts) == std::vector<std::uint64_t>{4});
  }
  SECTION("an id is accepted once: in its batch, in later ones and after reopening") {
    {
      opened shard(must(place->open()), specs(1));
      const auto done = must(shard.commit({submit("a"), submit("a"), submit("b")}));
      CHECK(positions(done.receipts) == std::vector<std::uint64_t>{1, 1, 2});
      CHECK(done.receipts[1]->duplicate);
      CHECK(done.accepted.size() == 2);
      CHECK(must(shard.commit({submit("b")})).receipts[0] == receipt{"b", true, position{2}});
    }
    opened shard(must(place->open()), specs(1));
    CHECK(must(shard.commit({submit("a")})).receipts[0] == receipt{"a", true, position{1}});
    CHECK(shard.read(1, 1).size() == 2);
  }
  SECTION("a known id with other content is refused, and the rest of its batch goes in") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit({submit("a")}));
    const auto done = must(shard.commit({submit("a", {1}, "other"), submit("b"), submit("b", {1}, "other")}));
    CHECK(code(done.receipts[0]) == errc::unprocessable);
    CHECK(done.receipts[1] == receipt{"b", false, position{2}});
    CHECK(code(done.receipts[2]) == errc::unprocessable);
  }
  SECTION("a message that no route wants has no position, and its id is remembered") {
    {
      opened shard(must(place->open()), specs(1));
      const auto done = must(shard.commit({submit("a", {}), submit("b"), submit("a", {})}));
      CHECK(positions(done.receipts) == std::vector<std::uint64_t>{0, 1, 0});
      CHECK(done.receipts[2]->duplicate);
      CHECK(done.accepted.size() == 1);
    }
    opened shard(must(place->open()), specs(1));
    CHECK(must(shard.commit({submit("a", {})})).receipts[0] == receipt{"a", true, position{}});
    CHECK(must(shard->find_id(shard.state.handle, "a")) == position{});
  }
  SECTION("a full backlog refuses whole messages, names the destination, and takes more once some are settled") {
    opened shard(must(place->open()), {{"small", 2}, {"large", 100}});
    const auto done = must(shard.commit({submit("a", {1}), submit("b", {1}), submit("c", {1, 2}), submit("d", {2})}));
    REQUIRE(code(done.receipts[2]) == errc::full);
    CHECK(done.receipts[2].error().text().find("small") != std::string::npos);
    CHECK(done.receipts[3] == receipt{"d", false, position{3}});
    shard.settle(1, 1);
    const auto more = must(shard.commit({submit("c", {1, 2}), submit("e", {1})}));
    CHECK(more.receipts[0] == receipt{"c", false, position{4}});
    CHECK(code(more.receipts[1]) == errc::full);
    CHECK(dense(shard.read(2, 1)));
  }
  SECTION("several shards and several parts of one shard go in together") {
    auto journal = must(place->open());
    const auto orders = must(journal->open({"orders", 0}, {"{}"}, specs(1)));
    const auto bills = must(journal->open({"bills", 0}, {"{}"}, specs(1)));
    const std::vector<store::shard_commit> batch{{orders.handle, {submit("a"), submit("b")}, {}},
                                                 {bills.handle, {submit("a")}, {}},
                                                 {orders.handle, {submit("c"), submit("a")}, {}}};
    const auto done = must(journal->commit(batch, at_ms(1)));
    CHECK(positions(done[0].receipts) == std::vector<std::uint64_t>{1, 2});
    CHECK(positions(done[1].receipts) == std::vector<std::uint64_t>{1});
    CHECK(positions(done[2].receipts) == std::vector<std::uint64_t>{3, 1});
    CHECK(done[2].receipts[1]->duplicate);
  }
}

void check_reading(const store_factory& make) {
  const auto place = make();
  SECTION("messages come back as they were submitted") {
    opened shard(must(place->open()), specs(1));
    const std::string bytes("\0\xff\n\"binary\"", 11);
    content body{
      bytes, "application/x; q=\"1\"", {{"ce-type", "order: made\nnow\\"}, {"odd:name", ""}, {"X", "\xc3\x28"}}};
    submission one;
    one.message = std::make_shared<const message>("id 1", std::string("k\0y", 3), body);
    one.routes = {destination_id{1}};
    must(shard.commit({one}, {}, at_ms(123)));
    const auto items = shard.read(1, 1);
    REQUIRE(items.size() == 1);
    CHECK(items[0].message->body() == body);
    CHECK(items[0].message->key() == one.message->key());
    CHECK(items[0].message->id() == "id 1");
    CHECK(items[0].message->received() == at_ms(123));
    const auto found = must(shard->find(shard.state.handle, position{1}));
    REQUIRE(found);
    CHECK(found->message->body() == body);
    CHECK(found->accepted == at_ms(123));
    CHECK(found->enrolled == std::vector<core::enrolment>{{destination_id{1}, sequence{1}}});
    CHECK_FALSE(must(shard->find(shard.state.handle, position{2})));
    for (unsigned bit = 32; bit < 64; ++bit)
      CHECK_FALSE(must(shard->find(shard.state.handle, position{(std::uint64_t{1} << bit) | 1U})));
    CHECK(must(shard->find_id(shard.state.handle, "id 1")) == position{1});
    CHECK_FALSE(must(shard->find_id(shard.state.handle, "id 2")));
  }
  SECTION("any range of a backlog can be read, wherever its rows are cut") {
    opened shard(must(place->open()), specs(2));
    for (std::uint64_t i = 0; i < 40; ++i)
      must(shard.commit(submit_many("m", i * 25, 25, i % 2 == 0 ? route_list{1, 2} : route_list{2})));
    for (const std::uint64_t from : {1U, 2U, 15U, 16U, 17U, 333U, 499U, 500U, 501U})
      for (const std::uint32_t count : {1U, 7U, 64U, 1000U}) {
        CAPTURE(from, count);
        const auto items = shard.read(1, from, count);
        CHECK(items.size() == std::min<std::uint64_t>(count, from > 500 ? 0 : 501 - from));
        CHECK(dense(items, from));
      }
    CHECK(read_all(shard, 2, 33).size() == 1000);
    CHECK(shard.read(2, 1000)[0].message->id() == "m999");
  }
  SECTION("a read ends with the message that reaches the byte limit, and gives at least one") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("m", 0, 10, {1}, std::string(1000, 'x'))));
    CHECK(shard.read(1, 1, 10, 1).size() == 1);
    CHECK(shard.read(1, 1, 10, 2500).size() == 3);
    CHECK(shard.read(1, 1, 0, 2500).empty());
  }
  SECTION("a backlog is searched for keys, each from where it is wanted") {
    opened shard(must(place->open()), specs(1));
    for (std::uint64_t i = 1; i <= 40; ++i)
      must(shard.commit({with_key("a" + std::to_string(i), "a"), with_key("b" + std::to_string(i), "b"),
                         with_key("none" + std::to_string(i), "")}));
    const auto search = [&](std::vector<core::key_cursor> keys, std::uint64_t until, std::uint32_t most = 1000,
                            std::uint64_t bytes = 1U << 30U) {
      return must(shard->read_keys(shard.state.handle, destination_id{1}, keys, sequence{until}, most, bytes));
    };
    const auto some = search({{"b", sequence{5}}, {"", sequence{10}}}, 15);
    CHECK(sequences(some) == std::vector<std::uint64_t>{5, 8, 11, 12, 14, 15});
    CHECK(some.searched == sequence{15});
    CHECK(some.items[0].message->id() == "b2");
    CHECK(some.items[0].at == position{5});
    const auto few = search({{"a", sequence{1}}}, 120, 3);
    CHECK(sequences(few) == std::vector<std::uint64_t>{1, 4, 7});
    CHECK(few.searched >= sequence{7});
    CHECK(few.searched < sequence{10});
    CHECK(sequences(search({{"a", sequence{1}}}, 120, 1000, 1)) == std::vector<std::uint64_t>{1});
    CHECK(search({{"nobody", sequence{1}}}, 120).items.empty());
    const auto beyond = search({{"a", sequence{110}}}, 5000);
    CHECK(sequences(beyond) == std::vector<std::uint64_t>{112, 115, 118});
    CHECK(beyond.searched == sequence{120});
  }
  SECTION("a search of a long backlog goes on where the one before ended") {
    opened shard(must(place->open()), specs(1));
    for (std::uint64_t i = 0; i < 100; ++i) must(shard.commit(submit_many("m" + std::to_string(i) + "-", 0, 100)));
    must(shard.commit({with_key("last", "rare")}));
    std::vector<core::key_cursor> wanted{{"rare", sequence{1}}};
    core::key_backlog found;
    for (int calls = 0; found.items.empty() && calls < 10'000; ++calls) {
      found = must(
        shard->read_keys(shard.state.handle, destination_id{1}, wanted, sequence{10'001}, 10, std::uint64_t{1} << 20U));
      CHECK(found.searched >= wanted[0].from);
      wanted[0].from = found.searched + 1;
    }
    CHECK(sequences(found) == std::vector<std::uint64_t>{10'001});
  }
  SECTION("a thousand destinations keep their own sequences") {
    route_list all;
    for (std::uint32_t i = 1; i <= 1000; ++i) all.push_back(i);
    {
      opened shard(must(place->open()), specs(1000));
      for (std::uint64_t i = 0; i < 20; ++i)
        must(shard.commit({submit("all" + std::to_string(i), all),
                           submit("one" + std::to_string(i), {static_cast<std::uint32_t>(i + 1)})}));
    }
    opened shard(must(place->open()), specs(1000));
    CHECK(shard.state.destinations[0].last == sequence{21});
    CHECK(shard.state.destinations[999].last == sequence{20});
    for (const std::uint32_t destination : {1U, 20U, 21U, 500U, 1000U}) {
      CAPTURE(destination);
      const auto items = read_all(shard, destination, 7);
      CHECK(items.size() == (destination <= 20 ? 21 : 20));
      CHECK(dense(items));
    }
  }
}

void check_changes(const store_factory& make) {
  const auto place = make();
  SECTION("progress, held messages and operations are there after reopening") {
    const core::progress_record progress{destination_id{1}, sequence{1}, {sequence{3}, sequence{4}},
                                         sequence{4},       2,           true};
    {
      opened shard(must(place->open()), specs(2));
      must(shard.commit(submit_many("m", 0, 5, {1, 2})));
      core::journal_change change;
      change.progress.push_back(progress);
      change.held = {held(1, 2, 2), held(2, 1, 1)};
      change.operations.push_back({"pause", destination_id{1}, {}, at_ms(5)});
      must(shard.commit({}, change));
      core::journal_change release;
      release.unheld.push_back({destination_id{2}, sequence{1}});
      must(shard.commit({}, release));
    }
    opened shard(must(place->open()), specs(2));
    CHECK(shard.state.destinations[0].progress == progress);
    CHECK(shard.state.destinations[0].held == std::vector<core::held_record>{held(1, 2, 2)});
    CHECK(shard.state.destinations[1].progress == core::progress_record{destination_id{2}, {}, {}, {}, 0, false});
    CHECK(shard.state.destinations[1].held.empty());
  }
  SECTION("where order by key stands is there after reopening, each parked key with its latest word") {
    core::progress_record progress{destination_id{1}, sequence{2}, {sequence{7}}, sequence{9}, 0, false};
    progress.reached = sequence{9};
    progress.open = {sequence{3}, sequence{8}};
    progress.settled = 6;
    const core::parked_record plain{destination_id{1}, std::string("k\0y", 3), sequence{6}};
    const core::parked_record none{destination_id{1}, "", sequence{4}};
    {
      opened shard(must(place->open()), {{"d1", 10}, {"d2", 10}});
      must(shard.commit(submit_many("m", 0, 10, {1, 2})));
      core::journal_change change;
      change.progress.push_back(progress);
      change.parked = {plain, {destination_id{1}, "", sequence{3}}, {destination_id{2}, "gone", sequence{1}}};
      must(shard.commit({}, change));
      core::journal_change later;
      later.parked = {none};
      later.unparked.push_back({destination_id{2}, "gone"});
      must(shard.commit({}, later));
      CHECK(must(shard.commit(submit_many("n", 0, 6, {1}))).accepted.size() == 6);
      CHECK(code(must(shard.commit({submit("one too many")})).receipts[0]) == errc::full);
    }
    opened shard(must(place->open()), {{"d1", 10}, {"d2", 10}});
    CHECK(shard.state.destinations[0].progress == progress);
    CHECK(shard.state.destinations[0].parked == std::vector<core::parked_record>{none, plain});
    CHECK(shard.state.destinations[1].parked.empty());
    CHECK(code(must(shard.commit({submit("one too many")})).receipts[0]) == errc::full);
  }
  SECTION("a commit that cannot be done changes nothing, and the next one works") {
    opened shard(must(place->open()), specs(1));
    core::journal_change bad;
    bad.progress.push_back({destination_id{1}, sequence{1}, {}, sequence{1}, 0, false});
    bad.dead_letters.push_back(held(1, 9, 9));
    CHECK_FALSE(shard.commit({submit("a")}, bad).has_value());
    core::journal_change stranger;
    stranger.progress.push_back({destination_id{8}, sequence{1}, {}, sequence{1}, 0, false});
    CHECK(shard.commit({submit("a")}, stranger).error().code == errc::invalid);
    CHECK(shard.read(1, 1).empty());
    CHECK(must(shard.commit({submit("a")})).receipts[0] == receipt{"a", false, position{1}});
    CHECK(dense(shard.read(1, 1)));
  }
  SECTION("a settled message's end is known if it was given up or skipped") {
    opened shard(must(place->open()), specs(2));
    must(shard.commit(submit_many("m", 1, 3, {1, 2})));
    core::journal_change change;
    change.dead_letters = {held(1, 1, 1)};
    change.operations = {{"skip", destination_id{1}, sequence{2}, at_ms(1000)},
                         {"retry", destination_id{1}, sequence{3}, at_ms(1000)}};
    must(shard.commit({}, change));
    const auto end = [&](std::uint32_t destination, std::uint64_t seq) {
      return must(shard->end_of(shard.state.handle, {destination_id{destination}, sequence{seq}}));
    };
    CHECK(end(1, 1) == store::recorded_end::dead_letter);
    CHECK(end(1, 2) == store::recorded_end::skipped);
    CHECK(end(1, 3) == store::recorded_end::none);
    CHECK(end(2, 1) == store::recorded_end::none);
    CHECK(end(2, 2) == store::recorded_end::none);
  }
  SECTION("dead letters are read in order, with the size of their message") {
    opened shard(must(place->open()), specs(2));
    must(shard.commit(submit_many("m", 1, 3, {1, 2})));
    core::journal_change change;
    change.dead_letters = {held(2, 1, 1), held(1, 3, 3), held(1, 1, 1)};
    must(shard.commit({}, change));
    const auto all = must(shard->dead_letters(shard.state.handle, std::nullopt, 10));
    REQUIRE(all.size() == 3);
    CHECK(all[0].record == held(1, 1, 1));
    CHECK(all[1].message_id == "m3");
    CHECK(all[1].bytes == std::string_view{"payload"}.size());
    const auto rest = must(shard->dead_letters(shard.state.handle, core::enrolment{destination_id{1}, sequence{1}}, 1));
    REQUIRE(rest.size() == 1);
    CHECK(rest[0].record == held(1, 3, 3));
  }
}

void check_opening(const store_factory& make) {
  const auto place = make();
  SECTION("each owner has a greater epoch, and the one before can write no more") {
    auto journal = must(place->open());
    const auto first = must(journal->open({"orders", 0}, {"{}"}, specs(1)));
    const auto second = must(journal->open({"orders", 0}, {"{}"}, specs(1)));
    CHECK(second.owner == first.owner + 1);
    CHECK(must(journal->current_epoch(first.handle)) == second.owner);
    const std::vector<store::shard_commit> stale{{first.handle, {submit("a")}, {}}};
    CHECK(journal->commit(stale, at_ms(1)).error().code == errc::fenced);
    CHECK(journal->expire(first.handle, at_ms(1), at_ms(10'000), 10).error().code == errc::fenced);
    const std::vector<store::shard_commit> current{{second.handle, {submit("a")}, {}}};
    CHECK(must(journal->commit(current, at_ms(1)))[0].receipts[0] == receipt{"a", false, position{1}});
  }
  SECTION("it is known by an identity of its own from the beginning on") {
    const auto identity = must(place->open())->identity();
    CHECK(identity.size() == 32);
    CHECK(must(place->open())->identity() == identity);
    CHECK(must(make()->open())->identity() != identity);
  }
  SECTION("a definition has a new version exactly when its text changes") {
    auto journal = must(place->open());
    const auto version = [&](const std::string& text) {
      return must(journal->open({"orders", 0}, {text}, specs(1))).definition_version;
    };
    CHECK(version("one") == 1);
    CHECK(version("one") == 1);
    CHECK(version("two") == 2);
    CHECK(version("one") == 3);
  }
  SECTION("a new destination starts with what is accepted from now on; the order of the specs is kept") {
    {
      opened shard(must(place->open()), {{"b", 10}});
      must(shard.commit({submit("before", {1})}));
    }
    opened shard(must(place->open()), {{"a", 10}, {"b", 10}});
    CHECK(shard.state.destinations[0].name == "a");
    CHECK(shard.state.destinations[0].id == destination_id{2});
    CHECK(shard.state.destinations[0].last == sequence{});
    CHECK(shard.state.destinations[1].id == destination_id{1});
    must(shard.commit({submit("after", {1, 2})}));
    const auto items = shard.read(2, 1);
    REQUIRE(items.size() == 1);
    CHECK(items[0].message->id() == "after");
  }
  SECTION("a destination leaves only when everything is delivered, and comes back where it was") {
    {
      opened shard(must(place->open()), specs(2));
      must(shard.commit(submit_many("m", 0, 5, {1, 2})));
      shard.settle(2, 2);
    }
    {
      auto journal = must(place->open());
      const auto refused = journal->open({"orders", 0}, {"{}"}, specs(1));
      REQUIRE_FALSE(refused.has_value());
      CHECK(refused.error().code == errc::conflict);
      CHECK(refused.error().text().find("destination orders/d2") != std::string::npos);
      CHECK(refused.error().text().find("3 undelivered") != std::string::npos);
    }
    {
      opened shard(must(place->open()), specs(2));
      core::journal_change by_key;
      by_key.progress.push_back({destination_id{2}, sequence{2}, {}, sequence{5}, 0, false});
      by_key.progress[0].reached = sequence{5};
      by_key.progress[0].open = {sequence{3}};
      by_key.progress[0].settled = 4;
      must(shard.commit({}, by_key));
    }
    {
      const auto refused = must(place->open())->open({"orders", 0}, {"{}"}, specs(1));
      REQUIRE_FALSE(refused.has_value());
      CHECK(refused.error().text().find("1 undelivered") != std::string::npos);
    }
    {
      opened shard(must(place->open()), specs(2));
      shard.settle(2, 5);
    }
    CHECK(opened(must(place->open()), specs(1)).state.destinations.size() == 1);
    opened shard(must(place->open()), specs(2));
    CHECK(shard.state.destinations[1].id == destination_id{2});
    CHECK(shard.state.destinations[1].last == sequence{5});
  }
  SECTION("what waits in shards that were not opened is known, by destination") {
    {
      opened shard(must(place->open()), specs(3), "{}", "left");
      must(shard.commit(submit_many("m", 1, 5, {1, 2, 3})));
      shard.settle(1, 5);
      shard.settle(2, 3);
    }
    opened shard(must(place->open()), specs(1));
    must(shard.commit({submit("mine")}));
    const auto found = must(shard->left_behind_elsewhere());
    REQUIRE(found.size() == 2);
    CHECK(found[0].shard == shard_id{"left", 0});
    CHECK(found[0].destination == "d2");
    CHECK(found[0].messages == 2);
    CHECK(found[1].destination == "d3");
    CHECK(found[1].messages == 5);
    must(shard->open({"left", 0}, {"{}"}, specs(3)));
    CHECK(must(shard->left_behind_elsewhere()).empty());
  }
  SECTION("two destinations of one name are refused") {
    auto journal = must(place->open());
    const std::vector<store::destination_spec> twice{{"a", 1}, {"a", 1}};
    CHECK(journal->open({"orders", 0}, {"{}"}, twice).error().code == errc::invalid);
  }
}

void check_retention(const store_factory& make) {
  const auto place = make();
  SECTION("what is old and settled goes in slices; what is not settled stays, and can be read") {
    opened shard(must(place->open()), specs(2));
    must(shard.commit(submit_many("old", 1, 50, {1, 2}), {}, at_ms(10)));
    must(shard.commit(submit_many("new", 1, 50, {1, 2}), {}, at_ms(20)));
    CHECK(must(shard->expire(shard.state.handle, at_ms(100), at_ms(10'000), 1000)) == 0);
    shard.settle(1, 100);
    shard.settle(2, 30);
    CHECK(must(shard->expire(shard.state.handle, at_ms(100), at_ms(10'000), 20)) == 20);
    CHECK(must(shard->expire(shard.state.handle, at_ms(100), at_ms(10'000), 20)) == 10);
    CHECK(must(shard->expire(shard.state.handle, at_ms(100), at_ms(10'000), 20)) == 0);
    CHECK_FALSE(must(shard->find(shard.state.handle, position{30})));
    CHECK_FALSE(must(shard->find_id(shard.state.handle, "old30")));
    CHECK(shard.read(2, 31, 3)[0].message->id() == "old31");
    CHECK(shard->read(shard.state.handle, destination_id{2}, sequence{3}, 1, 1).error().code == errc::not_found);
    shard.settle(2, 100);
    CHECK(must(shard->expire(shard.state.handle, at_ms(15), at_ms(10'000), 1000)) == 20);
    CHECK(must(shard->find(shard.state.handle, position{51})));
  }
  SECTION("what was accepted while the clock was ahead is as old as what came after it") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("before", 1, 10), {}, at_ms(10)));
    must(shard.commit(submit_many("ahead", 1, 10), {}, at_ms(1'000'000)));
    shard.settle(1, 20);
    const auto expire_all = [&](std::int64_t before) {
      std::uint64_t all = 0;
      for (std::uint64_t some = 1; some > 0; all += some)
        some = must(shard->expire(shard.state.handle, at_ms(before), at_ms(100), 4));
      return all;
    };
    CHECK(expire_all(50) == 10); // nothing after the others says how old they are
    must(shard.commit(submit_many("after", 1, 10), {}, at_ms(60)));
    shard.settle(1, 30);
    CHECK(expire_all(50) == 0);
    CHECK(expire_all(70) == 20);
  }
  SECTION("what a parked key still needs stays, however far the other keys have come") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("m", 1, 10)));
    core::journal_change change;
    change.progress.push_back({destination_id{1}, sequence{3}, {}, sequence{10}, 0, false});
    change.progress[0].reached = sequence{10};
    change.progress[0].settled = 9;
    change.parked.push_back({destination_id{1}, "key-m4", sequence{4}});
    must(shard.commit({}, change));
    CHECK(must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 1000)) == 3);
    const std::vector<core::key_cursor> keys{{"key-m4", sequence{4}}};
    const auto found =
      must(shard->read_keys(shard.state.handle, destination_id{1}, keys, sequence{10}, 10, std::uint64_t{1} << 20U));
    CHECK(sequences(found) == std::vector<std::uint64_t>{4});
  }
  SECTION("a held message stays, whatever progress says") {
    opened shard(must(place->open()), specs(1));
    must(shard.commit(submit_many("m", 1, 10)));
    core::journal_change change;
    change.held.push_back(held(1, 4, 4));
    change.progress.push_back({destination_id{1}, sequence{10}, {}, sequence{10}, 0, false});
    must(shard.commit({}, change));
    CHECK(must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 1000)) == 3);
  }
  SECTION("numbers are never used again, and forgotten ids may come again") {
    {
      opened shard(must(place->open()), specs(1));
      must(shard.commit(submit_many("m", 1, 10)));
      must(shard.commit({submit("nowhere", {})}));
      shard.settle(1, 10);
      CHECK(must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 1000)) == 11);
    }
    opened shard(must(place->open()), specs(1));
    CHECK(shard.state.last == position{10});
    CHECK(shard.state.destinations[0].last == sequence{10});
    const auto done = must(shard.commit({submit("m1"), submit("nowhere", {})}));
    CHECK(done.receipts[0] == receipt{"m1", false, position{11}});
    CHECK(done.receipts[1] == receipt{"nowhere", false, position{}});
    REQUIRE(shard.read(1, 11).size() == 1);
    CHECK(shard.read(1, 11)[0].at == position{11});
  }
}

} // namespace reseq::test
