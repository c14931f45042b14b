"""Workers that come, go, hang, die or are somebody else: the work gets done, in order, by the right ones."""

import hashlib
import os
import resource
import signal
import socket
import struct
import time
import unittest

from book import check_book
from client import Load
from harness import RETRY, SEED, SystemTest, pipeline, record_figure, resident_mb
from waiting import eventually

# No timeout helps in these tests: only noticing that a worker is gone does.
NO_TIMEOUT = {**RETRY, "timeout": "5m", "max_timeout": "10m"}


def read_until_closed(connection: socket.socket) -> None:
    """Fails if the peer does not close it."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass


class ClusterTest(SystemTest):
    def setUp(self):
        super().setUp()
        self.book = self.receiver()

    def start(self, work: dict, own_slots: int = 0, **tables):
        destinations = [{"name": "d", "url": self.book.url()}]
        pipelines = [pipeline("p", destinations, [work], NO_TIMEOUT)]
        self.running = self.supervisor(self.config(pipelines, worker={"slots": own_slots}, **tables))

    def wait_until_all_are_delivered(self, sent: dict):
        self.running.wait_until_settled("p", "d", len(sent))
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent))

    def deaths(self) -> float:
        return self.running.metrics().total("reseq_worker_deaths_total")

    def attempts(self, outcome: str) -> float:
        return self.running.metrics().by_label("reseq_attempts_total", "outcome").get(outcome, 0)

    def busy(self) -> float:
        return self.running.metrics().total("reseq_worker_slots_busy")


class Admission(ClusterTest):
    def test_junk_on_the_cluster_port_disturbs_nobody(self):
        self.start({"use": "identity"}, own_slots=4)
        self.running.wait_for_workers(1)
        host, port = self.running.cluster.rsplit(":", 1)
        junk = [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x00" * 4096, b"\xff" * 4096]
        junk += [self.random.randbytes(self.random.randrange(1, 20_000)) for _ in range(20)]
        kept = []
        for number, data in enumerate(junk):
            connection = socket.create_connection((host, int(port)), timeout=10)
            self.addCleanup(connection.close)
            try:
                connection.sendall(data)
            except ConnectionError:
                pass  # it was thrown out in the middle
            if number % 2:
                connection.close()
            else:
                kept.append(connection)
        sent = self.running.submit_all("p", [f"m{number}" for number in range(20)])
        self.wait_until_all_are_delivered(sent)
        self.assertEqual(self.deaths(), 0)
        self.assertEqual(self.running.metrics().total("reseq_workers"), 1)
        late = self.worker(self.running, "late")
        self.running.wait_for_workers(2)
        self.assertTrue(late.running())

    def greeting(self, token: str) -> bytes:
        """What a worker that knows this token sends first."""
        told = b"reseq cluster" + struct.pack(">Q", len(token)) + token.encode()
        return b"reseq/1 " + hashlib.sha256(told).digest()

    def test_what_a_connection_announces_takes_no_memory_and_strangers_may_announce_nothing_large(self):
        self.start({"use": "identity"}, own_slots=4, cluster={"token": "right"})
        self.running.wait_for_workers(1)
        host, port = self.running.cluster.rsplit(":", 1)
        before = resident_mb(self.running.pid)
        huge = struct.pack(">BBBBIQQQ", 1, 0, 0, 0, 0xF000_0000, 0, 0, 0)  # BASP: 4 GB come with a client's handshake
        for first, closed_because in (
            (b"", "is no worker of this version"),
            (self.greeting("wrong"), "has another cluster.token"),
            (self.greeting("right"), ""),
        ):
            for _ in range(10):
                connection = socket.create_connection((host, int(port)), timeout=20)
                self.addCleanup(connection.close)
                try:
                    connection.sendall(first + huge + bytes(200_000))
                except ConnectionError:
                    pass  # it was thrown out in the middle
                if closed_because:
                    read_until_closed(connection)
            if closed_because:
                self.running.wait_for_line(closed_because)
                self.assertEqual(self.running.logged(closed_because), 1)  # of one host, once a minute
        sent = self.running.submit_all("p", [f"m{number}" for number in range(20)])
        self.wait_until_all_are_delivered(sent)
        grown = resident_mb(self.running.pid) - before
        self.assertLess(grown, 50)
        record_figure("ten connections that announce 4 GB each on the cluster port, memory", f"{grown:.1f} MB")
        self.assertEqual(self.deaths(), 0)
        self.worker(self.running, "late")
        self.running.wait_for_workers(2)

    def test_nothing_that_a_stranger_says_ends_anything(self):
        """CAF takes for granted that a handshake has a payload, and that an actor may be told to end."""
        self.start({"use": "identity"}, own_slots=4, cluster={"token": "right"})
        self.running.wait_for_workers(1)
        host, port = self.running.cluster.rsplit(":", 1)
        for token in ("wrong", "right"):
            for operation in range(9):
                for length, payload in ((0, b""), (64, bytes(64)), (64, b"\xff" * 64)):
                    header = struct.pack(">BBBBIQQQ", operation, 0, 0, 0, length, 3, 0, 0)
                    if (token, operation, length) == ("right", 1, 64):
                        continue  # what a worker might say: who knows the token is trusted
                    with socket.create_connection((host, int(port)), timeout=20) as connection:
                        connection.sendall(self.greeting(token) + header + payload)
                        read_until_closed(connection)
        self.wait_until_all_are_delivered(self.running.submit_all("p", ["a", "b"]))
        self.assertEqual(self.deaths(), 0)

    def test_strangers_that_say_nothing_do_not_take_all_descriptors(self):
        self.start({"use": "identity"}, cluster={"token": "right"})
        host, port = self.running.cluster.rsplit(":", 1)
        before = len(os.listdir(f"/proc/{self.running.pid}/fd"))
        silent = [socket.create_connection((host, int(port)), timeout=20) for _ in range(300)]
        for one in silent:
            self.addCleanup(one.close)
        for one in silent[:200]:
            read_until_closed(one)
        self.assertLess(len(os.listdir(f"/proc/{self.running.pid}/fd")) - before, 110)
        eventually("each is logged", lambda: self.running.logged("do not say who they are: the oldest is closed") >= 200)
        self.worker(self.running, "friend")
        self.wait_until_all_are_delivered(self.running.submit_all("p", ["a", "b"]))

    def test_a_worker_with_another_token_is_refused_with_a_reason_at_both_and_never_gets_work(self):
        self.start({"use": "identity"}, cluster={"token": "right"})
        stranger = self.worker(self.running, "stranger", cluster={"token": "wrong"})
        stranger.wait_for_line("it closed the connection at once; its log says why: cluster.token has to be the same")
        self.running.wait_for_line("has another cluster.token; set the same one on both: its connection is closed")
        sent = self.running.submit_all("p", ["a", "b"])
        eventually("both wait", lambda: self.running.destination("p", "d")["pending"] == 2)
        self.assertEqual(self.running.metrics().total("reseq_workers"), 0)
        self.worker(self.running, "friend")
        self.wait_until_all_are_delivered(sent)
        self.assertEqual(self.running.metrics().total("reseq_workers"), 1)
        for who in (stranger, self.running):
            self.assertEqual(who.logged("right|wrong"), 0, "a token was logged")

    def test_a_worker_with_other_transforms_works_only_for_the_pipelines_that_agree(self):
        destinations = [{"name": "d", "url": self.book.url()}]
        same = pipeline("same", destinations, [{"use": "identity"}], NO_TIMEOUT)
        here = pipeline("p", destinations, [{"use": "identity"}], NO_TIMEOUT)
        there = pipeline("p", destinations, [{"use": "delay"}], NO_TIMEOUT)
        unknown = pipeline("unknown", destinations)
        self.running = self.supervisor(self.config([same, here], worker={"slots": 0}))
        other = self.worker(self.running, "other", pipeline=[same, there, unknown])
        for who in (other, self.running):
            who.wait_for_line("pipeline p has other transforms at this supervisor")
            who.wait_for_line("pipeline unknown is not configured at this supervisor")
        self.running.submit_all("same", ["a"])
        sent = self.running.submit_all("p", ["b"])
        self.running.wait_until_settled("same", "d", 1)
        self.assertEqual(self.running.destination("p", "d")["pending"], 1)
        self.worker(self.running, "right")
        self.running.wait_until_settled("p", "d", 1)
        self.assert_nothing_wrong(check_book(self.book.entries("d")[1:], sent))

    def test_a_worker_without_a_pipeline_that_agrees_is_refused(self):
        self.start({"use": "identity"})
        destinations = [{"name": "d", "url": self.book.url()}]
        other = self.worker(self.running, "other", pipeline=[pipeline("p", destinations, [{"use": "delay"}])])
        other.wait_for_line("none of its pipelines can be used here")
        self.assertEqual(self.running.metrics().total("reseq_workers"), 0)


class Sharing(ClusterTest):
    def test_a_pipeline_whose_messages_all_hang_leaves_the_others_half_of_the_workers_they_share(self):
        """One that took all slots and gave them back after `max_timeout` would keep the other one waiting for ever."""
        retry = {**RETRY, "timeout": "1s", "max_timeout": "1h", "give_up_after": "1h"}
        hangs = pipeline("hangs", [{"name": "d", "url": self.book.url()}], [{"use": "delay", "hang_rate": 1.0}], retry)
        works = pipeline("works", [{"name": "d", "url": self.book.url()}], [{"use": "delay", "max": "20ms"}], retry)
        self.running = self.supervisor(self.config([hangs, works], worker={"slots": 8}))
        self.running.wait_for_workers(1)
        self.running.submit_all("hangs", [f"h{number}" for number in range(40)])
        eventually("they have all slots", lambda: self.busy() == 8)
        sent = {}
        for batch in range(5):
            sent |= self.running.submit_all("works", [f"w{batch}-{number}" for number in range(20)])
            self.running.wait_until_settled("works", "d", len(sent))
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent))
        self.assertEqual(self.deaths(), 1)  # the worker that hung as a whole at first
        eventually("they have half of them", lambda: self.busy() == 4)


class ComingAndGoing(ClusterTest):
    def test_workers_may_join_and_leave_under_load_and_leaving_is_no_death(self):
        self.start({"use": "delay", "min": "2ms", "max": "20ms"})
        self.worker(self.running, "stays", slots=2)
        load = Load(lambda: self.running.http, "p", SEED)
        self.addCleanup(load.stop)
        for number in range(5):
            guest = self.worker(self.running, f"guest{number}")
            guest.wait_for_line(f"joined the supervisor at .* as guest{number}")
            wanted = len(self.book.confirmed()) + self.random.randrange(20, 60)
            eventually("some have arrived", lambda wanted=wanted: len(self.book.confirmed()) >= wanted)
            self.assertEqual(guest.stop(), 0)
        self.wait_until_all_are_delivered(load.stop())
        self.running.wait_for_workers(1)
        self.assertEqual((self.deaths(), self.attempts("orphaned"), self.attempts("failed")), (0, 0, 0))

    def test_a_worker_told_to_stop_answers_what_it_has_first(self):
        self.start({"use": "delay", "min": "300ms", "max": "300ms"})
        first = self.worker(self.running, "first", slots=4)
        sent = self.running.submit_all("p", ["a", "b", "c", "d"])
        eventually("all are in work", lambda: self.busy() == 4)
        self.assertEqual(first.stop(), 0)
        for line in ("told to stop: what it has is answered first", "all that it had is answered"):
            first.wait_for_line(line)
        self.wait_until_all_are_delivered(sent)
        self.assertEqual((self.deaths(), self.attempts("done")), (0, 4))

    def test_a_killed_workers_messages_go_to_another_at_once_and_that_is_no_failed_attempt(self):
        self.start({"use": "delay", "min": "400ms", "max": "400ms"})
        victim = self.worker(self.running, "victim", slots=4)
        sent = self.running.submit_all("p", ["a", "b", "c", "d"])
        eventually("all are in work", lambda: self.busy() == 4)
        self.worker(self.running, "other", slots=4)
        self.running.wait_for_workers(2)
        victim.kill()
        self.wait_until_all_are_delivered(sent)
        self.assertEqual((self.deaths(), self.attempts("orphaned"), self.attempts("failed")), (1, 4, 0))
        self.running.wait_for_line(r"worker victim died \(its connection ended\)")

    def test_a_worker_that_stands_still_is_noticed_and_its_work_is_done_elsewhere(self):
        self.start({"use": "delay", "min": "300ms", "max": "300ms"})
        victim = self.worker(self.running, "victim", slots=4)
        sent = self.running.submit_all("p", ["a", "b", "c", "d"])
        eventually("all are in work", lambda: self.busy() == 4)
        self.worker(self.running, "other", slots=4)
        self.running.wait_for_workers(2)
        victim.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        eventually("it is noticed", lambda: self.deaths() == 1)
        noticed = time.monotonic() - stopped
        self.assertLess(noticed, 5.0, "heartbeats must tell within one or two seconds")
        self.running.wait_for_line("worker victim fell silent")
        self.wait_until_all_are_delivered(sent)
        victim.signal(signal.SIGCONT)
        victim.wait_for_line("lost the supervisor")
        self.running.wait_for_workers(2)
        sent |= self.running.submit_all("p", ["e", "f"])
        self.wait_until_all_are_delivered(sent)

    def test_the_supervisors_own_worker_is_started_anew_when_it_stands_still(self):
        self.start({"use": "identity"}, own_slots=4)
        self.running.wait_for_workers(1)
        (first,) = self.running.own_workers()
        os.kill(first, signal.SIGSTOP)
        self.wait_until_all_are_delivered(self.running.submit_all("p", ["a", "b"]))
        self.running.wait_for_line("own worker has not moved for 10 s: it is killed")
        self.assertNotIn(first, self.running.own_workers())

    def test_jobs_that_the_system_gives_no_thread_for_wait_until_it_does(self):
        self.start({"use": "identity"}, own_slots=0)
        worker = self.worker(self.running, "narrow")
        self.running.wait_for_workers(1)
        with open(f"/proc/{worker.pid}/statm") as pages:
            has = int(pages.read().split()[0]) * resource.getpagesize()
        limits = resource.prlimit(worker.pid, resource.RLIMIT_AS, (has + (1 << 20), resource.RLIM_INFINITY))
        sent = self.running.submit_all("p", [f"m{number}" for number in range(20)])
        worker.wait_for_line("the system gives no thread for a job")
        resource.prlimit(worker.pid, resource.RLIMIT_AS, limits)
        worker.wait_for_line("there are threads for all jobs again")
        self.wait_until_all_are_delivered(sent)
        self.assertEqual((self.busy(), self.deaths()), (0, 0))

    def test_workers_find_a_supervisor_that_was_killed_and_started_again(self):
        self.start({"use": "delay", "min": "5ms", "max": "50ms"})
        workers = [self.worker(self.running, name) for name in ("one", "two")]
        self.running.wait_for_workers(2)
        sent = self.running.submit_all("p", [f"m{number}" for number in range(20)])
        self.running.kill()
        for worker in workers:
            worker.wait_for_line("lost the supervisor")
        self.running = self.restart(self.running)
        self.running.wait_for_workers(2)
        sent |= self.running.submit_all("p", ["after"])
        self.running.wait_until_settled("p", "d", len(sent))
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, max_unsaved=256))

    def test_a_worker_may_be_there_before_its_supervisor(self):
        self.start({"use": "identity"})
        self.running.kill()
        early = self.worker(self.running, "early")
        early.wait_for_line("cannot join the supervisor at .*: nobody listens there, or there is no such host")
        self.running = self.restart(self.running)
        self.wait_until_all_are_delivered(self.running.submit_all("p", ["a"]))

    def test_a_transform_that_kills_its_worker_now_and_then_loses_nothing(self):
        self.start({"use": "delay", "min": "1ms", "max": "5ms", "crash_rate": 0.05}, own_slots=4)
        sent = {}
        while self.deaths() < 2:
            sent |= self.running.submit_all("p", [f"m{len(sent) + number}" for number in range(10)])
            self.running.wait_until_settled("p", "d", len(sent))
        self.wait_until_all_are_delivered(sent)
        self.assertGreaterEqual(self.running.logged("own worker was killed by signal"), 2)


if __name__ == "__main__":
    unittest.main()
