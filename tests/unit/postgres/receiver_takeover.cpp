// The owner before is stopped in the middle of a destination's transaction.

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>

#include "catch.hpp"
#include "journal_fixture.hpp"
#include "table_place.hpp"

namespace reseq::test {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

} // namespace

TEST_CASE("an owner that is stopped in the middle of a transaction does not keep the next one out") {
  std::promise<void> inside;
  std::atomic<bool> stops{true};
  table_place at;
  std::unique_ptr<store::transactional_receiver> first;
  std::future<core::receiver_answer> stopped;
  std::promise<void> waking; // goes first, and wakes whoever waits
  const auto woken = waking.get_future().share();
  at.sql("CREATE TABLE public.ledger (sequence bigint PRIMARY KEY, position bigint, message_id text, key text, headers "
         "jsonb, payload bytea)");
  at.function = [&, woken](transaction& tx, const delivery& d) {
    tx.execute("INSERT INTO public.ledger VALUES ($1, $2, $3, $4, '{}', '')",
               {d.seq.value(), d.at.value(), d.message_id, d.key});
    if (d.seq != sequence{2} || !stops.exchange(false)) return;
    inside.set_value();
    woken.wait();
  };
  first = at.access(owner_with(1));
  CHECK(said(first->deliver(messages({1}, 0))) == "confirmed");
  stopped = std::async(std::launch::async, [&] { return first->deliver(messages({2}, 1)); });
  inside.get_future().wait();

  const auto next = at.access(owner_with(2));
  const auto before = steady_clock::now();
  const auto found = next->open();
  CHECK(steady_clock::now() - before < 5s);
  REQUIRE(found);
  CHECK(found->last == sequence{1});
  CHECK(said(next->deliver(messages({2, 3}, 1))) == "confirmed");

  waking.set_value();
  CHECK(said(stopped.get()).starts_with("failing: "));
  CHECK(said(first->deliver(messages({2}, 1))) == "stale 2");
  CHECK(sequences_of(at.seen()) == range_of(1, 3));
}

TEST_CASE("a session that is no destination's is not ended for its row, and it is said that there is one") {
  table_place at;
  CHECK(said(at.access(owner_with(1))->deliver(messages({1}, 0))) == "confirmed");
  const auto next = at.access(owner_with(2));
  {
    pqxx::connection db(at.direct_url());
    pqxx::work tx(db);
    tx.exec("SELECT FROM reseq.delivered FOR UPDATE");
    const auto answer = said(next->deliver(messages({2}, 1)));
    CHECK(answer.find("another session keeps locked what is needed") != std::string::npos);
    tx.exec("SELECT 1");
    tx.commit();
  }
  CHECK(said(next->deliver(messages({2}, 1))) == "confirmed");
}

} // namespace reseq::test
