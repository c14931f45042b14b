"""A full disk: no receipt without durability, and everything goes on by itself once there is room."""

import os
import subprocess
import unittest

from book import check_book
from client import body_of, digest, receipt_of
from harness import SystemTest, pipeline
from waiting import eventually

MAX_UNSAVED = 16


class FullDisk(SystemTest):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("data"))
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", self.path("data")]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            self.skipTest("this needs a user who may mount")
        self.addCleanup(subprocess.run, ["umount", self.path("data")], check=True)
        self.addCleanup(self._end_programs)

    def test_a_full_disk_is_answered_with_507_and_all_goes_on_in_the_same_process_once_there_is_room(self):
        book = self.receiver()
        destinations = [{"name": "d", "url": book.url(), "max_unsaved": MAX_UNSAVED}]
        running = self.supervisor(self.config([pipeline("p", destinations)]))
        with open(self.path("data/others"), "wb") as others:
            others.write(bytes(2_000_000))
        sent = {}
        refused = self.submit_until_refused(running, sent)
        running.wait_for_line("No space left on device")
        # One that was refused together with progress may fit by itself, and then has a receipt for good reason.
        refused = self.submit_until_refused(running, sent)
        self.assertEqual(running.request("GET", "/livez").status, 200)


        os.remove(self.path("data/others"))
        eventually("it says that it can accept", lambda: running.request("GET", "/readyz").status == 200)
        receipt = receipt_of(eventually("there is room", lambda: self.taken(running.submit("p", refused[1], refused[0]))))
        self.assertEqual((receipt.duplicate, receipt.position), (False, len(sent) + 1))
        sent[refused[0]] = digest(refused[1])
        running.wait_until_settled("p", "d", len(sent))
        self.assertEqual(running.stop(), 0)
        self.assert_nothing_wrong(check_book(book.entries("d"), sent, max_unsaved=MAX_UNSAVED))

    def submit_until_refused(self, running, sent: dict) -> tuple:
        """What was accepted comes into `sent`; returns id and body of the one that was not."""
        while len(sent) < 1000:
            name = f"m{len(sent)}"
            body = body_of(name) + bytes(4000)
            answer = running.submit("p", body, name)
            if answer.status == 507:
                self.assertIn("full", answer.json()["detail"])
                return name, body
            self.assertFalse(receipt_of(answer).duplicate)
            sent[name] = digest(body)
        self.fail("the disk does not fill up")

    @staticmethod
    def taken(answer):
        return answer if answer.status != 507 else None


if __name__ == "__main__":
    unittest.main()
