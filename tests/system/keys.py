"""Order by key: one key that does not move stops no other, however long, and goes on in order when it can."""

import json
import threading
import unittest

from book import check_book_by_key
from client import body_of, digest, receipt_of
from harness import GIVES_UP_SOON, SystemTest, pipeline
from recorder import Reply
from waiting import eventually

KEYS = 1000
WINDOW = 64
OF_BAD = 300  # far more than the window holds
CONNECTIONS = 4
MAX_UNSAVED = 32


def has_bad(request) -> bool:
    return any(entry.key == "bad" for entry in request.entries)


class Keys(SystemTest):
    def start(self, answer, batch: int = 1):
        self.answer = answer
        self.book = self.receiver(lambda request: self.answer(request))
        destination = {
            "name": "d", "url": self.book.url(), "order": "key", "connections": CONNECTIONS, "window": WINDOW,
            "batch": batch, "max_unsaved": MAX_UNSAVED, "retry_max": "300ms",
        }  # fmt: skip
        self.running = self.supervisor(self.config([pipeline("p", [destination])]))
        self.sent = {}  # message id: (key, sha256 of the body)

    def submit(self, keys) -> None:
        """One message of each key, in one batch."""
        lines = []
        for key in keys:
            message_id = f"m{len(self.sent)}"
            body = body_of(message_id)
            lines.append(json.dumps({"id": message_id, "key": key, "payload": body.decode()}))
            self.sent[message_id] = (key, digest(body))
        headers = {"Content-Type": "application/x-ndjson"}
        answer = self.running.request("POST", "/v1/pipelines/p/messages/batch", "\n".join(lines).encode(), headers)
        self.assertEqual(answer.status, 200, answer.body)
        for line in answer.body.splitlines():
            self.assertIn("positions", json.loads(line), line)

    def submit_bad_among_others(self, bad: int = OF_BAD) -> None:
        keys = [f"k{number}" for number in range(KEYS)] * 2
        for number in range(bad):
            keys.insert(number * len(keys) // bad, "bad")
        self.submit(keys)

    def confirmed(self) -> set:
        return {entry.message_id for entry in self.book.entries() if entry.answer == 200}

    def wait_for_others(self) -> None:
        others = {message_id for message_id, (key, _) in self.sent.items() if key != "bad"}
        eventually("all other keys have arrived", lambda: others <= self.confirmed(), 120)

    def wait_for_all(self, passed=()) -> None:
        eventually("everything has arrived", lambda: set(self.sent) <= self.confirmed() | set(passed), 120)

    def status(self) -> dict:
        return self.running.destination("p", "d")

    def held_now(self) -> dict:
        return eventually("it is held", lambda: self.running.get("/v1/pipelines/p/held")["held"])[0]

    def operate(self, what: str, position: int) -> None:
        answer = self.running.post(f"/v1/pipelines/p/messages/0:{position}/{what}")
        self.assertEqual((answer.status, answer.json()["changed"]), (200, 1))

    def assert_blocked_by_bad(self, status: dict, held: dict) -> None:
        first = next(message_id for message_id, (key, _) in self.sent.items() if key == "bad")
        for head in (status["blocked_by"], status["oldest_keys"][0]):
            self.assertEqual((head["key"], head["phase"], head["position"]), ("bad", "held", held["position"]))
            self.assertEqual(head["id"], first)

    def assert_in_window(self) -> None:
        status = self.status()
        self.assertLessEqual(status["pending"] + status["ready"], WINDOW)

    def assert_book(self, passed=(), max_unsaved: int = 0) -> None:
        self.assert_nothing_wrong(check_book_by_key(self.book.entries(), self.sent, passed, max_unsaved))

    def test_a_refused_key_stops_no_other_and_goes_on_in_order_after_kills(self):
        self.start(lambda request: 422 if has_bad(request) else 200)
        self.submit_bad_among_others()
        self.wait_for_others()
        self.assert_in_window()
        held = self.held_now()
        status = eventually("all others are saved", lambda: (now := self.status())["lag"] == OF_BAD and now)
        self.assertEqual((status["state"], status["held"]), ("running", 1))
        self.assert_blocked_by_bad(status, held)
        self.assertEqual(status["parked_keys"], 1)

        self.running.kill()
        self.running = self.restart(self.running)
        self.submit_bad_among_others(bad=10)
        self.wait_for_others()
        self.assertEqual(self.held_now()["position"], held["position"])
        self.assert_blocked_by_bad(self.status(), held)

        self.answer = lambda request: 200
        self.operate("retry", held["position"])
        eventually("the key moves", lambda: any(entry.key == "bad" and entry.answer == 200 for entry in self.book.entries()))
        self.running.kill()
        self.running = self.restart(self.running)
        self.wait_for_all()
        self.running.wait_until_settled("p", "d", len(self.sent))
        self.assertEqual(self.status()["parked_keys"], 0)
        self.assertIsNone(self.status()["blocked_by"])
        self.assert_book(max_unsaved=MAX_UNSAVED)

    def test_what_is_skipped_lets_its_key_go_on(self):
        first = []

        def answer(request):
            if has_bad(request) and not first:
                first.append(request.entries[0].message_id)
            return 422 if any(entry.message_id in first for entry in request.entries) else 200

        self.start(answer)
        self.submit_bad_among_others()
        self.wait_for_others()
        self.operate("skip", self.held_now()["position"])
        self.wait_for_all(passed=first)
        self.assert_book(passed=first)

    def test_a_key_that_fails_and_one_that_hangs_stop_no_other(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def answer(request):
            if any(entry.key == "hangs" for entry in request.entries):
                return Reply(200, after=release)
            return 500 if has_bad(request) else 200

        self.start(answer, batch=5)
        self.submit(["hangs"])
        self.submit_bad_among_others()
        others = {message_id for message_id, (key, _) in self.sent.items() if key not in ("bad", "hangs")}
        eventually("all other keys have arrived", lambda: others <= self.confirmed(), 120)
        self.assert_in_window()
        self.assertEqual(self.status()["state"], "running")
        self.answer = lambda request: 200
        release.set()
        self.wait_for_all()
        self.assert_book()

    def test_as_many_requests_as_there_are_connections_are_under_way_each_of_another_key(self):
        release = threading.Event()
        self.addCleanup(release.set)
        self.start(lambda request: Reply(200, after=release))
        self.submit([f"k{number % 10}" for number in range(100)])
        entries = eventually("the connections are in use", lambda: len(self.book.entries()) == CONNECTIONS and self.book.entries())
        self.assertEqual(len({entry.key for entry in entries}), CONNECTIONS)
        release.set()
        self.wait_for_all()
        self.assert_book()

    def test_a_receiver_that_is_down_is_asked_by_one_request_at_a_time(self):
        self.start(lambda request: 503)
        self.submit([f"k{number}" for number in range(KEYS)])
        self.running.wait_for_state("p", "d", "failing")
        asked = len(self.book.entries())
        eventually("it is asked again", lambda: len(self.book.entries()) >= asked + 3)
        self.assertLess(len(self.book.entries()), 40, "it is asked for each of a thousand keys")
        self.answer = lambda request: 200
        self.wait_for_all()
        self.running.wait_for_state("p", "d", "running")
        self.assert_book()

    def test_back_to_order_in_total_only_when_all_is_delivered(self):
        self.start(lambda request: 422 if has_bad(request) else 200)
        self.submit(["k1", "bad", "k2", "bad"])
        held = self.held_now()
        self.wait_for_others()
        self.running.stop()
        destination = self.running.config["pipeline"][0]["destination"][0]
        by_key = {key: destination.pop(key) for key in ("order", "connections")}
        refused = self.starting_supervisor(self.running.config)
        refused.wait_for_line(r"destination d: .*order by key.*2 undelivered")
        self.assertNotEqual(refused.wait(), 0)

        destination.update(by_key)
        self.answer = lambda request: 200
        self.running = self.restart(self.running)
        self.operate("retry", held["position"])
        self.wait_for_all()
        self.running.wait_until_settled("p", "d", 4)
        self.assert_book()
        self.running.stop()
        for key in by_key:
            del self.running.config["pipeline"][0]["destination"][0][key]
        self.running = self.restart(self.running)
        self.answer = lambda request: 503
        self.submit(["k1", "k2"])
        self.running.wait_for_state("p", "d", "failing")
        self.running.kill()  # before anything was delivered in total order
        self.running = self.restart(self.running)
        self.answer = lambda request: 200
        self.running.wait_until_settled("p", "d", 6)
        self.assertEqual([entry.previous for entry in self.book.entries()[-2:]], [4, 5])


class HangingTransform(SystemTest):
    def test_a_key_whose_transform_hangs_stops_no_other_and_goes_on_when_that_is_skipped(self):
        book = self.receiver()
        destination = {"name": "d", "url": book.url(), "order": "key", "window": WINDOW, "max_unsaved": MAX_UNSAVED}
        retry = {**GIVES_UP_SOON, "timeout": "300ms", "jitter": "1ms", "max_timeout": "300ms", "max_attempts": 2}
        pipelines = [pipeline("p", [destination], [{"use": "obey"}], retry)]
        running = self.supervisor(self.config(pipelines), command=("test-misbehaves", "supervisor"))
        sent = {}
        lines = []
        for number in range(OF_BAD * 4):
            key = "bad" if number % 4 == 0 else f"k{number % 100}"
            body = b"hang" if number == 0 else body_of(f"m{number}")
            sent[f"m{number}"] = (key, digest(body))
            lines.append(json.dumps({"id": f"m{number}", "key": key, "payload": body.decode()}))
        headers = {"Content-Type": "application/x-ndjson"}
        answer = running.request("POST", "/v1/pipelines/p/messages/batch", "\n".join(lines).encode(), headers)
        self.assertEqual(answer.status, 200, answer.body)

        others = {message_id for message_id, (key, _) in sent.items() if key != "bad"}
        eventually("all other keys have arrived", lambda: others <= {entry.message_id for entry in book.entries()})
        self.assertFalse({entry.message_id for entry in book.entries()} - others, "something came before what hangs")
        eventually("what hangs is held", lambda: running.destination("p", "d")["held"] == 1)
        self.assertEqual(running.post("/v1/pipelines/p/messages/0:1/skip").status, 200)
        running.wait_until_settled("p", "d", len(sent))
        del sent["m0"]
        self.assert_nothing_wrong(check_book_by_key(book.entries(), sent, max_unsaved=MAX_UNSAVED))


if __name__ == "__main__":
    unittest.main()
