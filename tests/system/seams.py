"""Where several parts meet: what one of them does must not keep another from its work."""

import contextlib
import signal
import socket
import sqlite3
import threading

from harness import SystemTest, pipeline
from recorder import Reply
from waiting import eventually

HALF_A_REQUEST = b"POST /v1/pipelines/p/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"


class Seams(SystemTest):
    def start(self, url: str, drain_timeout: str = "20s"):
        config = self.config([pipeline("p", [{"name": "d", "url": url}])], node={"drain_timeout": drain_timeout})
        self.running = self.supervisor(config)

    def test_a_producer_that_never_ends_its_request_does_not_keep_deliveries_from_coming_to_rest(self):
        first_answer = threading.Event()
        self.addCleanup(first_answer.set)
        book = self.receiver()
        book.answer = lambda request: Reply(200, after=first_answer if request.number == 1 else book.never)
        self.start(book.url(), drain_timeout="2s")
        self.running.submit_all("p", ["a", "b"])
        eventually("the first is under way", lambda: book.entries("d"))
        host, port = self.running.http.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as producer:
            producer.sendall(HALF_A_REQUEST)
            self.running.signal(signal.SIGTERM)
            self.running.wait_for_line("stopping: finishing what is under way")
            first_answer.set()
            self.assertEqual(self.running.wait(), 0)
        book.answer = lambda request: 200
        self.running = self.restart(self.running)
        self.running.wait_until_settled("p", "d", 2)
        self.assertEqual([entry.sequence for entry in book.entries("d")], [1, 2], "one was cut off and came twice")

    def test_a_file_goes_on_after_a_payload_that_not_every_reader_of_json_takes(self):
        self.start("file://" + self.path("out.jsonl"))
        as_json = {"Content-Type": "application/json"}
        for number, payload in enumerate((b'{"a":1e999}', b"[" * 64 + b"]" * 64), start=1):
            self.running.submit("p", payload, f"m{number}", as_json)
            self.running.wait_until_settled("p", "d", number)
            self.running.kill()
            self.running = self.restart(self.running)
        self.running.submit("p", b"1", "last", as_json)
        self.running.wait_until_settled("p", "d", 3)
        with open(self.path("out.jsonl"), "rb") as file:
            self.assertEqual([b'"sequence":%d,' % n in line for n, line in enumerate(file, start=1)], [True] * 3)

    def test_a_file_goes_on_with_smaller_limits_than_what_was_not_saved_of_it(self):
        lines = self.path("out.jsonl")
        destination = {"name": "d", "url": "file://" + lines}
        slow = [{"use": "delay", "min": "500ms", "max": "500ms"}]
        config = self.config([pipeline("p", [destination], slow)], worker={"slots": 50})
        self.running = self.supervisor(config)
        self.running.submit_all("p", [f"m{number}" for number in range(50)])
        with contextlib.closing(sqlite3.connect(self.path("data/journal.sqlite"), isolation_level=None)) as journal:
            journal.execute("BEGIN IMMEDIATE")  # nothing can be saved
            eventually("all are written", lambda: self.count_lines(lines) == 50)
            self.running.kill()
        destination.update(window=4, max_unsaved=4, batch=4)
        self.running = self.supervisor({**config, "pipeline": [pipeline("p", [destination])]})
        self.running.submit("p", b"x", "last")
        self.running.wait_until_settled("p", "d", 51)
        self.assertEqual(self.count_lines(lines), 51, "lines were written twice, or not at all")

    @staticmethod
    def count_lines(path: str) -> int:
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            return sum(1 for _ in file)
        return 0
