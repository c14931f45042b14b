"""Kill -9, at random moments and under load: nothing is lost, nothing is out of order, little comes again."""

import os
import signal
import subprocess
import sys
import threading
import unittest

from book import check_book, file_entries
from client import Load, Producer, body_of, digest
from harness import FULL, SEED, Supervisor, SystemTest, free_port, pipeline, record_figure
from phases import Phases, table, totals_of
from waiting import eventually

KILLS = 100 if FULL else 12
AT_LEAST_EACH = 20 if FULL else 1  # kills with acceptances in flight, kills with unsaved deliveries
MAX_UNSAVED = 16
STARTS = 200 if FULL else 12


class Kills(SystemTest):
    def setUp(self):
        super().setUp()
        self.book = self.receiver()
        self.file = self.path("out.jsonl")
        destinations = [
            {"name": "http", "url": self.book.url(), "max_unsaved": MAX_UNSAVED},
            {"name": "file", "url": f"file://{self.file}", "max_unsaved": MAX_UNSAVED, "batch": 4},
        ]
        work = {"use": "delay", "min": "1ms", "max": "12ms"}
        self.phases = Phases()
        self.moment = threading.Event()  # never set
        self.running = self.supervisor(self.config([pipeline("p", destinations, [work])], worker={"slots": 4}))
        self.phases.started()
        self.external = self.worker(self.running, "external", slots=4)
        self.load = Load(lambda: self.running.http, "p", SEED, producers=6, pause_seconds=0.002)
        self.addCleanup(self.load.stop)

    def test_nothing_is_lost_doubled_or_out_of_order_when_supervisors_and_workers_are_killed(self):
        victims = [
            self.kill_supervisor, self.kill_own_worker, self.kill_supervisor, self.kill_external_worker,
            self.kill_all_at_once, self.kill_supervisor, self.kill_while_it_starts, self.kill_while_it_drains,
        ]  # fmt: skip
        victims = (victims * KILLS)[:KILLS]
        self.random.shuffle(victims)
        for victim in victims:
            self.let_some_arrive(self.random.randrange(5, 60))
            victim()
            self.submit_one_again()
        self.let_some_arrive(20)
        sent = self.load.stop()
        self.wait_for_all(sent)
        self.assertEqual(self.running.stop(), 0)
        self.check_receipts()
        self.check_books(sent)
        self.check_phases()

    def let_some_arrive(self, count: int) -> None:
        wanted = len(self.book.confirmed()) + count
        eventually(f"{wanted} deliveries have arrived", lambda: len(self.book.confirmed()) >= wanted)
        self.moment.wait(self.random.uniform(0, 0.02))

    def kill(self, victim: str, *programs) -> None:
        """All of them at once, as nearly as one process can."""
        for one in programs:
            one.signal(signal.SIGKILL)
        self.phases.killed(victim, ended=any(isinstance(one, Supervisor) for one in programs))
        for one in programs:
            one.wait()

    def start_again(self) -> None:
        self.phases.started()
        self.running = self.restart(self.running)

    def start_external(self) -> None:
        self.external = self.worker(self.running, "external", slots=4)

    def kill_supervisor(self) -> None:
        self.kill("supervisor", self.running)
        self.start_again()

    def kill_own_worker(self) -> None:
        self.running.kill_own_worker()
        self.phases.killed("its own worker", ended=False)

    def kill_external_worker(self) -> None:
        self.kill("another worker", self.external)
        self.start_external()

    def kill_all_at_once(self) -> None:
        own = self.running.own_workers()
        for pid in own:
            os.kill(pid, signal.SIGKILL)
        self.kill("supervisor and workers at once", self.running, self.external)
        self.start_again()
        self.start_external()

    def kill_while_it_starts(self) -> None:
        """Twice: the one that runs, and the next one before it is ready or hardly after."""
        self.kill("supervisor, then while it starts", self.running)
        self.phases.started()
        starting = self.starting_supervisor(self.running.config)
        self.moment.wait(self.random.uniform(0, 0.15))
        self.kill("supervisor while it starts", starting)
        self.start_again()

    def kill_while_it_drains(self) -> None:
        self.running.signal(signal.SIGTERM)
        self.moment.wait(self.random.uniform(0, 0.01))
        victim = "supervisor while it drains" if self.running.running() else "none: drained before"
        self.kill(victim, self.running)
        self.start_again()

    def submit_one_again(self) -> None:
        message_id, body, receipt = eventually("a message has a receipt", lambda: self.load.some(self.random))
        answer = eventually("it can be submitted again", lambda: self.running.submit("p", body, message_id))
        self.assertEqual(answer.status, 200, answer.body)
        again = answer.json()
        self.assertEqual((again["duplicate"], again["positions"][0]["position"]), (True, receipt.position))

    def wait_for_all(self, sent: dict) -> None:
        for name in ("http", "file"):
            accepted = self.running.destination("p", name)["accepted"]
            self.assertEqual(accepted, len(sent), f"{name}: other messages were accepted than have receipts")
            self.running.wait_until_settled("p", name, accepted, 60)

    def check_receipts(self) -> None:
        positions = sorted(receipt.position for receipt in self.load.receipts.values())
        self.assertEqual(positions, list(range(1, len(positions) + 1)), "positions are not dense and unique")

    def check_books(self, sent: dict) -> None:
        entries = self.book.entries("http")
        self.assert_nothing_wrong(check_book(entries, sent, max_unsaved=MAX_UNSAVED))
        lines = file_entries(self.file)
        self.assertEqual([line.sequence for line in lines], list(range(1, len(sent) + 1)))
        self.assert_nothing_wrong(check_book(lines, sent))
        positions = {message_id: receipt.position for message_id, receipt in self.load.receipts.items()}
        self.assertEqual({entry.message_id: entry.position for entry in entries}, positions)
        print(f"      seed {SEED}: {len(sent)} messages, {len(entries) - len(sent)} delivered again", flush=True)

    def check_phases(self) -> None:
        found = self.phases.of(self.load.cuts(), self.load.receipts, self.book.entries("http"))
        print("      " + "\n      ".join(table(found)), flush=True)
        totals = totals_of(found)
        for phase, kills in totals.items():
            record_figure(f"kills, of {len(found)}, {phase}", str(kills))
        for phase in ("with acceptances in flight", "with unsaved deliveries"):
            self.assertGreaterEqual(totals[phase], AT_LEAST_EACH, phase)


class AfterTheAnswer(SystemTest):
    def test_a_crash_between_answer_and_progress_repeats_no_more_than_max_unsaved(self):
        crashes = []

        def kill_now_and_then(request):
            if request.number % 25 == 0 and len(crashes) == self.restarts < 3:
                crashes.append(request.number)
                self.running.signal(signal.SIGKILL)
            return 200

        book = self.receiver(kill_now_and_then)
        destinations = [{"name": "d", "url": book.url(), "max_unsaved": 4}]
        self.restarts = 0
        self.running = self.supervisor(self.config([pipeline("p", destinations)]))
        load = Load(lambda: self.running.http, "p", SEED)
        self.addCleanup(load.stop)
        eventually("it was killed three times and runs again", lambda: self.restarted() == 3)
        sent = load.stop()
        self.running.wait_until_settled("p", "d", len(sent))
        entries = book.entries("d")
        self.assert_nothing_wrong(check_book(entries, sent, max_unsaved=4))
        self.assertGreaterEqual(len(entries), len(sent) + 3, "each crash leaves an answer that was never saved")

    def restarted(self) -> int:
        """How often, after doing so if it is due."""
        if not self.running.running():
            self.running = self.restart(self.running)
            self.restarts += 1
        return self.restarts


class FromTheStart(SystemTest):
    def test_a_message_that_comes_the_moment_it_listens_is_delivered_without_another_restart(self):
        book = self.receiver()
        address = f"127.0.0.1:{free_port()}"
        config = self.config([pipeline("p", [{"name": "d", "url": book.url()}])], http={"listen": address})
        self.keep_processors_busy()
        sent = {}
        for number in range(STARTS):
            producer = Producer(lambda: address, "p", pause_seconds=0.0005)
            body = body_of(f"m{number}")
            knocking = threading.Thread(target=producer.submit, args=(f"m{number}", body))
            knocking.start()
            running = self.supervisor(config)
            knocking.join()
            producer.close()
            sent[f"m{number}"] = digest(body)
            running.wait_until_settled("p", "d", len(sent))
            running.kill()
        self.assert_nothing_wrong(check_book(book.entries("d"), sent, max_unsaved=256))

    def keep_processors_busy(self) -> None:
        """So that what a start leaves for its other threads to do is not always done in time by luck."""
        for _ in range(3 * os.cpu_count()):
            burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            self.addCleanup(burner.wait)
            self.addCleanup(burner.kill)


if __name__ == "__main__":
    unittest.main()
