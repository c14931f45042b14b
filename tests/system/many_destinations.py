"""Thousands of destinations in one pipeline, or of keys in one destination: each keeps its order, and a delivery costs what
it costs with one."""

import asyncio
import http.client
import json
import os
import statistics
import threading
import time
import unittest

import client
from harness import FULL, Program, Supervisor, SystemTest, pipeline, program, record_figure, write_config
from waiting import eventually

MANY = 10_000 if FULL else 1_000
KEYS = 1_000
BURST = 10_000 if FULL else 4_000
ROUNDS = 5
A_REQUEST = 1000
MOST_COST = 1.2 if FULL else 1.5  # of a delivery with one destination; short bursts are noisy
MOST_BYTES_EACH = 30_000  # of resident memory, connection included
MOST_START_SECONDS = 10.0
MOST_LOOK_SECONDS = 2.0


class OrderReceiver:
    """Confirms deliveries over any number of connections, and checks the order at each path, or of each key there."""

    def __init__(self):
        self.complaints = []
        self.taken = 0
        self.last = {}
        self.port = 0
        self._loop = asyncio.new_event_loop()
        listening = threading.Event()
        threading.Thread(target=self._run, args=(listening,), daemon=True).start()
        listening.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def take(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1].decode()
        sequence = int(header_of(head, b"Reseq-Sequence"))
        key = header_of(head, b"Reseq-Key")
        last = self.last.get((path, key), 0)
        if sequence <= last or (not key and sequence != last + 1):
            self.complaints.append(f"{path} {key}: {sequence} came after {last}")
        self.last[path, key] = sequence
        self.taken += 1

    def _run(self, listening: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        serving = self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=4096)
        self.port = self._loop.run_until_complete(serving).sockets[0].getsockname()[1]
        listening.set()
        self._loop.run_forever()


def header_of(head: bytes, name: bytes) -> bytes:
    return head.partition(name + b": ")[2].partition(b"\r")[0]


class _Connection(asyncio.Protocol):
    def __init__(self, receiver: OrderReceiver):
        self._receiver = receiver
        self._data = b""
        self._transport = None

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data: bytes):
        self._data += data
        while True:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r")[0] or 0)
            if not end or len(rest) < length:
                return
            self._data = rest[length:]
            self._receiver.take(head)
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


class Measured:
    """A supervisor with `count` destinations, driven in bursts that go round them, and with order by key round `keys`."""

    def __init__(self, test: SystemTest, count: int, keys: int = 0):
        self.receiver = OrderReceiver()
        test.addCleanup(self.receiver.stop)
        self.count = count
        self.keys = keys
        urls = [f"http://127.0.0.1:{self.receiver.port}/{number}" for number in range(count)]
        order = "key" if keys else "total"
        destinations = [{"name": f"d{number}", "url": url, "order": order} for number, url in enumerate(urls)]
        name = f"n{count}-{keys}"
        tables = {"node": {"name": name, "data_dir": test.path(f"data-{name}")}}
        started = time.monotonic()
        self.running = test.supervisor(test.config([pipeline("p", destinations)], **tables))
        self.start_seconds = time.monotonic() - started
        self._sent = 0

    def cost_of_burst(self, messages: int) -> float:
        """Processor seconds of the supervisor for each delivery."""
        before = cpu_seconds(self.running.pid)
        self._submit(messages)
        eventually(f"{self._sent} have arrived", lambda: self.receiver.taken >= self._sent, 120)
        return (cpu_seconds(self.running.pid) - before) / messages

    def _submit(self, messages: int) -> None:
        host, port = self.running.http.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        for _ in range(messages // A_REQUEST):
            numbers = range(self._sent, self._sent + A_REQUEST)
            lines = [json.dumps(self._envelope(number)) for number in numbers]
            path, headers = "/v1/pipelines/p/messages/batch", {"Content-Type": "application/x-ndjson"}
            answer = client.exchange(connection, "POST", path, "\n".join(lines).encode(), headers)
            if answer.status != 200 or answer.body.count(b'"positions"') != A_REQUEST:
                raise AssertionError(f"{answer.status} {answer.body[:300]!r}")
            self._sent += A_REQUEST
        connection.close()

    def _envelope(self, number: int) -> dict:
        key = {"key": f"k{number % self.keys}"} if self.keys else {}
        return {"id": f"m{number}", "destinations": [f"d{number % self.count}"], "payload": "x" * 256, **key}


def relative_cost(one: Measured, many: Measured, warm_up: int) -> float:
    """Of a delivery with many, beside one: the median of several rounds."""
    ratios = []
    for each in (one, many):
        each.cost_of_burst(warm_up)  # connections, caches
    for _ in range(ROUNDS):
        costs = [each.cost_of_burst(BURST) for each in (one, many)]
        ratios.append(costs[1] / costs[0])
    return statistics.median(ratios)


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(running: Supervisor) -> int:
    with open(f"/proc/{running.pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return 1024 * int(line.split()[1])


class ManyDestinations(SystemTest):
    def test_a_delivery_costs_the_same_with_thousands_of_destinations_as_with_one(self):
        one, many = Measured(self, 1), Measured(self, MANY)
        cost = relative_cost(one, many, max(BURST, MANY))
        started = time.monotonic()
        shown = many.running.get("/v1/pipelines/p")["destinations"]
        self.assertEqual(many.running.metrics().total("reseq_messages_accepted_total"), many.receiver.taken)
        look_seconds = time.monotonic() - started
        self.assertEqual(len(shown), MANY)
        bytes_each = (resident_bytes(many.running) - resident_bytes(one.running)) / MANY

        record_figure(f"{MANY} destinations: processor time of a delivery", f"{cost:.2f} of that with one")
        record_figure(f"{MANY} destinations: resident memory of each", f"{bytes_each / 1000:.1f} kB")
        record_figure(f"{MANY} destinations: start", f"{many.start_seconds:.2f} s")
        record_figure(f"{MANY} destinations: status and metrics", f"{look_seconds:.2f} s")
        for each in (one, many):
            self.assertEqual(each.running.stop(), 0)
            self.assert_nothing_wrong(each.receiver.complaints)
        self.assertLess(cost, MOST_COST)
        self.assertLess(bytes_each, MOST_BYTES_EACH)
        self.assertLess(many.start_seconds, MOST_START_SECONDS)
        self.assertLess(look_seconds, MOST_LOOK_SECONDS)


class ManyKeys(SystemTest):
    def test_a_delivery_costs_the_same_with_a_thousand_keys_as_with_one(self):
        one, many = Measured(self, 1, 1), Measured(self, 1, KEYS)
        cost = relative_cost(one, many, BURST)
        record_figure(f"{KEYS} keys: processor time of a delivery", f"{cost:.2f} of that with one key")
        for each in (one, many):
            self.assertEqual(each.running.stop(), 0)
            self.assert_nothing_wrong(each.receiver.complaints)
        self.assertLess(cost, MOST_COST)


class FewDescriptors(SystemTest):
    def test_fewer_open_files_than_destinations_are_said_at_the_start(self):
        destinations = [{"name": f"d{number}", "url": f"http://127.0.0.1:1/{number}"} for number in range(400)]
        write_config(self.config([pipeline("p", destinations)]), self.folder, "many")
        limited = f"ulimit -n 300 && exec {program('reseq-supervisor')} --config many.toml"
        running = Program("limited", ["sh", "-c", limited], self.folder)
        self.programs.append(running)
        running.wait_for_line("400 destinations want a connection or a file each, and this process may open 300")
        running.wait_for_line("ready")


if __name__ == "__main__":
    unittest.main()
