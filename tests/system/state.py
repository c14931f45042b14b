"""What a supervisor shows of itself: the shapes of the state endpoints, and metrics that Prometheus can read."""

import datetime
import re
import unittest

from harness import GIVES_UP_SOON, SystemTest, pipeline
from recorder import Reply
from waiting import eventually

DESTINATION_FIELDS = {
    "name": str, "state": str, "accepted": int, "settled": int, "lag": int, "pending": int, "ready": int,
    "delivered": int, "redelivered": int, "held": int, "owner": str, "epoch": int,
}  # fmt: skip

HEAD_FIELDS = {
    "sequence": int, "shard": int, "position": int, "id": str, "phase": str, "since": str, "attempts": int,
    "ready_behind": int, "next_attempt": (str, type(None)), "last_error": (str, type(None)),
}  # fmt: skip

METRIC_LINE = re.compile(r'^[a-z_:]+(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*,?\})? (\d+(\.\d+)?(e[+-]?\d+)?|\+Inf|NaN)$')


class State(SystemTest):
    def setUp(self):
        super().setUp()
        self.book = self.receiver()
        destinations = [
            {"name": "d", "url": self.book.url()},
            {"name": "bad", "url": self.book.url(), "transform": [{"use": "delay", "fail_rate": 1.0}]},
        ]
        pipelines = [pipeline("p", destinations, retry=GIVES_UP_SOON), pipeline("q", destinations[:1])]
        self.running = self.supervisor(self.config(pipelines))

    def assert_fields(self, shown: dict, fields: dict):
        for name, kind in fields.items():
            self.assertIn(name, shown)
            self.assertIsInstance(shown[name], kind, name)

    def assert_recent(self, text: str):
        """RFC 3339 in UTC with milliseconds, within the last minute or the next."""
        self.assertRegex(text, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        when = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")
        distance = abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds())
        self.assertLess(distance, 60)

    def test_pipelines_and_destinations_show_where_everything_stands(self):
        self.running.submit_all("p", ["a", "b", "c"])
        self.running.wait_until_settled("p", "d", 3)
        self.running.wait_for_state("p", "bad", "held")
        listed = self.running.get("/v1/pipelines")["pipelines"]
        self.assertEqual([one["name"] for one in listed], ["p", "q"])
        self.assertEqual(listed[0], self.running.get("/v1/pipelines/p"))
        self.assertEqual((listed[0]["owner"], listed[0]["epoch"], listed[0]["shards"]), ("a", 1, 1))
        by_name = {one["name"]: one for one in listed[0]["destinations"]}
        self.assertEqual(sorted(by_name), ["bad", "d"])
        for shown in by_name.values():
            self.assert_fields(shown, DESTINATION_FIELDS)
        good = by_name["d"]
        self.assertEqual((good["accepted"], good["settled"], good["lag"], good["delivered"]), (3, 3, 0, 3))
        self.assertEqual((good["state"], good["blocked_by"], good["pending"], good["ready"]), ("running", None, 0, 0))
        self.assert_fields(by_name["bad"]["blocked_by"], HEAD_FIELDS)
        self.assert_recent(by_name["bad"]["blocked_by"]["since"])

    def test_the_epoch_grows_with_each_start(self):
        for epoch in (1, 2, 3):
            self.assertEqual(self.running.get("/v1/pipelines/p")["epoch"], epoch)
            self.running.submit_all("q", [f"m{epoch}"])
            self.running.wait_until_settled("q", "d", epoch)
            self.assertEqual([entry.epoch for entry in self.book.entries()][-1], epoch)
            self.running.kill()
            self.running = self.restart(self.running)

    def test_a_message_shows_where_it_stands_at_each_destination_and_what_was_tried(self):
        self.running.submit("p", b"payload", "a", {"Reseq-Key": "k", "Traceparent": "00-1", "Not-Carried": "x"})
        self.running.wait_until_settled("p", "d", 1)
        held = eventually("it is held", lambda: self.running.get("/v1/pipelines/p/held")["held"])
        shown = self.running.get("/v1/pipelines/p/messages/0:1")
        self.assertEqual((shown["id"], shown["key"], shown["position"], shown["bytes"]), ("a", "k", 1, 7))
        self.assertEqual(shown["content_type"], "text/plain")
        self.assertEqual(shown["headers"], {"Traceparent": "00-1"})
        self.assert_recent(shown["accepted"])
        states = {one["destination"]: (one["sequence"], one["state"]) for one in shown["destinations"]}
        self.assertEqual(states, {"d": (1, "settled"), "bad": (1, "held")})
        self.assertEqual([(one["destination"], one["sequence"], one["position"]) for one in held], [("bad", 1, 1)])
        self.assert_recent(held[0]["since"])
        self.assertEqual(self.running.get("/v1/pipelines/p/dead-letters"), {"dead_letters": [], "next": None})

    def test_a_message_is_found_by_its_id_wherever_a_person_names_one(self):
        self.running.submit_all("p", ["a/b + c", "0:9"])
        eventually("it is held", lambda: self.running.get("/v1/pipelines/p/held")["held"])
        shown = self.running.get("/v1/pipelines/p/messages?id=a%2Fb%20+%20c")
        self.assertEqual(shown, self.running.get("/v1/pipelines/p/messages/0:1"))
        self.assertEqual(self.running.get("/v1/pipelines/p/messages?id=0:9")["position"], 2)
        self.running.submit("p", b"x", "d e")
        self.assertEqual(self.running.get("/v1/pipelines/p/messages?id=d+e")["position"], 3)  # as forms write it
        self.running.submit("p", b"x", "d+e")
        self.assertEqual(self.running.get("/v1/pipelines/p/messages?id=d+e")["position"], 4)
        self.assertEqual(self.running.request("GET", "/v1/pipelines/q/messages?id=0:9").status, 404)
        self.assertEqual(self.running.request("GET", "/v1/pipelines/p/messages?id=%ff").status, 400)
        self.assertIn("place     0:1 in p", self.running.ctl("messages", "p", "a/b + c"))
        self.assertEqual(self.running.ctl("retry", "p", "a/b + c", "--to", "bad"),
                         "a/b + c (0:1) is tried again for 1 destination\n")

    def test_a_head_that_waits_for_its_receiver_says_since_when_why_and_what_next(self):
        self.book.answer = lambda request: Reply(500, body=b"out of\norder\x00")
        self.running.submit_all("q", ["a", "b", "c"])
        eventually("it was tried three times", lambda: len(self.book.entries("d")) >= 3)
        eventually("the others are ready", lambda: self.running.destination("q", "d")["ready"] == 3)
        shown = self.running.wait_for_state("q", "d", "failing")
        head = shown["blocked_by"]
        self.assertEqual((head["sequence"], head["id"], head["phase"], head["ready_behind"]), (1, "a", "delivery", 2))
        self.assertIn("500: out of order", head["last_error"])
        self.assertGreaterEqual(head["attempts"], 3)

        def status() -> dict:
            return self.running.destination("q", "d")

        eventually("the next attempt has a time", lambda: status()["blocked_by"]["next_attempt"])
        self.assertGreaterEqual(status()["redelivered"], 2)

    def test_why_tells_a_head_without_any_worker_from_one_whose_workers_hang(self):
        self.running.stop()
        once = {**GIVES_UP_SOON, "give_up_after": "10m", "timeout": "100ms", "max_timeout": "1m"}
        pipelines = [pipeline("r", [{"name": "d", "url": self.book.url()}], [{"use": "delay", "hang_rate": 1.0}], once)]
        self.running = self.restart(self.running, pipeline=pipelines, worker={"slots": 0})
        self.running.submit_all("r", ["a"])
        eventually("it says that there is none", lambda: "no worker that has its transforms has joined" in self.running.ctl("why"))
        self.worker(self.running, "w", slots=1)
        eventually("it says that its slots hang", lambda: "of 1 slot of its workers, 1 hang, taken" in self.running.ctl("why"))

    def test_a_head_that_waits_for_its_transform_shows_each_attempt_with_its_worker(self):
        self.running.stop()
        patient = {**GIVES_UP_SOON, "give_up_after": "10m", "jitter": "300ms", "max_timeout": "5s"}
        destinations = [{"name": "d", "url": self.book.url()}]
        pipelines = [pipeline("r", destinations, [{"use": "delay", "fail_rate": 1.0}], patient)]
        self.running = self.restart(self.running, pipeline=pipelines)
        self.running.submit_all("r", ["a"])

        def probe():
            head = self.running.destination("r", "d")["blocked_by"]
            return head if head and len(head.get("history", [])) >= 2 else None

        head = eventually("two attempts are shown", probe)
        self.assertEqual((head["phase"], head["id"]), ("transform", "a"))
        first = head["history"][0]
        self.assertEqual((first["attempt"], first["worker"], first["outcome"]), (1, "a-worker", "failed"))
        self.assertIn("failed on purpose", first["error"])
        self.assert_recent(first["started"])
        self.assert_recent(first["ended"])
        self.assertIn("attempts", self.running.get("/v1/pipelines/r/messages/0:1")["destinations"][0])

    def test_it_is_alive_and_ready(self):
        for path in ("/livez", "/readyz"):
            self.assertEqual(self.running.request("GET", path).status, 200)

    def test_metrics_are_prometheus_text_and_count_what_happened(self):
        self.running.submit_all("p", ["a", "b", "c"])
        self.running.submit_all("p", ["a"])
        self.running.wait_until_settled("p", "d", 3)
        self.running.wait_for_state("p", "bad", "held")
        answer = self.running.request("GET", "/metrics")
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        self.assert_is_exposition(answer.body.decode())
        read = self.running.metrics()
        self.assertEqual(read.by_label("reseq_messages_accepted_total", "pipeline"), {"p": 3, "q": 0})
        self.assertEqual(read.by_label("reseq_messages_duplicate_total", "pipeline"), {"p": 1, "q": 0})
        self.assertEqual(read.by_label("reseq_deliveries_total", "pipeline"), {"p": 3, "q": 0})
        self.assertEqual(read.by_label("reseq_deliveries_total", "destination"), {"bad": 0, "d": 3})
        self.assertEqual(read.by_label("reseq_deliveries_total", "outcome")["confirmed"], 3)
        self.assertGreaterEqual(read.by_label("reseq_attempts_total", "outcome")["failed"], 3)
        self.assertEqual(read.by_label("reseq_destination_lag_messages", "destination"), {"bad": 3, "d": 0})
        self.assertEqual(read.by_label("reseq_owner", "pipeline"), {"p": 1, "q": 1})
        self.assertEqual(read.by_label("reseq_diverged", "pipeline"), {"p": 0, "q": 0})
        self.assertRegex(next(iter(read.by_label("reseq_build_info", "version"))), r"^\d+\.\d+\.\d+$")
        self.assertEqual(read.histogram("reseq_delivery_seconds").count, 3)
        whole = read.histogram("reseq_end_to_end_seconds")
        self.assertEqual(whole.count, 3)
        self.assertGreaterEqual(whole.sum, read.histogram("reseq_delivery_seconds").sum)
        for name in ("accept", "transform", "release_overhead"):
            self.assertGreater(read.histogram(f"reseq_{name}_seconds").count, 0, name)
        for name in ("reseq_lane_pending", "reseq_lane_ready", "reseq_head_of_line_age_seconds", "reseq_epoch"):
            self.assertIn(f"\n{name}{{", answer.body.decode())

    def test_metrics_tell_what_is_paused_and_what_goes_nowhere(self):
        self.running.stop()
        picky = {"name": "picky", "url": self.book.url(), "when": {"kind": "x"}}
        gives_up = {**GIVES_UP_SOON, "on_exhausted": "dead_letter"}
        failing = {"name": "bad", "url": self.book.url(), "transform": [{"use": "delay", "fail_rate": 1.0}]}
        pipelines = [pipeline("p", [picky]), pipeline("q", [failing], retry=gives_up)]
        self.running = self.restart(self.running, pipeline=pipelines)
        for status in (202, 200):
            self.assertEqual(self.running.submit("p", b"x", "nowhere").status, status)
        self.running.submit_all("p", ["somewhere"], kind="x")
        self.assertEqual(self.running.post("/v1/pipelines/p/destinations/picky/pause").status, 200)
        self.running.submit_all("q", ["given-up"])
        self.running.wait_until_settled("q", "bad", 1)
        read = self.running.metrics()
        self.assertEqual(read.by_label("reseq_messages_accepted_total", "pipeline"), {"p": 2, "q": 1})
        self.assertEqual(read.by_label("reseq_messages_unrouted_total", "pipeline"), {"p": 1, "q": 0})
        self.assertEqual(read.by_label("reseq_destination_paused", "destination"), {"picky": 1, "bad": 0})
        self.assertEqual(read.by_label("reseq_dead_letters_total", "destination"), {"bad": 1, "picky": 0})
        self.assertEqual(self.running.stop(), 0)
        self.running = self.restart(self.running)
        self.running.wait_for_line(r"info: pipeline p: epoch \d+, after position \d+, \d+ undelivered, paused: picky$")

    def test_a_start_says_what_it_found_and_where(self):
        data = self.path("data")
        self.running.wait_for_line(rf"info: reseq \d+\.\d+\.\d+, node a, journal in {re.escape(data)}$")
        self.running.wait_for_line(rf"info: made a new journal in {re.escape(data)}: ")
        self.running.wait_for_line("info: pipeline q: epoch 1, after position 0, 0 undelivered$")
        self.running.submit_all("p", ["a", "b"])
        self.running.wait_for_state("p", "bad", "held")
        self.running.wait_until_settled("p", "d", 2)
        self.running.kill()
        self.running = self.restart(self.running)
        self.running.wait_for_line("info: pipeline p: epoch 2, after position 2, 2 undelivered, 1 held$")
        self.assertEqual(self.running.logged("made a new journal"), 0)

    def assert_is_exposition(self, text: str):
        """Each family has its help and type once, before its samples; each line is a sample of the family."""
        families, current = set(), ""
        self.assertTrue(text.endswith("\n"))
        for line in text.splitlines():
            if line.startswith("# HELP "):
                current = line.split()[2]
                self.assertNotIn(current, families)
                families.add(current)
            elif line.startswith("# TYPE "):
                self.assertEqual(line.split()[2], current)
            else:
                self.assertRegex(line, METRIC_LINE)
                self.assertRegex(line, rf"^{current}(_bucket|_sum|_count)?[{{ ]")
        self.assertGreater(len(families), 15)


if __name__ == "__main__":
    unittest.main()
