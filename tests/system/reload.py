"""SIGHUP: a changed configuration is used without an end of the process; mistakes change nothing; what cannot change is
named."""

import signal
import socket
import time
import unittest

from book import check_book
from client import Load, body_of
from harness import SEED, SystemTest, merged, pipeline, write_config
from recorder import Reply
from waiting import eventually


class Reload(SystemTest):
    def setUp(self):
        super().setUp()
        self.book = self.receiver()
        self.destination = {"name": "d", "url": self.book.url("d"), "max_unsaved": 8}
        self.work = [{"use": "delay", "min": "1ms", "max": "6ms"}]
        self.running = self.supervisor(self.config([pipeline("p", [self.destination], self.work)]))
        self.starts = 1

    def reload(self, **tables) -> None:
        """Puts the tables into the file, and asks for it to be read again."""
        write_config(merged(self.running.config, tables), self.folder, "supervisor-a")
        self.running.signal(signal.SIGHUP)

    def wait_until_started_anew(self) -> None:
        self.starts += 1
        eventually("it is ready again", lambda: self.running.logged("ready http=") == self.starts)

    def test_what_has_changed_is_used_and_nothing_is_lost_doubled_or_out_of_order(self):
        load = Load(lambda: self.running.http, "p", SEED)
        self.addCleanup(load.stop)
        pid = self.running.pid
        for slots in (2, 4):
            seen = len(self.book.confirmed())
            eventually("some have arrived", lambda: len(self.book.confirmed()) > seen + 20)
            changed = {**self.destination, "window": 32 * slots}
            self.reload(worker={"slots": slots}, pipeline=[pipeline("p", [changed], self.work)])
            self.wait_until_started_anew()
        other = {"name": "e", "url": self.book.url("e"), "max_unsaved": 8}
        self.reload(pipeline=[pipeline("p", [self.destination, other], self.work)])
        self.wait_until_started_anew()
        eventually("the new destination has some", lambda: len(self.book.entries("e")) > 20)
        sent = load.stop()
        for name in ("d", "e"):
            self.running.wait_until_settled("p", name, self.running.destination("p", name)["accepted"], 60)
        self.assertEqual(self.running.pid, pid)
        self.assertEqual(self.running.stop(), 0)
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent, max_unsaved=8))
        arrived = {entry.message_id for entry in self.book.entries("e")}
        to_both = {each: sent[each] for each in arrived}
        self.assert_nothing_wrong(check_book(self.book.entries("e"), to_both, max_unsaved=8))

    def test_a_file_with_mistakes_changes_nothing(self):
        self.reload(worker={"slot": 3})
        self.running.wait_for_line(r"supervisor-a.toml:\d+: worker.slot: is not a known key")
        self.running.wait_for_line("supervisor-a.toml has mistakes, and nothing changes")
        self.assertEqual(self.running.submit("p", body_of("m"), "m").status, 202)
        self.running.wait_until_settled("p", "d", 1)
        self.assertEqual(self.running.logged("ready http="), 1)

    def test_one_that_says_what_it_said_changes_nothing(self):
        self.reload()
        self.running.wait_for_line("SIGHUP: .*supervisor-a.toml changes nothing")
        self.assertEqual(self.running.logged("ready http="), 1)

    def test_what_cannot_change_is_named_and_the_rest_changes(self):
        self.running.submit_all("p", ["m"])
        self.reload(node={"data_dir": self.path("elsewhere")}, http={"token": "secret"})
        self.running.wait_for_line("SIGHUP: what node.data_dir says cannot change while this runs")
        self.wait_until_started_anew()
        self.assertEqual(self.running.submit("p", body_of("m"), "m").status, 401)
        again = self.running.submit("p", body_of("m"), "m", {"Authorization": "Bearer secret"})
        self.assertEqual(again.status, 200, "it has another journal")

    def test_one_that_it_cannot_start_with_is_given_up_for_the_former(self):
        with socket.create_server(("127.0.0.1", 0)) as occupied:
            self.reload(http={"listen": f"127.0.0.1:{occupied.getsockname()[1]}"})
            self.running.wait_for_line("cannot start with the changed configuration: .*the address is in use")
            self.wait_until_started_anew()
        self.assertEqual(self.running.submit("p", body_of("m"), "m").status, 202)
        self.running.wait_until_settled("p", "d", 1)

    def test_a_stop_that_is_wanted_at_the_same_time_is_not_lost(self):
        write_config(merged(self.running.config, {"worker": {"slots": 3}}), self.folder, "supervisor-a")
        self.running.signal(signal.SIGHUP)
        self.running.signal(signal.SIGTERM)
        self.assertEqual(self.running.wait(), 0)

    def test_a_stop_that_is_wanted_meanwhile_finishes_what_is_under_way(self):
        self.book.answer = lambda request: Reply(200, after=self.book.never)
        sent = self.running.submit_all("p", ["a"])
        eventually("it is under way", lambda: self.book.entries("d"))
        self.reload(worker={"slots": 3})
        asked = time.monotonic()
        self.running.wait_for_line("stopping: finishing what is under way")
        eventually("signals are no longer taken for the same wish", lambda: time.monotonic() - asked > 0.5)
        self.running.signal(signal.SIGTERM)
        self.running.wait_for_line("it is to stop: nothing is started anew")
        self.book.never.set()
        self.assertEqual(self.running.wait(), 0)
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent))
        self.assertEqual(self.running.logged("starting anew"), 0)

    def test_what_has_changed_meanwhile_is_used(self):
        self.book.answer = lambda request: Reply(200, after=self.book.never)
        self.running.submit_all("p", ["a"])
        eventually("it is under way", lambda: self.book.entries("d"))
        self.reload(worker={"slots": 3})
        self.running.wait_for_line("stopping: finishing what is under way")
        self.reload(worker={"slots": 4})
        self.book.never.set()
        eventually("it has started anew twice", lambda: self.running.logged("ready http=") == 3)
        eventually("all slots are there", lambda: self.running.metrics().total("reseq_worker_slots") == 4)


if __name__ == "__main__":
    unittest.main()
