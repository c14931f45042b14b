"""The quickstart: cutting a history, proving a replay, and both around the real programs."""

import http.client
import os
import subprocess
import tempfile
import time
import unittest

import generated_repository
import history
import ledger
import metrics
import proof
from programs import Program, python

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEED = int(os.environ.get("RESEQ_TEST_SEED", "1"))
FULL = bool(os.environ.get("RESEQ_TEST_FULL"))


class Folder(unittest.TestCase):
    """A test with a folder of its own, gone afterwards."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="reseq-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def repository(self, commits: int) -> str:
        path = self.path("original.git")
        generated_repository.generate(path, commits, SEED)
        return path


class Cutting(Folder):
    def test_a_generated_history_has_all_that_histories_are_made_of(self):
        repository = self.repository(2000)
        for least_parents, least_commits in ((2, 100), (3, 20)):
            counted = history.git(repository, "rev-list", "--all", "--count", f"--min-parents={least_parents}")
            self.assertGreater(int(counted), least_commits)
        kinds = history.git(repository, "log", "--all", "-m", "--root", "--raw", "--no-renames", "-z", "--format=")
        for mode in (b"100644", b"100755", b"120000", b"160000", b"000000"):
            self.assertIn(b" " + mode + b" ", kinds)

    def test_the_first_commits_are_the_same_with_a_limit_and_without(self):
        repository = self.repository(60)
        everything = list(history.messages(repository))
        self.assertEqual(list(history.messages(repository, 25)), everything[:25])
        self.assertEqual([message.id for message in everything], history.commit_ids(repository))

    def test_a_detached_head_that_no_branch_reaches_is_part_of_the_history(self):
        repository = self.repository(3)
        orphan = history.git(
            repository, "-c", "user.name=n", "-c", "user.email=e", "commit-tree", "-m", "m",
            "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        ).decode().strip()  # fmt: skip
        history.git(repository, "update-ref", "--no-deref", "HEAD", orphan)
        self.assertIn(orphan, [message.id for message in history.messages(repository)])

    def test_what_is_no_repository_or_has_no_commits_is_said_clearly(self):
        history.git(".", "init", "--quiet", self.path("empty"))
        for folder, reason in (("missing", "no such directory"), ("", "not a git"), ("empty", "no commits")):
            with self.subTest(folder), self.assertRaisesRegex(history.HistoryError, reason):
                history.tips(self.path(folder))


class Proving(Folder):
    """A receiver that is driven by hand."""

    def setUp(self):
        super().setUp()
        self.original = self.repository(40)
        self.messages = list(history.messages(self.original))
        command = python("receiver.py") + ["--repository", self.path("rebuilt.git")]
        command += ["--marks", self.path("marks"), "--arrivals", self.path("arrivals")]
        self.receiver = Program("receiver", command, self.path("log"), "stdout", stderr=subprocess.STDOUT)
        self.addCleanup(self.receiver.kill)
        self.connection = http.client.HTTPConnection(self.receiver.wait_until_ready(30), timeout=30)
        self.addCleanup(self.connection.close)
        with open(self.path("sent"), "w", encoding="ascii") as sent:
            for message in self.messages:
                size, digest = len(message.body), ledger.digest(message.body)
                sent.write(ledger.line_of(ledger.Sent(message.id, message.mark, size, digest)))

    def deliver(self, sequence: int, message: history.Message, previous: int = None) -> int:
        headers = {
            "Idempotency-Key": f"history/repository/{sequence}",
            "Reseq-Message-Id": message.id,
            "Reseq-Sequence": str(sequence),
            "Reseq-Previous-Sequence": str(sequence - 1 if previous is None else previous),
        }
        self.connection.request("POST", "/commits", message.body, headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def prove(self) -> proof.Proof:
        self.connection.close()
        self.assertEqual(self.receiver.stop(30), 0)
        return proof.prove(
            self.original, history.commit_ids(self.original), self.path("rebuilt.git"),
            self.path("sent"), self.path("arrivals"), self.path("marks"),
        )  # fmt: skip

    def test_what_arrives_in_order_and_whole_proves_itself(self):
        for sequence, message in enumerate(self.messages, start=1):
            self.assertEqual(self.deliver(sequence, message), 200)
        self.assertEqual(self.prove(), proof.Proof(40, 0, 40, 40, []))

    def test_a_redelivery_under_the_same_id_is_recorded_and_not_applied_again(self):
        for sequence, message in enumerate(self.messages, start=1):
            self.deliver(sequence, message)
            if sequence in (7, 40):
                self.assertEqual(self.deliver(sequence, message), 200)
        self.assertEqual(self.prove(), proof.Proof(40, 2, 40, 40, []))

    def test_a_commit_that_arrives_before_its_parent_is_refused_by_git(self):
        self.assertEqual(self.deliver(1, self.messages[0]), 200)
        self.assertEqual(self.deliver(3, self.messages[2]), 500)
        self.connection.request("GET", "/status")
        self.assertIn(b"needs what has not arrived", self.connection.getresponse().read())

    def test_one_changed_byte_is_found_in_the_list_and_in_the_tree(self):
        place = next(place for place, message in enumerate(self.messages, start=1) if b"\nline " in message.body)
        for sequence, message in enumerate(self.messages, start=1):
            if sequence == place:
                message = message._replace(body=message.body.replace(b"\nline ", b"\nlime ", 1))
            self.deliver(sequence, message)
        changed = self.messages[place - 1].id
        found = " ".join(self.prove().differences)
        self.assertIn(f"message {place}, {changed}, arrived with other content", found)
        self.assertIn(f"commit {changed}: its tree was", found)

    def test_a_message_that_never_arrives_is_found(self):
        for sequence, message in enumerate(self.messages[:-1], start=1):
            self.deliver(sequence, message)
        found = " ".join(self.prove().differences)
        self.assertIn("40 messages were sent and 39 arrived", found)
        self.assertIn(f"commit {self.messages[-1].id} is missing", found)

    def test_a_gap_that_the_delivery_does_not_announce_is_found(self):
        for sequence, message in enumerate(self.messages, start=1):
            self.deliver(sequence + (sequence > 20), message)
        self.assertEqual(self.prove().differences, ["sequence 22, after 21, arrived after 20"])

    def test_what_is_no_delivery_is_refused_and_changes_nothing(self):
        self.connection.request("POST", "/commits", b"blob\n", {"Idempotency-Key": "x"})
        answer = self.connection.getresponse()
        self.assertIn(b"Reseq-Message-Id is missing", answer.read())
        self.assertEqual(answer.status, 400)
        self.assertEqual(self.deliver(1, self.messages[0]), 200)


class Figures(unittest.TestCase):
    def test_metrics_are_summed_over_labels_and_quantiles_come_from_buckets(self):
        read = metrics.Metrics(
            '# HELP a b\na_total{outcome="ok",x="1"} 3\na_total{outcome="failed"} 1\na_total{outcome="ok"} 2\n'
            'h_seconds_bucket{le="0.001"} 90\nh_seconds_bucket{le="+Inf"} 100\nh_seconds_sum 5\nh_seconds_count 100\n'
        )
        self.assertEqual(read.total("a_total"), 6)
        self.assertEqual(read.by_label("a_total", "outcome"), {"ok": 5, "failed": 1})
        self.assertEqual(read.total("absent_total"), 0)
        histogram = read.histogram("h_seconds")
        self.assertEqual((histogram.mean(), histogram.quantile(0.9)), (0.05, 0.001))
        self.assertEqual(histogram.quantile(0.99), float("inf"))


class EndToEnd(Folder):
    def test_a_history_of_2000_commits_goes_through_the_programs_in_order_and_whole(self):
        commits = 20_000 if FULL else 2000
        command = [os.path.join(ROOT, "apps", "quickstart"), self.repository(commits)]
        command += ["--programs", os.environ["RESEQ_TEST_PROGRAMS"]]
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, rf"history +{commits:,} commits rebuilt; {commits:,} even have")
        self.assertIn("nothing differs", done.stdout)
        for figure in ("out of order", "retries", "worker deaths"):
            self.assertRegex(done.stdout, rf"{figure} +[1-9]")
        self.record(f"quickstart, {commits:,} commits", f"{time.monotonic() - started:.1f} s")

    def record(self, figure: str, value: str) -> None:
        with open(os.environ.get("RESEQ_TEST_FIGURES", os.devnull), "a", encoding="utf-8") as figures:
            figures.write(f"{figure}\t{value}\ttests/run --full\t{SEED}\n")


if __name__ == "__main__":
    unittest.main()
