"""A receiver that is down for long: its backlog costs no memory, no start-up time and nobody else's speed."""

import http.client
import json
import statistics
import threading
import time
import unittest

import client
from harness import FULL, Supervisor, SystemTest, pipeline, record_figure
from postgres_server import PostgresServer
from recorder import Receiver, Reply
from redis_server import RedisServer
from waiting import eventually

A_REQUEST = 1000
BURST = 20_000 if FULL else 4_000
ROUNDS = 5
MOST_RESIDENT_BYTES = 300_000_000
MOST_REDIS_BYTES = 20_000_000  # the window, and what Redis needs for itself
MOST_START_SECONDS = 2.0
LEAST_SPEED = 0.8 if FULL else 0.5  # of that without a backlog; short bursts are noisy


def payload_of(message_id: str, size: int) -> str:
    return message_id.ljust(size, ".")


def submit_many(address: str, destination: str, prefix: str, count: int, size: int) -> None:
    """Messages of that size called `prefix` and a number from 1 on, in order, over one connection."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    for first in range(1, count + 1, A_REQUEST):
        ids = [f"{prefix}{number}" for number in range(first, min(first + A_REQUEST, count + 1))]
        lines = [json.dumps({"id": one, "destinations": [destination], "payload": payload_of(one, size)}) for one in ids]
        headers = {"Content-Type": "application/x-ndjson"}
        answer = client.exchange(
            connection, "POST", "/v1/pipelines/p/messages/batch", "\n".join(lines).encode(), headers
        )
        receipts = [json.loads(line) for line in answer.body.splitlines()]
        if [one.get("id") for one in receipts] != ids:
            raise AssertionError(f"no receipts: {answer.status} {answer.body[:300]!r}")
    connection.close()


class CountingReceiver(Receiver):
    """Checks each batch as it comes instead of keeping a book of a million messages."""

    def __init__(self, prefix: str, size: int):
        self.last = 0
        self.complaints = []
        self._prefix = prefix
        self._size = size
        super().__init__()

    def take(self, headers, body: bytes) -> Reply:
        for line in body.splitlines():
            read = json.loads(line)
            expected = f"{self._prefix}{self.last + 1}"
            found = (read["sequence"], read["previous_sequence"], read["message_id"], read["payload"])
            if found != (self.last + 1, self.last, expected, payload_of(expected, self._size)):
                self.complaints.append(f"after sequence {self.last} came {found[:3]}")
            self.last = read["sequence"]
        return Reply(200)


class Backlog(SystemTest):
    def start(self, name: str, down: Receiver, store: dict) -> Supervisor:
        destinations = [
            {"name": "down", "url": down.url(), "batch": 256, "retry_max": "1s", "max_pending": 2 * self.messages},
            {"name": "up", "url": f"file://{self.path(name)}.jsonl", "batch": 256},
        ]
        tables = {"node": {"name": name, "data_dir": self.path(f"data-{name}")}, "store": store}
        return self.supervisor(self.config([pipeline("p", destinations)], **tables))

    def test_a_backlog_costs_no_memory_no_start_up_and_nobody_elses_speed_and_comes_in_order(self):
        self.messages, self.size = (1_000_000 if FULL else 50_000), 1024
        embedded = {"kind": "embedded"}
        self.ordeal(embedded, embedded, "embedded")

    def test_a_backlog_in_postgresql_costs_redis_no_memory_either(self):
        self.messages, self.size = (5_000_000 if FULL else 50_000), 200
        server, redis = PostgresServer(), RedisServer()
        self.addCleanup(server.close)
        self.addCleanup(redis.close)
        stores = [{"kind": "postgres", "postgres": server.create_database(name), "redis": f"{redis.url}?db={number}"}
                  for number, name in enumerate(("loaded", "without"))]  # fmt: skip
        self.ordeal(*stores, "PostgreSQL")
        used = redis.memory_peak()
        record_figure(f"backlog of {self.messages} messages in PostgreSQL: Redis's memory, most", f"{used / 1e6:.1f} MB")
        self.assertLess(used, MOST_REDIS_BYTES)

    def ordeal(self, store: dict, other_store: dict, where: str) -> None:
        down = CountingReceiver("m", self.size)
        self.addCleanup(down.refuse)
        down.refuse()
        without = self.start("without", down, other_store)
        loaded = self.start("with", down, store)
        peak = Peak(loaded.pid)
        self.addCleanup(peak.stop)
        submit_many(loaded.http, "down", "m", self.messages, self.size)
        self.assertEqual(loaded.destination("p", "down")["lag"], self.messages)
        speed = self.relative_speed(loaded, without)

        loaded.kill()
        started = time.monotonic()
        loaded = self.restart(loaded)
        start_seconds = time.monotonic() - started
        peak.watch(loaded.pid)
        self.assertEqual(loaded.destination("p", "down")["lag"], self.messages)
        submit_many(loaded.http, "up", "again", A_REQUEST, self.size)

        down.listen()
        began = time.monotonic()
        eventually("all have arrived", lambda: down.last == self.messages, 60 + self.messages / 500)
        drain_seconds = time.monotonic() - began
        loaded.wait_until_settled("p", "down", self.messages)
        self.assertEqual(loaded.stop(), 0)
        self.assert_nothing_wrong(down.complaints)

        named = f"backlog of {self.messages} messages of {self.size} bytes, {where}"
        record_figure(f"{named}: resident, most", f"{peak.bytes / 1e6:.0f} MB")
        record_figure(f"{named}: start over it", f"{start_seconds:.2f} s")
        record_figure(f"{named}: another's speed beside it", f"{speed:.2f} of that without")
        record_figure(f"{named}: delivered once it is back", f"{self.messages / drain_seconds:.0f} a second")
        self.assertLess(peak.bytes, MOST_RESIDENT_BYTES)
        self.assertLess(start_seconds, MOST_START_SECONDS)
        self.assertGreater(speed, LEAST_SPEED)

    def relative_speed(self, loaded: Supervisor, without: Supervisor) -> float:
        """How fast another destination's messages get through, beside a supervisor without a backlog: the median of
        alternating bursts."""
        ratios = []
        for number in range(1, ROUNDS + 1):
            seconds = [self.seconds_of_burst(one, number) for one in (loaded, without)]
            ratios.append(seconds[1] / seconds[0])
        return statistics.median(ratios)

    def seconds_of_burst(self, running: Supervisor, number: int) -> float:
        started = time.monotonic()
        submit_many(running.http, "up", f"u{number}-", BURST, self.size)
        running.wait_until_settled("p", "up", number * BURST)
        return time.monotonic() - started


class Peak:
    """The most resident memory that the processes had that it was told to watch."""

    def __init__(self, pid: int):
        self.bytes = 0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def watch(self, pid: int) -> None:
        self._pid = pid

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            try:
                with open(f"/proc/{self._pid}/status", encoding="ascii") as status:
                    peak = [line for line in status if line.startswith("VmHWM")]
            except OSError:
                continue  # between two lives
            if peak:
                self.bytes = max(self.bytes, 1024 * int(peak[0].split()[1]))


if __name__ == "__main__":
    unittest.main()
