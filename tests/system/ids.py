"""Message ids: a message is accepted once, whoever submits it again, whenever."""

import json
import re
import threading
import unittest

from book import check_book
from client import digest, receipt_of
from harness import SystemTest, pipeline
from waiting import eventually


class Ids(SystemTest):
    def setUp(self):
        super().setUp()
        self.book = self.receiver()
        destinations = [{"name": "d", "url": self.book.url()}, {"name": "e", "url": self.book.url()}]
        self.running = self.supervisor(self.config([pipeline("p", destinations), pipeline("q", destinations)]))

    def submit(self, body: bytes, message_id: str = "", **headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.running.submit("p", body, message_id, named)

    def assert_refused(self, answer, status: int, field: str = ""):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json()["status"], status)
        if field:
            self.assertEqual(answer.json()["field"], field)

    def assert_accepted(self, count: int):
        """So many, and all of them arrive."""
        self.running.wait_until_settled("p", "d", count)
        self.assertEqual(self.running.destination("p", "d")["accepted"], count)

    def test_a_message_submitted_again_gets_its_first_receipt(self):
        first = self.submit(b"one", "a")
        self.assertEqual(first.status, 202)
        self.assertEqual(
            first.json(), {"id": "a", "duplicate": False, "positions": [{"shard": 0, "position": 1}]}
        )
        again = self.submit(b"one", "a")
        self.assertEqual(again.status, 200)
        self.assertEqual(again.json(), {**first.json(), "duplicate": True})

    def test_the_first_receipt_is_to_be_had_after_a_destination_has_left(self):
        first = self.submit(b"one", "a", Reseq_Destinations="d,e")
        self.assertEqual(first.status, 202)
        self.assert_accepted(1)
        self.running.wait_until_settled("p", "e", 1)
        self.running.stop()
        self.running.config["pipeline"][0]["destination"].pop()
        self.running = self.restart(self.running)
        again = self.submit(b"one", "a", Reseq_Destinations="d,e")
        self.assertEqual((again.status, again.json()["positions"]), (200, first.json()["positions"]))
        self.assert_refused(self.submit(b"two", "b", Reseq_Destinations="d,e"), 422, "destinations")
        self.assertEqual(self.submit(b"two", "b", Reseq_Destinations="d").status, 202)
        self.assert_accepted(2)

    def test_the_first_receipt_survives_a_crash_and_a_restart(self):
        first = receipt_of(self.submit(b"one", "a"))
        receipt_of(self.submit(b"two", "b"))
        for crash in (True, False):
            if crash:
                self.running.kill()
            else:
                self.assertEqual(self.running.stop(), 0)
            self.running = self.restart(self.running)
            again = receipt_of(self.submit(b"one", "a"))
            self.assertEqual((again.duplicate, again.position), (True, first.position))
            self.assert_refused(self.submit(b"other", "b"), 422)
        self.assertEqual(receipt_of(self.submit(b"three", "c")).position, 3)

    def test_of_many_at_the_same_time_one_is_accepted_and_all_get_its_position(self):
        start, answers = threading.Barrier(16), []

        def submit():
            start.wait()
            answers.append(receipt_of(self.submit(b"same", "a")))

        threads = [threading.Thread(target=submit) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(answer.duplicate for answer in answers), [False] + [True] * 15)
        self.assertEqual({answer.position for answer in answers}, {1})
        self.assert_accepted(1)

    def test_a_duplicate_inside_a_batch_gets_the_receipt_of_the_line_before(self):
        lines = [{"id": "a", "payload": "x"}, {"id": "b", "payload": "y"}, {"id": "a", "payload": "x"}]
        lines.append({"id": "a", "payload": "other"})
        answer = self.post_batch(lines)
        self.assertEqual(answer.status, 200)
        receipts = [json.loads(line) for line in answer.body.splitlines()]
        self.assertEqual([receipt.get("duplicate") for receipt in receipts], [False, False, True, None])
        self.assertEqual(receipts[2]["positions"], receipts[0]["positions"])
        self.assertEqual(receipts[3]["status"], 422)
        again = [json.loads(line) for line in self.post_batch(lines[:2]).body.splitlines()]
        self.assertEqual([receipt["positions"] for receipt in again], [r["positions"] for r in receipts[:2]])
        self.assertEqual([receipt["duplicate"] for receipt in again], [True, True])

    def post_batch(self, lines: list):
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        return self.running.request("POST", "/v1/pipelines/p/messages/batch", body)

    def test_the_same_id_with_other_content_is_refused(self):
        receipt_of(self.submit(b"one", "a", Reseq_Key="k"))
        for what, answer in (
            ("payload", self.submit(b"two", "a", Reseq_Key="k")),
            ("type", self.submit(b"one", "a", Reseq_Key="k", Content_Type="text/html")),
            ("key", self.submit(b"one", "a", Reseq_Key="l")),
            ("destinations", self.submit(b"one", "a", Reseq_Key="k", Reseq_Destinations="d,e")),
        ):
            with self.subTest(what):
                self.assert_refused(answer, 422)
        with self.subTest("headers do not count, or a new trace would be another message"):
            self.assertEqual(self.submit(b"one", "a", Reseq_Key="k", traceparent="00-1-2-01").status, 200)
        self.assert_accepted(1)

    def test_an_id_belongs_to_one_pipeline(self):
        self.assertEqual(receipt_of(self.submit(b"one", "a")).position, 1)
        self.assertEqual(receipt_of(self.running.submit("q", b"other", "a")).duplicate, False)

    def test_an_id_is_1_to_255_printable_ascii_characters_and_quotes_around_it_are_not_part_of_it(self):
        self.assertEqual(self.submit(b"one", '"quoted"').json()["id"], "quoted")
        self.assertEqual(self.submit(b"one", "quoted").status, 200)
        self.assertEqual(self.submit(b"one", "x" * 255).status, 202)
        self.assertEqual(self.submit(b"one", "a b~!").json()["id"], "a b~!")
        for wrong in ("x" * 256, "caf\u00e9", "a\tb", '""'):
            with self.subTest(wrong):
                self.assert_refused(self.submit(b"one", wrong), 400, "Idempotency-Key")
        empty = self.submit(b"one", Idempotency_Key="")
        self.assert_refused(empty, 400, "Idempotency-Key")
        self.assert_accepted(3)

    def test_the_id_of_a_cloud_event_is_its_source_and_id(self):
        event = {"ce_source": "/shop", "ce_id": "17"}
        self.assertEqual(self.submit(b"one", **event).json()["id"], "/shop 17")
        self.assertEqual(self.submit(b"one", **event).status, 200)
        self.assertEqual(self.submit(b"one", "mine", **event).json()["id"], "mine")
        long = {"ce_source": "/" + "s" * 250, "ce_id": "1234567"}
        hashed = self.submit(b"one", **long).json()["id"]
        self.assertEqual(hashed, digest(f"{long['ce_source']} {long['ce_id']}".encode()))
        self.assertEqual(self.submit(b"one", **long).status, 200)

    def test_a_message_without_an_id_gets_one_of_its_own(self):
        ids = [self.submit(b"one").json()["id"] for _ in range(3)]
        self.assertEqual(len(set(ids)), 3)
        for made in ids:
            self.assertRegex(made, re.compile("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"))
        self.assertEqual(ids, sorted(ids))

    def test_whatever_was_submitted_again_arrives_once(self):
        sent = self.running.submit_all("p", ["a", "b", "c"])
        for _ in range(3):
            self.running.submit_all("p", ["c", "a", "b"])
        self.running.wait_until_settled("p", "d", 3)
        eventually("e has all as well", lambda: len(self.book.confirmed("e")) == 3)
        for name in ("d", "e"):
            self.assert_nothing_wrong(check_book(self.book.entries(name), sent))
        self.assertEqual(self.running.metrics().total("reseq_messages_duplicate_total"), 9)
        self.assertEqual(self.running.metrics().total("reseq_messages_accepted_total"), 3)


if __name__ == "__main__":
    unittest.main()
