"""Messages that kill the process that runs them, and messages that hang in it for ever: everything else goes on."""

import threading
import time
import unittest

from book import check_book
from client import digest, receipt_of
from harness import GIVES_UP_SOON, SystemTest, pipeline
from waiting import eventually

MISBEHAVES = ("test-misbehaves", "supervisor")
ATTEMPTS = 3


class PoisonTest(SystemTest):
    def start(self, retry: dict, slots: int) -> None:
        self.book = self.receiver()
        destinations = [{"name": "d", "url": self.book.url()}]
        pipelines = [pipeline("p", destinations, [{"use": "obey"}], retry)]
        self.running = self.supervisor(self.config(pipelines, worker={"slots": slots}), command=MISBEHAVES)
        self.running.wait_for_workers(1)

    def submit(self, number: int, poison: dict) -> tuple:
        body = poison.get(number, b"innocent %d" % number)
        receipt_of(self.running.submit("p", body, f"m{number}"))
        return f"m{number}", digest(body)

    def attempts(self, outcome: str) -> float:
        return self.running.metrics().by_label("reseq_attempts_total", "outcome").get(outcome, 0)

    def skip_held(self, position: int) -> None:
        answer = self.running.post(f"/v1/pipelines/p/messages/0:{position}/skip")
        self.assertEqual(answer.status, 200, answer.body)


class Killers(PoisonTest):
    def test_a_message_that_segfaults_among_thousands_is_held_after_its_attempts_and_all_others_are_delivered(self):
        self.start({**GIVES_UP_SOON, "max_attempts": ATTEMPTS}, slots=16)
        poison = {1000: b"segfault"}
        gaps = Gaps(self.running)
        sent = dict(self.submit(number, poison) for number in range(1, 3001))
        held = self.running.wait_for_state("p", "d", "held")["blocked_by"]
        self.assertEqual((held["id"], held["phase"], held["attempts"]), ("m1000", "held", ATTEMPTS))
        self.assertIn("its worker died", held["last_error"])
        self.assertEqual(self.attempts("crashed"), ATTEMPTS)
        self.skip_held(1000)
        self.running.wait_until_settled("p", "d", 3000)
        del sent["m1000"]
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, passed=[1000]))
        self.assertEqual((self.attempts("failed"), self.attempts("timed_out")), (0, 0))
        self.assertLess(gaps.longest(), 3.0, "the pool was empty for longer than a restart takes")

    def test_a_message_that_silences_its_worker_before_it_ends_is_held_too(self):
        self.start({**GIVES_UP_SOON, "max_attempts": 2}, slots=4)
        sent = dict(self.submit(number, {7: b"freeze"}) for number in range(1, 101))
        held = self.running.wait_for_state("p", "d", "held")["blocked_by"]
        self.assertEqual((held["id"], held["attempts"]), ("m7", 2))
        self.assertEqual(held["last_error"], "its worker fell silent, and ran nothing else")
        self.skip_held(7)
        self.running.wait_until_settled("p", "d", 100)
        del sent["m7"]
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, passed=[7]))

    def test_several_killers_at_once_are_each_found_and_innocents_are_never_blamed(self):
        self.start({**GIVES_UP_SOON, "max_attempts": 1}, slots=16)
        poison = {number: b"segfault" for number in (3, 8, 9, 40)}
        sent = dict(self.submit(number, poison) for number in range(1, 101))
        for number in poison:
            eventually(
                f"m{number} is held",
                lambda number=number: self.running.destination("p", "d")["blocked_by"]["sequence"] == number
                and self.running.destination("p", "d")["state"] == "held",
            )
            self.skip_held(number)
            del sent[f"m{number}"]
        self.running.wait_until_settled("p", "d", 100)
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, passed=list(poison)))
        self.assertEqual(self.attempts("crashed"), len(poison))


class DeadlyDestination(PoisonTest):
    def test_a_destination_whose_transforms_kill_each_worker_hardly_slows_its_sibling_down(self):
        self.book = self.receiver()
        destinations = [
            {"name": "deadly", "url": self.book.url(), "transform": [{"use": "delay", "crash_rate": 1.0}]},
            {"name": "works", "url": self.book.url(), "transform": [{"use": "delay", "min": "10ms", "max": "10ms"}]},
        ]
        self.running = self.supervisor(self.config([pipeline("p", destinations, retry=GIVES_UP_SOON)]))
        self.running.wait_for_workers(1)
        started = time.monotonic()
        sent = self.running.submit_all("p", [f"m{number}" for number in range(200)])
        self.running.wait_until_settled("p", "works", 200)
        at_first = time.monotonic() - started
        self.running.wait_for_line("the transforms of destination deadly have killed workers with several messages")
        sent |= self.running.submit_all("p", [f"m{number}" for number in range(200, 1200)])
        self.running.wait_until_settled("p", "works", 1200)
        then = time.monotonic() - started - at_first
        self.assert_nothing_wrong(check_book(self.book.entries("works"), sent))
        self.assertLess(at_first, 15, "too many workers died before it was known why")
        self.assertLess(then, 15, "too many workers died although it was known why")
        held = self.running.wait_for_state("p", "deadly", "held")["blocked_by"]
        self.assertEqual((held["id"], held["attempts"]), ("m0", ATTEMPTS))
        self.assertIn("its worker died", held["last_error"])


class Hanging(PoisonTest):
    def test_a_worker_all_of_whose_slots_hang_is_started_again(self):
        quick = {"timeout": "300ms", "jitter": "1ms", "multiplier": 1, "max_timeout": "300ms"}
        self.start({**GIVES_UP_SOON, **quick, "max_attempts": 2}, slots=2)
        poison = {1: b"hang"}
        sent = dict(self.submit(number, poison) for number in range(1, 11))
        self.running.wait_for_line("so many of its 2 slots hang")
        eventually("the message that hangs is held", lambda: self.running.destination("p", "d")["held"] == 1)
        self.skip_held(1)
        self.running.wait_until_settled("p", "d", 10)
        del sent["m1"]
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, passed=[1]))
        self.assertEqual(self.attempts("crashed"), 0, "to hang is not to kill")


class Gaps:
    """Watches for how long there is no worker."""

    def __init__(self, running):
        self._running = running
        self._longest = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def longest(self) -> float:
        self._done.set()
        self._thread.join()
        return self._longest

    def _watch(self) -> None:
        last_seen = time.monotonic()
        while not self._done.wait(0.02):
            if self._running.metrics().total("reseq_workers") > 0:
                last_seen = time.monotonic()
            self._longest = max(self._longest, time.monotonic() - last_seen)


if __name__ == "__main__":
    unittest.main()
