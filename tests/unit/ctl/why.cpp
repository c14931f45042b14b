#include "ctl/why.hpp"

#include "answers.hpp"
#include "catch.hpp"

using namespace reseq::ctl;
using namespace reseq::ctl::test;
using nlohmann::json;

TEST_CASE("only what has a head or is paused waits") {
  CHECK(waits(destination("running", head("transform"))));
  CHECK(waits(destination("paused", nullptr)));
  CHECK(!waits(destination("running", nullptr)));
}

TEST_CASE("a held head is explained with its reason and both ways out") {
  auto blocked = head("held");
  blocked["attempts"] = 5;
  blocked["last_error"] = "enrich: no customer";
  CHECK(explain("orders", destination("held", blocked), hold("exhausted"), now) ==
        "orders/billing waits for message order-17 (0:17, sequence 12), for 3m 12s.\n"
        "  Cause: its transforms used up their attempts, so it is held for a person to decide; since 2m.\n"
        "  5 attempts failed. The last error: enrich: no customer\n"
        "  3 messages are ready behind it; 9 messages are not settled, with this one.\n"
        "  To do: correct what the error names, then `reseqctl retry orders 0:17 --to billing`; or give the message up "
        "here with `reseqctl skip orders 0:17 --to billing`.\n");
}

TEST_CASE("a transform that said that no other attempt helps is told apart from one that was tried often enough") {
  const auto text = explain("orders", destination("held", head("held")), hold("permanent"), now);
  CHECK(contains(text, "its transforms said that trying again is no use"));
  CHECK(contains(text, "correct what the error names, then `reseqctl retry"));
}

TEST_CASE("a message that the receiver refused is the receiver's to correct") {
  const auto text = explain("orders", destination("held", head("held")), hold("refused"), now);
  CHECK(contains(text, "the receiver refused it for good"));
  CHECK(contains(text, "correct what made the receiver refuse"));
}

TEST_CASE("a hold whose record is already gone is still explained") {
  CHECK(contains(explain("orders", destination("held", head("held")), nullptr, now), "held for a person to decide.\n"));
}

TEST_CASE("a transform that fails is explained attempt by attempt") {
  auto blocked = head("transform");
  blocked["attempts"] = 2;
  blocked["last_error"] = "enrich: refused";
  blocked["next_attempt"] = "2026-11-21T12:00:04.000Z";
  blocked["history"] = {failed_attempt()};
  CHECK(explain("orders", destination("running", blocked), nullptr, now) ==
        "orders/billing waits for message order-17 (0:17, sequence 12), for 3m 12s.\n"
        "  Cause: its transforms failed, and the next attempt waits for its time.\n"
        "  2 attempts failed. The last error: enrich: refused\n"
        "    attempt 2 on worker a: failed after 2s, 10s ago: enrich: refused\n"
        "  The next attempt: in 4s.\n"
        "  3 messages are ready behind it; 9 messages are not settled, with this one.\n"
        "  To do: nothing, if the error passes: it is tried again by itself, and held after its last attempt. Else "
        "correct what the error names.\n");
}

TEST_CASE("a transform that runs for the first time needs nothing") {
  auto blocked = head("transform");
  blocked["history"] = {running_attempt()};
  const auto text = explain("orders", destination("running", blocked), nullptr, now);
  CHECK(contains(text, "its transforms are working on it"));
  CHECK(contains(text, "attempt 3 on worker b: runs since 2s"));
  CHECK(contains(text, "To do: nothing yet"));
}

TEST_CASE("a head whose transforms kill workers waits for its turn, and points to the transform") {
  auto blocked = head("transform");
  blocked["quarantined"] = true;
  blocked["next_attempt"] = "2026-11-21T12:00:02.000Z";
  const auto text = explain("orders", destination("running", blocked), nullptr, now);
  CHECK(contains(text, "its transforms killed the workers of several messages, so all run by themselves"));
  CHECK(contains(text, "To do: correct the transform that kills its worker"));
  blocked["quarantined"] = false;
  CHECK_FALSE(contains(explain("orders", destination("running", blocked), nullptr, now), "kill"));
}

TEST_CASE("a head that no worker has begun with points to the workers") {
  const auto text = explain("orders", destination("running", head("transform")), nullptr, now);
  CHECK(contains(text, "it waits for a worker with a free slot"));
  CHECK(contains(text, "see that a reseq-worker runs"));
}

TEST_CASE("a head that no worker can begin with is told from one whose workers have no slot, or hang") {
  auto blocked = head("transform");
  const auto text = [&] { return explain("orders", destination("running", blocked), nullptr, now); };
  blocked["workers"] = 2;
  blocked["slots"] = 8;
  blocked["hanging_slots"] = 0;
  CHECK(contains(text(), "it waits for a worker with a free slot"));
  blocked["hanging_slots"] = 6;
  CHECK(contains(text(),
                 "it waits for a free slot: of 8 slots of its workers, 6 hang, taken by attempts that have timed "
                 "out and do not end."));
  CHECK(contains(text(), "To do: correct the transform that hangs"));
  blocked["suspect"] = true;
  CHECK(contains(text(), "it was at work on two workers that died, and waits for a worker of its own, which shows "
                         "whether it kills it; of 8 slots of its workers, 6 hang"));
  CHECK(contains(text(), "To do: correct the transform that hangs"));
  blocked["hanging_slots"] = 0;
  CHECK(contains(text(), "which shows whether it kills it.\n"));
  blocked["suspect"] = false;
  blocked["workers"] = blocked["slots"] = blocked["hanging_slots"] = 0;
  CHECK(contains(text(), "no worker that has its transforms has joined"));
  CHECK(contains(text(), "To do: see that a reseq-worker runs"));
}

TEST_CASE("a head whose only worker is kept for suspects waits for those, and a suspect that runs is told as one") {
  auto blocked = head("transform");
  const auto text = [&] { return explain("orders", destination("running", blocked), nullptr, now); };
  blocked["slots"] = 8;
  blocked["workers"] = blocked["workers_apart"] = 1;
  CHECK(contains(text(), "Cause: the only worker that has its transforms is kept for messages that were at work on two "
                         "workers that died"));
  CHECK(contains(text(), "To do: nothing, or start another reseq-worker"));
  blocked["workers"] = 2;
  CHECK(contains(text(), "it waits for a worker with a free slot"));
  blocked["workers_apart"] = 2;
  CHECK(contains(text(), "Cause: all 2 workers that have its transforms are kept"));
  blocked["suspect"] = true;
  blocked["history"] = {running_attempt()};
  CHECK(contains(text(),
                 "its transforms are working on it, on a worker that is kept for such messages: it was at work on"));
  blocked["history"] = json::array();
  blocked["workers"] = blocked["workers_apart"] = 0;
  CHECK(contains(text(), "and no worker that has its transforms has joined since"));
  CHECK(contains(text(), "To do: see that a reseq-worker runs"));
}

TEST_CASE("a failing receiver is what to look at") {
  auto blocked = head("delivery");
  blocked["attempts"] = 7;
  blocked["last_error"] = "500 Internal Server Error";
  blocked["next_attempt"] = "2026-11-21T12:00:30.000Z";
  blocked["ready_behind"] = 0;
  const auto text = explain("orders", destination("failing", blocked), nullptr, now);
  CHECK(contains(text, "the receiver did not take it"));
  CHECK(contains(text, "It was sent 7 times. The last error: 500 Internal Server Error\n"));
  CHECK(contains(text, "The next attempt: in 30s.\n"));
  CHECK(contains(text, "Nothing is ready behind it"));
  CHECK(contains(text, "correct what the error names, most often at the receiver"));
  CHECK(contains(text, "`reseqctl resume orders billing` has it tried at once"));
}

TEST_CASE("a receiver that is asked and has not answered is told from one that has failed before") {
  auto blocked = head("delivery");
  blocked["attempts"] = 3;
  blocked["last_error"] = "no answer within 30s";
  blocked["asked_at"] = "2026-11-21T11:59:48.000Z";
  const auto text = explain("orders", destination("failing", blocked), nullptr, now);
  CHECK(contains(text, "Cause: it was sent 12s ago, and the receiver has not answered yet.\n"));
  CHECK(contains(text, "It was sent 3 times, with this one. The last error: no answer within 30s\n"));
  CHECK(contains(text, "To do: nothing yet; a receiver that does not answer within the destination's timeout"));
  CHECK(!contains(text, "the receiver did not take it"));
  CHECK(contains(explain("orders", destination("paused", blocked), nullptr, now), "it was sent 12s ago"));
}

TEST_CASE("a paused destination is to be resumed, whether anything waits there or not") {
  CHECK(explain("orders", destination("paused", nullptr), nullptr, now) ==
        "orders/billing is paused; nothing waits there.\n"
        "  To do: `reseqctl resume orders billing` when deliveries may go on.\n");
  CHECK(contains(explain("orders", destination("paused", head("delivery")), nullptr, now),
                 "while the destination is paused"));
  auto failed = head("delivery");
  failed["next_attempt"] = "2026-11-21T12:00:30.000Z";
  CHECK(!contains(explain("orders", destination("paused", failed), nullptr, now), "The next attempt"));
  CHECK(contains(explain("orders", destination("paused", head("transform")), nullptr, now),
                 "the destination is paused, and nothing is sent; meanwhile it waits for a worker"));
  const auto held = explain("orders", destination("paused", head("held")), hold("refused"), now);
  CHECK(contains(held, "`reseqctl resume orders billing` when deliveries may go on. Besides, correct what made"));
}

TEST_CASE("a pipeline that has diverged is to be recovered") {
  auto stopped = destination("diverged", nullptr);
  stopped["reason"] = "Redis was told of sequence 20";
  CHECK(waits(stopped));
  const auto text = explain("orders", stopped, nullptr, now);
  CHECK(contains(text, "orders/billing is stopped: its pipeline has diverged."));
  CHECK(contains(text, "Cause: Redis was told of sequence 20."));
  CHECK(contains(text, "`reseqctl recover orders`"));
}

TEST_CASE("what is being saved or read points to the journal") {
  CHECK(contains(explain("orders", destination("running", head("saving")), nullptr, now), "saved in the journal"));
  auto reading = head("reading");
  reading["id"] = "";
  reading["position"] = 0;
  const auto text = explain("orders", destination("running", reading), nullptr, now);
  CHECK(contains(text, "waits for sequence 12, for 3m 12s"));
  CHECK(contains(text, "the room on its disk"));
}
