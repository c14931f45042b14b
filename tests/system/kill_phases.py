"""What the table of kills says: it must not count a phase that a kill did not hit."""

import unittest
from unittest import mock

from book import Entry
from client import Cut, Receipt
from phases import Phases, table, totals_of


def entry(sequence: int, epoch: int, at: float, answer: int = 200) -> Entry:
    return Entry(f"p/d/{sequence}", sequence, sequence - 1, epoch, 1, f"m{sequence}", sequence, "", 0, answer, at=at)


class KillPhases(unittest.TestCase):
    def setUp(self):
        """Killed at 10, at 20 and, while it starts, at 21; a worker at 15."""
        self.phases = Phases()
        with mock.patch("phases.time.monotonic", side_effect=[1, 10, 11, 15, 20, 20.5, 21, 22]):
            self.phases.started()
            self.phases.killed("supervisor", ended=True)
            self.phases.started()
            self.phases.killed("its own worker", ended=False)
            self.phases.killed("supervisor", ended=True)
            self.phases.started()
            self.phases.killed("supervisor while it starts", ended=True)
            self.phases.started()

    def found(self, cuts=(), receipts=None, entries=()) -> list:
        return self.phases.of(list(cuts), receipts or {}, list(entries))

    def test_a_kill_that_hit_nothing_counts_nothing(self):
        entries = [entry(1, 1, 9), entry(2, 2, 12), entry(3, 4, 23)]
        totals = totals_of(self.found(entries=entries))
        self.assertEqual(list(totals.values()), [0, 0, 0, 0, 1])

    def test_a_submission_that_was_cut_is_the_supervisors_kill_just_before(self):
        receipts = {"new": Receipt("new", False, 1), "old": Receipt("old", True, 2), "later": Receipt("later", False, 3)}
        cuts = [Cut(9.995, "new"), Cut(20.001, "old"), Cut(17.0, "later")]
        kills = self.found(cuts, receipts)
        self.assertEqual([kill.in_flight for kill in kills], [1, 0, 1, 0])
        self.assertEqual([kill.uncommitted for kill in kills], [1, 0, 0, 0])
        self.assertEqual([kill.unanswered for kill in kills], [0, 0, 1, 0])

    def test_of_a_submission_that_was_cut_twice_nobody_knows_when_it_was_durable(self):
        kills = self.found([Cut(10.0, "old"), Cut(20.0, "old")], {"old": Receipt("old", True, 2)})
        self.assertEqual([kill.in_flight for kill in kills], [1, 0, 1, 0])
        self.assertEqual([kill.unanswered for kill in kills], [0, 0, 0, 0])

    def test_deliveries_that_come_again_are_the_kill_that_ended_the_run_in_which_they_were_confirmed(self):
        entries = [entry(1, 1, 9), entry(2, 2, 12), entry(3, 2, 13), entry(4, 2, 14, 500), entry(3, 4, 23), entry(4, 4, 24)]
        self.assertEqual([kill.unsaved for kill in self.found(entries=entries)], [0, 0, 1, 0])

    def test_the_table_has_a_line_for_each_kind_of_victim_and_one_for_all(self):
        lines = table(self.found())
        self.assertEqual([line.split("  ")[0] for line in lines[1:]],
                         ["its own worker", "supervisor", "supervisor while it starts", "all"])  # fmt: skip


if __name__ == "__main__":
    unittest.main()
