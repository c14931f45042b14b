"""Receivers that fail in every way and recover: order stays, and nobody else notices."""

import email.utils
import re
import threading
import time
import unittest

from book import check_book
from client import digest
from harness import SystemTest, pipeline, record_figure
from recorder import Reply
from waiting import eventually

COUNT = 30
MANY = 300

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"

FAULTS = {
    "status-500": Reply(500),
    "status-503": Reply(503, {"Retry-After": "1"}),
    "status-429": Reply(429, {"Retry-After": "1"}),
    "late-date": Reply(503, {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}),
    "no-date": Reply(503, {"Retry-After": "soon"}),
    "redirect": Reply(302, {"Location": "/elsewhere"}),
    "status-401": Reply(401),
    "status-403": Reply(403),
    "status-404": Reply(404),
    "status-409": Reply(409),
    "status-410": Reply(410),
    "status-412": Reply(412),
    "old-epoch": Reply(412, {"Reseq-Epoch": "0"}),
    "no-epoch": Reply(412, {"Reseq-Epoch": "18446744073709551616"}),
    "closed": Reply(close=True),
    "cut": Reply(cut=True),
    "cut-chunk": Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha"),
    "cut-head": Reply(raw=OK),
    "only-interim": Reply(raw=b"HTTP/1.1 102 Processing\r\n\r\n"),
    "endless-interim": Reply(raw=b"HTTP/1.1 102 Processing\r\n\r\n", endless=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "endless-head": Reply(raw=OK, endless=b"A: b\r\n"),
    "endless-line": Reply(raw=OK + b"A: ", endless=b"b" * 1000),
    "garbage": Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "binary": Reply(raw=bytes(range(256))),
    "switches": Reply(raw=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
    "two-lengths": Reply(raw=OK + b"Content-Length: 5\r\n\r\nhello"),
}

# Answers that are unusual and mean yes.
YES = {
    "created": Reply(201, body=b"thanks"),
    "no-content": Reply(204),
    "interim": Reply(first=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\n"),
    "chunks": Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nT: x\r\n\r\n"),
    "until-close": Reply(raw=b"HTTP/1.0 200\r\n\r\nok"),
    "long": Reply(body=b"x" * 200_000),
    "endless": Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n", endless=b"x" * 65536),
    "closes-unsaid": Reply(then_close=True),
}


class Receivers(SystemTest):
    def ids(self) -> list:
        return [f"m{number}" for number in range(COUNT)]

    def destination(self, name: str, url: str, **keys) -> dict:
        return {"name": name, "url": url, "timeout": "300ms", "retry_max": "300ms", **keys}

    def test_a_receiver_that_wants_to_be_left_alone_is_asked_at_once_when_its_destination_is_resumed(self):
        mended = False
        book = self.receiver(lambda request: 200 if mended else Reply(503, {"Retry-After": "600"}))
        destinations = [self.destination(name, book.url(name)) for name in ("paused", "running")]
        running = self.supervisor(self.config([pipeline("p", destinations)]))
        sent = running.submit_all("p", self.ids())
        for name in ("paused", "running"):
            running.wait_for_state("p", name, "failing")
        self.assertIn("`reseqctl resume p running` has it tried at once", running.ctl("why", "p", "running"))
        running.ctl("pause", "p", "--to", "paused")
        mended = True
        self.assertEqual(running.ctl("resume", "p", "--to", "paused,running"),
                         "p/paused is no longer paused\np/running is no longer paused\n")  # fmt: skip
        for name in ("paused", "running"):
            running.wait_until_settled("p", name, COUNT)
            self.assert_nothing_wrong(check_book(book.entries(name), sent))

    def test_of_a_receiver_that_hangs_after_it_failed_is_said_that_it_was_asked(self):
        goes_on = threading.Event()
        book = self.receiver(lambda request: Reply(500) if request.number == 1 else Reply(200, after=goes_on))
        running = self.supervisor(self.config([pipeline("p", [{"name": "d", "url": book.url()}])]))
        running.submit_all("p", ["a"])
        said = eventually("it is asked again", lambda: re.search("Cause: it was sent .*", running.ctl("why", "p", "d")))
        self.assertRegex(said[0], "and the receiver has not answered yet")
        eventually("the failure is told beside it", lambda: re.search(
            "It was sent 2 times, with this one. The last error: the receiver answered 500", running.ctl("why", "p", "d")
        ))  # fmt: skip
        goes_on.set()
        running.wait_until_settled("p", "d", 1)

    def test_each_kind_of_failure_is_repeated_in_order_until_it_is_over_and_others_do_not_notice(self):
        broken = True

        def answer(request):
            fault = FAULTS.get(request.destination)
            return fault if fault and broken and request.entries[0].sequence > 5 else 200

        book = self.receiver(answer)
        destinations = [self.destination(name, book.url(name)) for name in [*FAULTS, "steady"]]
        running = self.supervisor(self.config([pipeline("p", destinations)]))
        sent = running.submit_all("p", self.ids())
        running.wait_until_settled("p", "steady", COUNT)
        for name in FAULTS:
            with self.subTest(f"{name}: failing"):
                running.wait_for_state("p", name, "failing")
                eventually(f"{name} is tried again", lambda name=name: len(book.entries(name)) >= 8)
                status = running.destination("p", name)
                self.assertEqual((status["settled"], status["blocked_by"]["sequence"]), (5, 6))
                self.assertEqual(status["blocked_by"]["phase"], "delivery")
                self.assertTrue(status["blocked_by"]["last_error"])
        broken = False
        for name in [*FAULTS, "steady"]:
            with self.subTest(f"{name}: recovered"):
                running.wait_until_settled("p", name, COUNT)
                self.assert_nothing_wrong(check_book(book.entries(name), sent))
                self.assertEqual(running.destination("p", name)["state"], "running")
        self.assertEqual(len(book.entries("steady")), COUNT)
        self.assert_waited_as_told(book)

    def test_an_answer_that_means_yes_does_so_in_any_form(self):
        book = self.receiver(lambda request: YES.get(request.destination, 200))
        destinations = [{**self.destination(name, book.url(name)), "timeout": "30s"} for name in YES]
        running = self.supervisor(self.config([pipeline("p", destinations)]))
        sent = running.submit_all("p", self.ids())
        for name in YES:
            with self.subTest(name):
                running.wait_until_settled("p", name, COUNT)
                entries = book.entries(name)
                self.assertEqual([(entry.sequence, entry.attempt) for entry in entries], [(n + 1, 1) for n in range(COUNT)])
                self.assert_nothing_wrong(check_book([entry._replace(answer=200) for entry in entries], sent))

    def test_who_says_yes_before_he_has_the_message_has_not_confirmed_it(self):
        book = self.receiver()
        asked_again = threading.Event()

        def early(headers):
            if headers["Reseq-Message-Id"] == "large" and headers["Reseq-Attempt"] == "1":
                return Reply(200, after=asked_again)
            asked_again.set()
            return None

        running = self.supervisor(
            self.config([pipeline("p", [self.destination("d", book.url(), timeout="30s")])], http={"max_message": "16MiB"})
        )
        sent = running.submit_all("p", ["small"])
        running.wait_until_settled("p", "d", 1)
        book.early = early
        large = b"x" * (15 << 20)  # more than the system takes in for whoever does not read
        self.assertEqual(running.submit("p", large, "large").status, 202)
        sent |= {"large": digest(large), **running.submit_all("p", ["after"])}
        running.wait_for_line("answered 200 before it had the whole request")
        running.wait_until_settled("p", "d", 3)
        self.assertEqual([entry.attempt for entry in book.entries("d")], [1, 2, 1])
        self.assert_nothing_wrong(check_book(book.entries("d"), sent))

    def test_while_one_receiver_hangs_the_deliveries_to_another_go_on(self):
        book = self.receiver(lambda request: Reply(200, after=book.never) if request.destination == "hung" else 200)
        destinations = [self.destination("hung", book.url("h"), timeout="10m"), self.destination("well", book.url("w"))]
        running = self.supervisor(self.config([pipeline("p", destinations)]))
        sent = running.submit_all("p", ["first"])
        eventually("one hangs", lambda: book.entries("hung"))
        sent |= running.submit_all("p", [f"m{number}" for number in range(MANY)])
        running.wait_until_settled("p", "well", MANY + 1)
        entries = book.entries("well")
        self.assert_nothing_wrong(check_book(entries, sent))
        self.assertEqual([entry.sequence for entry in book.entries("hung")], [1])
        self.assertEqual(running.destination("p", "hung")["lag"], MANY + 1)
        waits = sorted(later.at - earlier.at for earlier, later in zip(entries[1:], entries[2:]))
        self.assertLess(waits[-1], 5.0, "a delivery waited for the receiver that hangs")
        record_figure("deliveries beside a receiver that hangs, one after", f"{1000 * waits[len(waits) // 2]:.1f} ms")

    def test_a_name_that_does_not_exist_fails_and_says_so_while_others_go_on(self):
        book = self.receiver()
        destinations = [
            self.destination("nowhere", "http://no-such-host.invalid:1/", timeout="30s"),
            self.destination("steady", book.url()),
        ]
        running = self.supervisor(self.config([pipeline("p", destinations)]))
        sent = running.submit_all("p", self.ids())
        running.wait_until_settled("p", "steady", COUNT)
        status = running.wait_for_state("p", "nowhere", "failing")
        self.assertIn("cannot be resolved", status["blocked_by"]["last_error"])
        self.assert_nothing_wrong(check_book(book.entries("steady"), sent))

    def test_a_batch_that_is_refused_goes_message_by_message_and_none_is_held_if_each_will_do(self):
        book = self.receiver(lambda request: 400 if len(request.entries) > 1 else 200)
        running = self.supervisor(self.config([pipeline("p", [self.destination("d", book.url(), batch=7)])]))
        running.post("/v1/pipelines/p/destinations/d/pause")
        sent = running.submit_all("p", self.ids())
        eventually("all are ready", lambda: running.destination("p", "d")["ready"] == COUNT)
        running.post("/v1/pipelines/p/destinations/d/resume")
        running.wait_until_settled("p", "d", COUNT)
        self.assertEqual(book.confirmed("d"), list(range(1, COUNT + 1)))
        self.assertEqual(running.destination("p", "d")["state"], "running")
        self.assert_nothing_wrong(check_book(book.entries("d"), sent))

    def test_a_date_in_retry_after_is_waited_for(self):
        until = []

        def answer(request):
            if until:
                return 200
            until.append(int(time.time()) + 3)
            return Reply(429, {"Retry-After": email.utils.formatdate(until[0], usegmt=True)})

        book = self.receiver(answer)
        running = self.supervisor(self.config([pipeline("p", [self.destination("d", book.url())])]))
        sent = running.submit_all("p", ["a"])
        running.wait_until_settled("p", "d", 1)
        first, second = book.entries("d")
        self.assertGreaterEqual(second.at - first.at, 1.9)
        self.assert_nothing_wrong(check_book(book.entries("d"), sent))

    def assert_waited_as_told(self, book) -> None:
        for name in ("status-503", "status-429"):
            tries = [entry.at for entry in book.entries(name) if entry.sequence == 6]
            waits = [later - earlier for earlier, later in zip(tries, tries[1:])]
            self.assertTrue(waits)
            self.assertGreaterEqual(min(waits), 0.95, f"{name}: Retry-After: 1 was not respected")

    def test_a_receiver_that_refuses_connections_gets_everything_when_it_is_back(self):
        gone, steady = self.receiver(), self.receiver()
        destinations = [self.destination("gone", gone.url()), self.destination("steady", steady.url())]
        running = self.supervisor(self.config([pipeline("p", destinations)]))
        sent = running.submit_all("p", ["first"])
        running.wait_until_settled("p", "gone", 1)
        gone.refuse()
        sent |= running.submit_all("p", self.ids())
        running.wait_until_settled("p", "steady", COUNT + 1)
        status = running.wait_for_state("p", "gone", "failing")
        self.assertEqual(status["lag"], COUNT)
        gone.listen()
        running.wait_until_settled("p", "gone", COUNT + 1)
        for book, name in ((gone, "gone"), (steady, "steady")):
            self.assert_nothing_wrong(check_book(book.entries(name), sent))

    def test_a_receiver_that_hangs_is_given_up_after_its_timeout_and_asked_again(self):
        hanging = 2

        def answer(request):
            return Reply(200, after=release) if request.number <= hanging else 200

        book = self.receiver()
        release = book.never
        book.answer = answer
        running = self.supervisor(self.config([pipeline("p", [self.destination("d", book.url())])]))
        sent = running.submit_all("p", self.ids())
        running.wait_until_settled("p", "d", COUNT)
        entries = book.entries("d")
        self.assertEqual([entry.attempt for entry in entries[:3]], [1, 2, 3])
        self.assertGreaterEqual(entries[1].at - entries[0].at, 0.29)
        self.assert_nothing_wrong(check_book(entries, sent))

    def test_a_batch_that_fails_is_repeated_as_a_whole(self):
        book = self.receiver(lambda request: 500 if request.number in (2, 3) else 200)
        running = self.supervisor(self.config([pipeline("p", [self.destination("d", book.url(), batch=7)])]))
        running.post("/v1/pipelines/p/destinations/d/pause")
        sent = running.submit_all("p", self.ids())
        eventually("all are ready", lambda: running.destination("p", "d")["ready"] == COUNT)
        running.post("/v1/pipelines/p/destinations/d/resume")
        running.wait_until_settled("p", "d", COUNT)
        requests = {}
        for entry in book.entries("d"):
            requests.setdefault(entry.request, []).append(entry.sequence)
        self.assertEqual(requests[1], list(range(1, 8)))
        self.assertEqual(requests[2], list(range(8, 15)))
        self.assertEqual((requests[3], requests[4]), (requests[2], requests[2]))
        self.assert_nothing_wrong(check_book(book.entries("d"), sent))

    def test_a_later_epoch_that_only_the_receiver_knows_stops_nothing_but_is_reported(self):
        book = self.receiver(lambda request: Reply(412, {"Reseq-Epoch": "99"}) if request.number == 3 else 200)
        running = self.supervisor(self.config([pipeline("p", [self.destination("d", book.url())])]))
        sent = running.submit_all("p", self.ids())
        running.wait_until_settled("p", "d", COUNT)
        running.wait_for_line("412 with a later Reseq-Epoch")
        self.assertTrue(running.running())
        self.assert_nothing_wrong(check_book(book.entries("d"), sent))

    def test_messages_go_where_they_are_told_to_and_carry_what_the_pipeline_carries(self):
        seen = {}

        def answer(request):
            seen[request.destination, request.entries[0].message_id] = request.headers
            return 200

        book = self.receiver(answer)
        destinations = [
            self.destination("a", book.url("a")),
            self.destination("orders", book.url("o"), when={"ce-type": "order.*"}),
        ]
        running = self.supervisor(self.config([pipeline("p", destinations)]))
        headers = {"ce-type": "order.paid", "ce-source": "/s", "X-Other": "no", "Reseq-Key": "k", "traceparent": "00-1"}
        self.assertEqual(running.submit("p", b"{}", "m1", {**headers, "Content-Type": "application/json"}).status, 202)
        running.submit("p", b"x", "m2", {"ce-type": "invoice", "ce-source": "/s", "ce-id": "1"})
        running.submit("p", b"x", "m3", {"Reseq-Destinations": "orders"})
        running.wait_until_settled("p", "a", 2)
        running.wait_until_settled("p", "orders", 2)
        self.assertEqual(sorted(seen), [("a", "m1"), ("a", "m2"), ("orders", "m1"), ("orders", "m3")])
        got = {name.lower(): value for name, value in seen["orders", "m1"].items()}
        self.assertEqual((got["content-type"], got["ce-type"]), ("application/json", "order.paid"))
        self.assertEqual(got["traceparent"], "00-1")
        self.assertEqual((got["reseq-key"], got["reseq-pipeline"]), ("k", "p"))
        self.assertNotIn("x-other", got)


if __name__ == "__main__":
    unittest.main()
