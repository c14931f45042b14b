"""Connections that end in the middle of a commit, under load, the journal's and those to tables: done or not, and also
while the old backend still commits, each message is accepted once and is in each table once."""

import unittest

import postgres
from client import body_of, receipt_of
from commit_cutter import CommitCutter, Cut
from delivered_lines import check_ledger, rows_of
from harness import FULL, SEED, record_figure
from waiting import eventually

ROUNDS = 10 if FULL else 1
SUBMITTED_AGAIN = 1000 if FULL else 50  # at most
TRIES = 5
TABLES = {"near": "journal", "far": "books"}  # by their destinations: which database they are in


class CommitsCut(postgres.UnderLoad):
    def setUp(self):
        super().setUp()
        self.server.create_database("books")
        self.cutters = {name: self.cutter() for name in ("journal", *TABLES)}
        self.store["postgres"] = self.through("journal", "journal")
        shared = {"max_unsaved": postgres.MAX_UNSAVED, "batch": 4, "retry_max": "200ms"}
        tables = [{"name": name, "url": f"{self.through(name, database)}&table=ledger", **shared}
                  for name, database in TABLES.items()]  # fmt: skip
        self.owners_killed = 0
        self.start_under_load(*tables)

    def cutter(self) -> CommitCutter:
        made = CommitCutter(self.server.folder, f"m-{SEED}-".encode())
        self.addCleanup(made.close)
        return made

    def through(self, name: str, database: str) -> str:
        return self.cutters[name].through(self.server.url(database), self.server.folder)

    def test_each_message_is_there_once_whatever_becomes_of_a_commit_whose_connection_ends(self):
        cuts = [lambda name=name, how=how: self.cut(name, how) for name in self.cutters for how in Cut]
        cuts = [*cuts, self.kill_owner_in_commit] * ROUNDS
        self.random.shuffle(cuts)
        for cut in cuts:
            self.let_some_arrive(self.random.randrange(5, 30))
            cut()
        self.let_some_arrive(30)
        sent = self.load.stop()
        self.submit_again(sent)
        for name in TABLES:
            self.running.wait_until_settled("p", name, len(sent), 60)
        self.check(sent)
        for name, database in TABLES.items():
            self.check_table(name, database, sent)
        self.check_cuts()

    def cut(self, name: str, how: Cut) -> None:
        for _ in range(TRIES):
            if self.try_to_cut(self.cutters[name], how):
                return
        self.fail(f"seed {SEED}: no commit of {name} is {how.value}: this run has proved nothing")

    def try_to_cut(self, cutter: CommitCutter, how: Cut) -> bool:
        """Not if the server ends the session: the journal's owner has it ended when it has waited for a second."""
        done, broken_off = cutter.done[how], cutter.broken_off
        cutter.cut_next(how)
        if how is Cut.LATE:
            self.let_go_when_waited_for(cutter)
        eventually("a commit is cut", lambda: cutter.done[how] > done or cutter.broken_off > broken_off)
        return cutter.done[how] > done

    def let_go_when_waited_for(self, cutter: CommitCutter) -> None:
        old = eventually("a commit is kept back", cutter.kept_back)
        self.wait_until_waited_for(old)
        cutter.let_go()

    def kill_owner_in_commit(self) -> None:
        """The next owner comes while the one before still commits, and finds what that did."""
        for _ in range(TRIES):
            if self.try_to_kill_owner_in_commit(self.cutters["journal"]):
                self.owners_killed += 1
                return
        self.fail(f"seed {SEED}: no commit outlived its owner: this run has proved nothing")

    def try_to_kill_owner_in_commit(self, cutter: CommitCutter) -> bool:
        done = cutter.done[Cut.LATE]
        cutter.cut_next(Cut.LATE)
        old = eventually("a commit is kept back", cutter.kept_back)
        self.running.kill()
        next_owner = self.starting_supervisor(self.running.config)
        self.wait_until_waited_for(old)
        cutter.let_go()
        next_owner.wait_until_ready()
        self.running = next_owner
        return cutter.done[Cut.LATE] > done

    def wait_until_waited_for(self, old: int) -> None:
        """The client of that backend, or who comes after it, is back, and waits for its transaction to end."""
        waits = ("SELECT new.pid FROM pg_stat_activity AS old, pg_stat_activity AS new WHERE new.backend_start > "
                 f"old.query_start AND old.pid = {old} AND old.pid = ANY (pg_blocking_pids(new.pid))")  # fmt: skip
        eventually("somebody waits for it", lambda: self.journal(waits) or not self.is_there(old))

    def is_there(self, backend: int) -> bool:
        return bool(self.journal(f"SELECT pid FROM pg_stat_activity WHERE pid = {backend}"))

    def submit_again(self, sent: dict) -> None:
        for message_id in self.random.sample(sorted(sent), min(len(sent), SUBMITTED_AGAIN)):
            answer = self.running.submit("p", body_of(message_id), message_id)
            self.assertEqual(answer.status, 200, answer.body)
            again, first = receipt_of(answer), self.load.receipts[message_id]
            self.assertEqual((again.id, again.duplicate, again.position), (message_id, True, first.position))

    def check_table(self, name: str, database: str, sent: dict) -> None:
        self.assert_nothing_wrong(check_ledger(name, rows_of(self.server, database), sent, self.load.receipts))
        late = self.server.sql("SELECT sequence FROM (SELECT sequence, delivered_at < lag(delivered_at) OVER (ORDER BY "
                               "sequence) AS late FROM public.ledger) AS found WHERE late", database)  # fmt: skip
        self.assertEqual(late, [], f"{name}: these came after later ones")

    def check_cuts(self) -> None:
        happened, did_not = (sum(one.logged(f"the commit that the connection broke in {end}") for one in self.programs)
                             for end in ("happened", "did not happen"))  # fmt: skip
        done = self.cutters["journal"].done
        self.assertGreaterEqual(happened, done[Cut.UNHEARD] + done[Cut.LATE] - self.owners_killed)
        self.assertGreaterEqual(did_not, done[Cut.NEVER])
        for name, cutter in self.cutters.items():
            for how in Cut:
                self.assertGreaterEqual(cutter.done[how], ROUNDS, f"{name}: {how.value}")
                record_figure(f"PostgreSQL: commits cut, {name}, {how.value}", str(cutter.done[how]))
        again = sum(receipt.duplicate for receipt in self.load.receipts.values())
        record_figure("PostgreSQL: commits cut: messages whose first receipt was lost", str(again))


if __name__ == "__main__":
    unittest.main()
