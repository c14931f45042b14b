"""The case that reseq is for, faster: messages come three times as fast as one at a time could be worked on, and each
still arrives about as late as its work takes, in order, from the first to the last."""

import statistics
import threading
import time
import unittest

from book import check_book
from client import Producer, body_of, digest
from harness import FULL, SystemTest, pipeline, record_figure

CONNECTIONS = 8
OVERLAP = 3  # the work takes so many times the interval between messages


class Scenario(SystemTest):
    def setUp(self):
        super().setUp()
        self.book = self.receiver()

    def test_a_hundred_times_faster(self):
        self.run_at(0.0025, 4000 if FULL else 800)

    def test_ten_times_faster(self):
        self.run_at(0.025, 4000 if FULL else 240)

    @unittest.skipUnless(FULL, "only in full: takes minutes")
    def test_as_fast_as_it_is(self):
        self.run_at(0.25, 1200)

    def run_at(self, interval: float, count: int) -> None:
        work = interval * OVERLAP
        takes = f"{work * 1e6:.0f}us"
        transform = {"use": "delay", "distribution": "fixed", "min": takes, "max": takes}
        destinations = [{"name": "d", "url": self.book.url()}]
        self.running = self.supervisor(self.config([pipeline("p", destinations, [transform])], worker={"slots": 64}))
        self.running.wait_for_workers(1)
        submitted, sent = self.submit_on_schedule(interval, count)
        self.running.wait_until_settled("p", "d", count)
        entries = self.book.entries("d")
        self.assert_nothing_wrong(check_book(entries, sent))
        latencies = [entry.at - submitted[entry.message_id] for entry in entries]
        self.record(interval, work, latencies)
        self.assert_does_not_grow(latencies, work)

    def submit_on_schedule(self, interval: float, count: int) -> tuple:
        """Submits each message at its time, however long the receipts of others take."""
        submitted, sent, errors = {}, {}, []
        start = time.monotonic() + 0.1
        never = threading.Event()

        def submit_every_nth(first: int) -> None:
            producer = Producer(lambda: self.running.http, "p")
            try:
                for number in range(first, count, CONNECTIONS):
                    message_id = f"m{number}"
                    body = body_of(message_id)
                    never.wait(max(0.0, start + number * interval - time.monotonic()))
                    submitted[message_id] = time.monotonic()
                    producer.submit(message_id, body)
                    sent[message_id] = digest(body)
            except Exception as error:  # the test's thread must hear of it, whatever it is
                errors.append(error)
            finally:
                producer.close()

        threads = [threading.Thread(target=submit_every_nth, args=(first,)) for first in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return submitted, sent

    def record(self, interval: float, work: float, latencies: list) -> None:
        hundredths = statistics.quantiles(latencies, n=100)
        p50, p99 = (f"{hundredths[place] * 1000:.1f} ms" for place in (49, 98))
        every = f"a message every {interval * 1000:g} ms, {work * 1000:g} ms of work"
        record_figure(f"end to end, {every}", f"p50 {p50}, p99 {p99}")

    def assert_does_not_grow(self, latencies: list, work: float) -> None:
        quarter = len(latencies) // 4
        first, last = statistics.median(latencies[:quarter]), statistics.median(latencies[-quarter:])
        self.assertGreaterEqual(min(latencies), work)
        slack = 0.05  # what a busy machine may add at any time
        self.assertLessEqual(last, 1.5 * first + slack, f"the first quarter took {first:.3f} s, the last {last:.3f} s")


if __name__ == "__main__":
    unittest.main()
