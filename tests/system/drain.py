"""Stopping: on SIGTERM everything under way is finished and saved; pausing, and what is paused stays so."""

import signal
import socket
import threading
import time
import unittest

from book import check_book
from client import Load
from harness import SEED, SystemTest, pipeline
from recorder import Reply
from waiting import eventually

SOON_SECONDS = 8.0  # well below the drain timeout of these tests, well above what a busy machine needs


class Drain(SystemTest):
    def setUp(self):
        super().setUp()
        self.book = self.receiver()

    def start(self, drain_timeout: str = "20s", **keys):
        destinations = [{"name": "d", "url": self.book.url(), **keys}]
        work = [{"use": "delay", "min": "2ms", "max": "20ms"}]
        config = self.config([pipeline("p", destinations, work)], node={"drain_timeout": drain_timeout})
        self.running = self.supervisor(config)

    def assert_stops_cleanly(self, number: int = signal.SIGTERM):
        started = time.monotonic()
        self.running.signal(number)
        self.assertEqual(self.running.wait(), 0)
        self.assertLess(time.monotonic() - started, SOON_SECONDS)
        self.assertEqual(self.running.logged("took too long|drain_timeout is over"), 0)

    def test_under_load_nothing_is_lost_and_nothing_is_delivered_twice(self):
        self.start()
        load = Load(lambda: self.running.http, "p", SEED)
        self.addCleanup(load.stop)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            wanted = len(self.book.confirmed()) + self.random.randrange(30, 90)
            eventually("some have arrived", lambda wanted=wanted: len(self.book.confirmed()) >= wanted)
            self.assert_stops_cleanly(number)
            self.running = self.restart(self.running)
        sent = load.stop()
        self.running.wait_until_settled("p", "d", len(sent))
        entries = self.book.entries("d")
        self.assert_nothing_wrong(check_book(entries, sent, max_unsaved=0))
        self.assertEqual(len(entries), len(sent))

    def test_what_is_being_delivered_is_finished_first(self):
        answer_now = threading.Event()
        self.addCleanup(answer_now.set)
        self.book.answer = lambda request: Reply(200, after=answer_now)
        self.start()
        sent = self.running.submit_all("p", ["a", "b"])
        eventually("the first is under way", lambda: self.book.entries("d"))
        self.running.signal(signal.SIGTERM)
        self.running.wait_for_line("stopping: finishing what is under way")
        answer_now.set()
        self.assertEqual(self.running.wait(), 0)
        self.assertEqual(self.book.confirmed("d")[:1], [1])
        self.book.answer = lambda request: 200
        self.running = self.restart(self.running)
        self.running.wait_until_settled("p", "d", 2)
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, max_unsaved=0))
        self.assertEqual(len(self.book.entries("d")), 2)

    def test_a_stopping_supervisor_accepts_no_connection_and_nothing_new(self):
        self.book.answer = lambda request: Reply(200, after=self.book.never)
        self.start()
        self.running.submit_all("p", ["a"])
        eventually("it is under way", lambda: self.book.entries("d"))
        self.running.signal(signal.SIGTERM)
        self.running.wait_for_line("stopping")

        def refused() -> bool:
            try:
                return self.running.submit("p", b"late", "late").status == 503
            except ConnectionError:
                return True

        started = time.monotonic()
        eventually("nothing new is accepted", refused)
        self.assertLess(time.monotonic() - started, SOON_SECONDS, "a connection was taken and not answered")
        self.assertTrue(self.running.running())
        self.book.answer = lambda request: 200
        self.running.kill()
        self.running = self.restart(self.running)
        self.assertEqual(self.running.destination("p", "d")["accepted"], 1)

    def test_a_receiver_that_never_answers_delays_it_by_no_more_than_the_drain_timeout(self):
        self.book.answer = lambda request: Reply(200, after=self.book.never)
        self.start("500ms")
        sent = self.running.submit_all("p", ["a", "b"])
        eventually("the first is under way", lambda: self.book.entries("d"))
        started = time.monotonic()
        self.assertEqual(self.running.stop(), 0)
        self.assertGreaterEqual(time.monotonic() - started, 0.5)
        self.assertLess(time.monotonic() - started, SOON_SECONDS)
        self.book.answer = lambda request: 200
        self.running = self.restart(self.running)
        self.running.wait_until_settled("p", "d", 2)
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, max_unsaved=1))

    def test_who_waits_for_a_pause_is_told_that_it_stops(self):
        self.book.answer = lambda request: Reply(200, after=self.book.never)
        self.start(drain_timeout="1s")
        self.running.submit("p", b"x", "a")
        eventually("it is under way", lambda: self.book.entries("d"))
        answers = []
        pause = "/v1/pipelines/p/destinations/d/pause"
        pausing = threading.Thread(target=lambda: answers.append(self.running.post(pause)))
        pausing.start()
        self.addCleanup(pausing.join)
        self.running.wait_for_state("p", "d", "paused")
        self.running.signal(signal.SIGTERM)
        self.assertEqual(self.running.wait(), 0)
        pausing.join()
        self.assertEqual([answer.status for answer in answers], [503])

    def test_a_transform_that_hangs_does_not_delay_it_any_further(self):
        self.book.answer = lambda request: Reply(200, after=self.book.never)
        hanging = {"name": "hanging", "url": self.book.url(), "transform": [{"use": "delay", "hang_rate": 1.0}]}
        destinations = [{"name": "d", "url": self.book.url()}, hanging]
        config = self.config([pipeline("p", destinations)], node={"drain_timeout": "2s"})
        self.running = self.supervisor(config)
        self.running.submit_all("p", ["a"])
        eventually("it is under way", lambda: self.book.entries("d"))
        path = "/v1/pipelines/p/messages/0:1"
        eventually("it hangs", lambda: self.running.get(path)["destinations"][1].get("attempts"))
        started = time.monotonic()
        self.assertEqual(self.running.stop(), 0)
        self.assertLess(time.monotonic() - started, 3.5)  # the worker has the same two seconds, not two of its own

    def test_a_submission_that_has_not_come_whole_is_refused_at_once(self):
        self.start()
        halves = [b"Content-Length: 9\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf", b"Host:"]
        slow = []
        for half in halves:
            connection = socket.create_connection(tuple(self.running.http.rsplit(":", 1)), SOON_SECONDS)
            self.addCleanup(connection.close)
            connection.sendall(b"POST /v1/pipelines/p/messages HTTP/1.1\r\nHost: x\r\n" + half)
            slow.append(connection)
        self.assertEqual(self.running.submit("p", b"a", "a").status, 202)  # what came before has been read by then
        self.running.signal(signal.SIGTERM)
        for connection in slow:
            self.assertIn(b" 503 ", connection.makefile("rb").readline())
        self.assertEqual(self.running.wait(), 0)
        self.assertEqual(self.running.logged("took too long|drain_timeout is over"), 0)

    def test_two_signals_at_once_are_one_wish(self):
        self.book.answer = lambda request: Reply(200, after=self.book.never)
        self.start()
        self.running.submit_all("p", ["a"])
        eventually("it is under way", lambda: self.book.entries("d"))
        self.running.signal(signal.SIGTERM)
        self.running.signal(signal.SIGINT)  # `timeout` signals the program and its group
        self.running.wait_for_line("stopping: finishing what is under way")
        self.book.never.set()
        self.assertEqual(self.running.wait(), 0)
        self.assertEqual(self.running.logged("a second signal"), 0)

    def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(self):
        self.book.answer = lambda request: Reply(200, after=self.book.never)
        self.start()
        sent = self.running.submit_all("p", ["a", "b", "c"])
        eventually("the first is under way", lambda: self.book.entries("d"))
        self.running.signal(signal.SIGTERM)
        self.running.wait_for_line("stopping: finishing what is under way")

        def ended() -> bool:
            self.running.signal(signal.SIGTERM)
            return not self.running.running()

        eventually("it has ended", ended)
        self.assertEqual(self.running.wait(), 1)
        self.running.wait_for_line("a second signal")
        self.book.answer = lambda request: 200
        self.running = self.restart(self.running)
        self.running.wait_until_settled("p", "d", 3)
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, max_unsaved=1))

    def test_an_idle_one_stops_at_once_and_takes_its_worker_along(self):
        self.start()
        self.running.wait_for_workers(1)
        workers = self.running.own_workers()
        self.assertEqual(len(workers), 1)
        self.assert_stops_cleanly()
        self.assertEqual([pid for pid in workers if _exists(pid)], [])

    def test_a_killed_one_takes_its_worker_along(self):
        self.start()
        self.running.wait_for_workers(1)
        workers = self.running.own_workers()
        self.running.kill()
        eventually("its worker has ended", lambda: not any(_exists(pid) for pid in workers))


class Pause(SystemTest):
    def setUp(self):
        super().setUp()
        self.book = self.receiver()
        destinations = [{"name": name, "url": self.book.url(name), "max_unsaved": 1} for name in ("d", "e")]
        self.running = self.supervisor(self.config([pipeline("p", destinations)]))

    def operate(self, what: str):
        answer = self.running.post(f"/v1/pipelines/p/destinations/d/{what}")
        self.assertEqual(answer.status, 200, answer.body)

    def test_a_paused_destination_stays_paused_across_restarts_until_it_is_resumed(self):
        sent = self.running.submit_all("p", ["before"])
        self.running.wait_until_settled("p", "d", 1)
        self.operate("pause")
        sent |= self.running.submit_all("p", [f"m{number}" for number in range(10)])
        for crash in (True, False):
            if crash:
                self.running.kill()
            else:
                self.assertEqual(self.running.stop(), 0)
            self.running = self.restart(self.running)
            self.running.wait_until_settled("p", "e", 11)
            eventually("all are ready", lambda: self.running.destination("p", "d")["ready"] == 10)
            self.assertEqual(self.running.destination("p", "d")["state"], "paused")
            self.assertEqual(self.book.confirmed("d"), [1])
        self.operate("resume")
        self.running.wait_until_settled("p", "d", 11)
        self.assertEqual(self.running.destination("p", "d")["state"], "running")
        for name in ("d", "e"):
            self.assert_nothing_wrong(check_book(self.book.entries(name), sent, max_unsaved=1))

    def test_pausing_is_answered_when_nothing_is_under_way(self):
        answer_now = threading.Event()
        self.addCleanup(answer_now.set)
        self.book.answer = lambda request: Reply(200, after=answer_now) if request.destination == "d" else 200
        self.running.submit_all("p", ["a", "b"])
        eventually("the first is under way", lambda: self.book.entries("d"))
        paused = threading.Thread(target=self.operate, args=("pause",))
        paused.start()
        self.running.wait_for_state("p", "d", "paused")
        self.running.wait_until_settled("p", "e", 2)
        self.assertTrue(paused.is_alive(), "it was answered while a delivery was under way")
        answer_now.set()
        paused.join(SOON_SECONDS)
        self.assertFalse(paused.is_alive())
        self.assertEqual(self.book.confirmed("d"), [1])
        self.operate("pause")
        self.operate("resume")
        self.operate("resume")
        self.running.wait_until_settled("p", "d", 2)
        self.assertEqual(self.book.confirmed("d"), [1, 2])


def _exists(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main()
