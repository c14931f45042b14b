"""Messages that cannot be processed or are refused: held or dead-lettered, shown, retried, skipped; others go on."""

import json
import re
import time
import unittest

from book import check_book
from client import digest, receipt_of
from harness import GIVES_UP_SOON, SystemTest, pipeline
from waiting import eventually

FAILS_ALWAYS = {"use": "delay", "fail_rate": 1.0}
MAX_RESULT = 1024  # a larger result is a permanent failure: such messages are the ones that fail
TOO_LARGE = "more than http.max_result allows"
ONE_ATTEMPT = {**GIVES_UP_SOON, "max_attempts": 1}
FAILED = "failed on purpose"


class HeldTest(SystemTest):
    def setUp(self):
        super().setUp()
        self.book = self.receiver()

    def start(self, destinations: list, retry: dict, **keys):
        pipelines = [pipeline("p", destinations, retry=retry, **keys)]
        self.running = self.supervisor(self.config(pipelines, http={"max_result": f"{MAX_RESULT}B"}))

    def submit_some_that_fail(self, count: int, failing: list) -> dict:
        """Messages m1, m2, …, each at the sequence of its number; those in `failing` never get a result."""
        sent = {}
        for number in range(1, count + 1):
            body = b"x" * (MAX_RESULT + 1 if number in failing else number)
            receipt_of(self.running.submit("p", body, f"m{number}"))
            sent[f"m{number}"] = digest(body)
        return sent

    def operate(self, position: int, what: str, body: bytes = b""):
        return self.running.post(f"/v1/pipelines/p/messages/0:{position}/{what}", body)

    def assert_changed(self, answer, count: int):
        self.assertEqual((answer.status, answer.json()["changed"]), (200, count))

    def held(self, name: str) -> list:
        found = self.running.get("/v1/pipelines/p/held")["held"]
        return [one for one in found if one["destination"] == name]

    def wait_for_held(self, name: str, after: int = 0) -> dict:
        """What is held at that destination, at a higher sequence."""

        def probe():
            return next((one for one in self.held(name) if one["sequence"] > after), None)

        return eventually(f"{name} holds a message after {after}", probe)

    def dead_letters(self) -> list:
        return self.running.get("/v1/pipelines/p/dead-letters")["dead_letters"]


class Exhausted(HeldTest):
    def start_bad_and_good(self, **keys):
        bad = {"name": "bad", "url": self.book.url(), "transform": [FAILS_ALWAYS]}
        good = {"name": "good", "url": self.book.url(), "transform": [{"use": "identity"}]}
        self.start([bad, good], GIVES_UP_SOON, **keys)

    def test_it_is_retried_held_at_its_head_and_said_so_while_others_go_on(self):
        self.start_bad_and_good()
        sent = self.running.submit_all("p", [f"m{number}" for number in range(20)])
        self.running.wait_until_settled("p", "good", 20)
        self.assert_nothing_wrong(check_book(self.book.entries("good"), sent))
        status = self.running.wait_for_state("p", "bad", "held")
        head = status["blocked_by"]
        self.assertEqual((head["sequence"], head["position"], head["id"]), (1, 1, "m0"))
        self.assertEqual((head["phase"], head["attempts"]), ("held", 3))
        self.assertIn(FAILED, head["last_error"])
        self.assert_history(head["history"], 3)
        shown = {one["destination"]: one for one in self.running.get("/v1/pipelines/p/messages/0:1")["destinations"]}
        self.assert_history(shown["bad"]["attempts"]["history"], 3)
        self.assertNotIn("attempts", shown["good"])
        self.assertEqual((status["accepted"], status["settled"], status["held"]), (20, 0, 1))
        held = self.held("bad")
        self.assertEqual([(one["sequence"], one["reason"], one["attempts"]) for one in held], [(1, "exhausted", 3)])
        self.assertEqual(self.book.entries("bad"), [])
        self.running.wait_for_line(rf"destination p/bad: message m0 \(0:1, sequence 1\) used up its 3 attempts and is "
                                   rf"held: .*{FAILED}")
        self.assertEqual(self.running.destination("p", "good")["state"], "running")

    def assert_history(self, history: list, attempts: int) -> None:
        self.assertEqual([one["attempt"] for one in history], list(range(1, attempts + 1)))
        self.assertEqual({(one["worker"], one["outcome"]) for one in history}, {("a-worker", "failed")})

    def test_reseqctl_why_says_what_waits_and_what_to_do(self):
        self.start_bad_and_good()
        self.running.submit_all("p", ["m0"])
        self.wait_for_held("bad")
        said = self.running.ctl("why")
        for part in ("bad", "held", "0:1", FAILED, "retry", "skip"):
            self.assertIn(part, said)
        self.assertIn("nothing waits", self.running.ctl("why", "p", "good").lower())
        self.assertEqual(json.loads(self.running.ctl("--json", "held", "p"))["held"], self.held("bad"))

    def test_it_is_not_given_up_before_its_time_however_often_it_has_failed(self):
        destinations = [{"name": "d", "url": self.book.url()}]
        patient = {**ONE_ATTEMPT, "jitter": "50ms", "max_timeout": "50ms", "timeout": "50ms", "give_up_after": "700ms"}
        self.start(destinations, patient, transforms=[FAILS_ALWAYS])
        started = time.monotonic()
        self.running.submit_all("p", ["a"])
        held = self.wait_for_held("d")
        self.assertGreaterEqual(time.monotonic() - started, 0.7)
        self.assertGreater(held["attempts"], 3)

    def test_retry_tries_it_anew_and_skip_goes_on_with_the_next(self):
        self.start_bad_and_good()
        self.running.submit_all("p", ["a", "b", "c"])
        first = self.wait_for_held("bad")
        failed = self.running.metrics().by_label("reseq_attempts_total", "outcome")["failed"]
        self.assert_changed(self.operate(1, "retry"), 1)
        again = eventually("it is held again", lambda: [h for h in self.held("bad") if h["since"] != first["since"]])
        self.assertEqual([(one["sequence"], one["attempts"]) for one in again], [(1, 3)])
        outcomes = self.running.metrics().by_label("reseq_attempts_total", "outcome")
        self.assertGreaterEqual(outcomes["failed"], failed + 3)
        self.assert_changed(self.operate(1, "skip", b'{"destinations":["bad"]}'), 1)
        self.assertEqual(self.wait_for_held("bad", after=1)["sequence"], 2)
        self.assertEqual(self.running.destination("p", "bad")["settled"], 1)
        self.running.wait_until_settled("p", "good", 1)
        shown = self.running.get("/v1/pipelines/p/messages/0:1")["destinations"]
        self.assertEqual({one["destination"]: one["state"] for one in shown}, {"bad": "skipped", "good": "settled"})

    def test_reseqctl_skips_all_that_a_destination_holds_once_it_is_told_so(self):
        self.start_bad_and_good()
        self.running.submit_all("p", ["a", "b"])
        self.wait_for_held("bad")
        shown = self.running.ctl("skip", "p", "--to", "bad")
        self.assertRegex(shown, r"p +bad +0:1 ")
        command = re.search(r"This is given up and never delivered there, .*\n  reseqctl (.*)\n", shown)[1].split()
        self.assertEqual([one["sequence"] for one in self.held("bad")], [1])
        self.assertEqual(self.running.ctl(*command), "1 held message given up\n")
        self.wait_for_held("bad", after=1)
        self.assertIn("what is held is not what was shown", self.running.ctl_refusal(*command))
        self.assertEqual([one["sequence"] for one in self.held("bad")], [2])
        self.assertEqual(self.running.ctl("skip", "p", "--to", "bad", "--yes=all"), "1 held message given up\n")

    def test_reseqctl_skips_all_that_fails_up_to_a_sequence_one_after_the_other(self):
        self.start([{"name": "d", "url": self.book.url()}], GIVES_UP_SOON)
        sent = self.submit_some_that_fail(30, [*range(1, 12), *range(15, 22)])
        self.wait_for_held("d")
        shown = self.running.ctl("skip", "p", "--to", "d", "--until", "16")
        command = re.search(r"\n  reseqctl (.*)\n", shown)[1].split()
        self.assertEqual(self.running.ctl(*command), "13 held messages given up; all up to sequence 16 is settled\n")
        self.assertEqual(self.wait_for_held("d", after=16)["sequence"], 17)
        self.running.ctl("skip", "p", "--to", "d", "--until", "999", "--yes")
        self.running.wait_until_settled("p", "d", 30)
        passed = [*range(1, 12), *range(15, 22)]
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, passed=passed))

    def test_what_is_held_is_shown_with_its_own_attempts_and_not_those_for_another_destination(self):
        self.start([{"name": "a", "url": self.book.url()}, {"name": "b", "url": self.book.url()}],
                   GIVES_UP_SOON, transforms=[FAILS_ALWAYS])  # fmt: skip
        self.running.submit_all("p", ["one", "two"])
        for name in ("a", "b"):
            self.wait_for_held(name)
        self.assert_changed(self.operate(1, "skip", b'{"destinations":["a"]}'), 1)
        held = self.wait_for_held("a", after=1)

        def shown():
            at_a, at_b = self.running.get("/v1/pipelines/p/messages/0:2")["destinations"]
            tried_for_b = at_b.get("attempts", {}).get("next_attempt")
            return (at_a, at_b) if tried_for_b and at_b["attempts"]["failed"] > held["attempts"] else None

        at_a, at_b = eventually("it is tried again, for b alone", shown)
        self.assertEqual((at_a["state"], at_b["state"]), ("held", "pending"))
        self.assertEqual(at_a["attempts"]["failed"], held["attempts"])
        head = self.running.get("/v1/pipelines/p/destinations/a")["blocked_by"]
        self.assertEqual((head["phase"], head["attempts"], head["next_attempt"]), ("held", held["attempts"], None))

    def test_what_an_operator_does_leaves_a_line_in_the_log(self):
        self.start_bad_and_good()
        self.running.submit_all("p", ["a", "b"])
        self.wait_for_held("bad")
        self.operate(1, "skip")
        self.running.wait_for_line("info: destination p/bad: message a \\(0:1, sequence 1\\) is skipped by an operator")
        self.wait_for_held("bad", after=1)
        self.running.post("/v1/pipelines/p/held/retry")
        self.running.wait_for_line("info: destination p/bad: 1 held messages? (is|are) tried again by an operator")
        self.wait_for_held("bad", after=1)
        self.operate(2, "retry")
        self.running.wait_for_line("info: destination p/bad: message b \\(0:2, sequence 2\\) is tried again by an op")
        refused = self.operate(1, "skip")
        self.assertEqual(refused.status, 409)
        self.assertIn("message a (0:1), sequence 1: is not held at", refused.json()["detail"])
        for what in ("pause", "resume"):
            self.running.post(f"/v1/pipelines/p/destinations/good/{what}")
            self.running.wait_for_line(f"info: destination p/good: {what}d by an operator")
        self.assertEqual(self.running.logged("by an operator"), 5)

    def test_held_survives_a_crash_and_a_retry_after_it_delivers_everything_in_order(self):
        self.start_bad_and_good()
        sent = self.running.submit_all("p", ["a", "b", "c", "d"])
        before = self.wait_for_held("bad")
        self.running.kill()
        repaired = [{**self.running.config["pipeline"][0]}]
        repaired[0]["destination"] = [
            {**one, "transform": [{"use": "delay", "fail_rate": 0.0} if one["name"] == "bad" else {"use": "identity"}]}
            for one in repaired[0]["destination"]
        ]
        self.running = self.restart(self.running, pipeline=repaired)
        status = self.running.wait_for_state("p", "bad", "held")
        self.assertEqual(status["blocked_by"]["last_error"], before["last_error"])
        self.assertEqual(self.held("bad"), [before])
        eventually("the others are ready behind it", lambda: self.running.destination("p", "bad")["ready"] == 3)
        self.assertEqual(self.book.entries("bad"), [])
        self.assert_changed(self.running.post("/v1/pipelines/p/held/retry"), 1)
        self.running.wait_until_settled("p", "bad", 4)
        self.assert_nothing_wrong(check_book(self.book.entries("bad"), sent))

    def test_skipping_after_a_restart_leaves_a_gap_that_the_next_delivery_announces(self):
        self.start([{"name": "d", "url": self.book.url()}], GIVES_UP_SOON)
        failing = [1, 5, 6, 20]
        sent = self.submit_some_that_fail(20, failing)
        for place, sequence in enumerate(failing):
            held = self.wait_for_held("d", after=failing[place - 1] if place else 0)
            self.assertEqual((held["sequence"], held["attempts"]), (sequence, 1), "no other attempt could help")
            self.assertIn(TOO_LARGE, held["last_error"])
            self.running.wait_until_settled("p", "d", sequence - 1)
            self.running.kill()
            self.running = self.restart(self.running)
            self.assert_changed(self.operate(held["position"], "skip"), 1)
        self.running.wait_until_settled("p", "d", 20)
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, passed=failing, max_unsaved=256))
        self.assertEqual(sorted(set(self.book.confirmed("d"))), [s for s in range(1, 21) if s not in failing])

    def test_what_is_not_held_cannot_be_retried_or_skipped(self):
        self.start_bad_and_good()
        self.running.submit_all("p", ["a", "b"])
        self.wait_for_held("bad")
        for position, body, status in (
            (2, b"", 409), (9, b"", 404), (1, b'{"destinations":["good"]}', 409),
            (1, b'{"destinations":["none"]}', 422), (1, b'{"destinations":"bad"}', 400), (1, b"junk", 400),
        ):  # fmt: skip
            for what in ("retry", "skip"):
                with self.subTest(f"{what} {position} {body}"):
                    answer = self.operate(position, what, body)
                    self.assertEqual(answer.status, status, answer.body)
                    self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual([one["sequence"] for one in self.held("bad")], [1])


class DeadLetters(HeldTest):
    def test_with_dead_letter_the_lane_goes_on_and_the_dead_letters_are_listed(self):
        retry = {**GIVES_UP_SOON, "on_exhausted": "dead_letter"}
        self.start([{"name": "d", "url": self.book.url()}], retry)
        failing = [3, 4, 9, 30]
        sent = self.submit_some_that_fail(30, failing)
        self.running.wait_until_settled("p", "d", 30)
        letters = self.dead_letters()
        self.assertEqual([letter["sequence"] for letter in letters], failing)
        for letter in letters:
            self.assertEqual((letter["id"], letter["bytes"]), (f"m{letter['sequence']}", MAX_RESULT + 1))
            self.assertEqual(letter["reason"], "permanent")
            self.assertIn(TOO_LARGE, letter["last_error"])
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, passed=failing))
        self.assertEqual(len(self.book.confirmed("d")), 30 - len(failing))
        path, pages = "/v1/pipelines/p/dead-letters?limit=3", []
        while path:
            page = self.running.get(path)
            pages.append([letter["sequence"] for letter in page["dead_letters"]])
            path = page["next"] and f"/v1/pipelines/p/dead-letters?limit=3&after={page['next']}"
        self.assertEqual(pages, [[3, 4, 9], [30]])
        for wrong, field in (("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
                             ("after=d", "after"), ("after=x/1", "after"), ("since=1", "since")):  # fmt: skip
            refused = self.running.request("GET", f"/v1/pipelines/p/dead-letters?{wrong}")
            self.assertEqual((refused.status, refused.json().get("field")), (400, field), wrong)
        for position, state in ((2, "settled"), (3, "dead_letter"), (4, "dead_letter"), (5, "settled")):
            shown = self.running.get(f"/v1/pipelines/p/messages/0:{position}")
            self.assertEqual([one["state"] for one in shown["destinations"]], [state], position)
        self.running.kill()
        self.running = self.restart(self.running)
        self.assertEqual(self.dead_letters(), letters)

    def test_those_of_a_destination_that_left_are_listed_with_the_others_page_by_page(self):
        retry = {**ONE_ATTEMPT, "on_exhausted": "dead_letter"}
        names = ["2", "left", "9"]  # names may be numbers, as the journal gives them to destinations
        self.start([{"name": name, "url": self.book.url()} for name in names], retry, transforms=[FAILS_ALWAYS])
        self.running.submit_all("p", ["a", "b"])
        for name in names:
            self.running.wait_until_settled("p", name, 2)
        self.assertEqual(self.running.stop(), 0)
        stays = [one for one in self.running.config["pipeline"][0]["destination"] if one["name"] != "left"]
        self.running.config["pipeline"][0]["destination"] = stays
        self.running = self.restart(self.running)
        listed, path = [], "/v1/pipelines/p/dead-letters?limit=1"
        while path and len(listed) <= 6:
            page = self.running.get(path)
            listed += [(letter["destination"], letter["sequence"]) for letter in page["dead_letters"]]
            path = page["next"] and f"/v1/pipelines/p/dead-letters?limit=1&after={page['next']}"
        self.assertEqual(listed, [(name, seq) for name in ("2", "", "9") for seq in (1, 2)])

    def test_more_than_max_dead_letters_in_a_row_hold_the_lane(self):
        destinations = [{"name": "d", "url": self.book.url(), "max_dead_letters": 3}]
        self.start(destinations, {**ONE_ATTEMPT, "on_exhausted": "dead_letter"}, transforms=[FAILS_ALWAYS])
        self.running.submit_all("p", [f"m{number}" for number in range(8)])
        status = self.running.wait_for_state("p", "d", "held")
        self.assertEqual((status["settled"], status["blocked_by"]["sequence"]), (3, 4))
        self.assertEqual([letter["sequence"] for letter in self.dead_letters()], [1, 2, 3])
        self.assertEqual([(one["sequence"], one["reason"]) for one in self.held("d")], [(4, "dead_letters")])


class Refused(HeldTest):
    def setUp(self):
        super().setUp()
        self.poison = {"m4"}
        self.book.answer = lambda request: 422 if self.poison & {e.message_id for e in request.entries} else 200

    def test_a_refused_message_is_held_and_delivered_when_retried_with_success(self):
        self.start([{"name": "d", "url": self.book.url()}], GIVES_UP_SOON)
        sent = self.running.submit_all("p", [f"m{number}" for number in range(12)])
        held = self.wait_for_held("d")
        self.assertEqual((held["sequence"], held["reason"]), (5, "refused"))
        self.assertIn("422", held["last_error"])
        self.assertEqual(self.book.confirmed("d"), [1, 2, 3, 4])
        self.poison.clear()
        self.assert_changed(self.operate(5, "retry"), 1)
        self.running.wait_until_settled("p", "d", 12)
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent))

    def test_a_refused_message_is_dead_lettered_if_configured_so(self):
        self.start([{"name": "d", "url": self.book.url(), "on_refused": "dead_letter"}], GIVES_UP_SOON)
        sent = self.running.submit_all("p", [f"m{number}" for number in range(12)])
        self.running.wait_until_settled("p", "d", 12)
        self.assertEqual([(letter["id"], letter["reason"]) for letter in self.dead_letters()], [("m4", "refused")])
        self.running.wait_for_line(r"destination p/d: message m4 \(0:5, sequence 5\) was refused and is a dead letter: .*422")
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, passed=[5]))

    def test_the_one_refused_message_of_a_batch_is_found_and_no_other_is_refused_with_it(self):
        resting = {"name": "d", "url": self.book.url(), "batch": 10, "on_refused": "dead_letter"}
        self.start([resting], GIVES_UP_SOON)
        self.running.post("/v1/pipelines/p/destinations/d/pause")
        sent = self.running.submit_all("p", [f"m{number}" for number in range(25)])
        self.running.post("/v1/pipelines/p/destinations/d/resume")
        self.running.wait_until_settled("p", "d", 25)
        self.assertEqual([letter["id"] for letter in self.dead_letters()], ["m4"])
        entries = self.book.entries("d")
        self.assertEqual(sorted(self.book.confirmed("d")), [s for s in range(1, 26) if s != 5])
        self.assertGreater(len(entries), len({entry.request for entry in entries}), "nothing came in a batch")
        self.assert_nothing_wrong(check_book(entries, sent, passed=[5]))


if __name__ == "__main__":
    unittest.main()
