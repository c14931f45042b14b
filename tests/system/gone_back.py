"""Tables, streams and journals that are restored from an older copy: each message is in the receivers once, and nobody
else notices."""

import re
import shutil
import signal
import unittest

from harness import SystemTest, pipeline
from postgres_server import PostgresServer
from redis_server import RedisServer
from waiting import eventually


STREAM_RECORD = "reseq:{ledger}:receiver:p:stream"


class GoneBack(SystemTest):
    def setUp(self):
        super().setUp()
        self.server = PostgresServer()
        self.addCleanup(self.server.close)
        self.redis = RedisServer()
        self.addCleanup(self.redis.close)
        self.server.create_database("books")
        self.other = self.receiver()
        self.submitted = 0

    def start(self, **tables):
        destinations = [{"name": "table", "url": f"{self.server.url('books')}&table=ledger"},
                        {"name": "stream", "url": f"{self.redis.url}?stream=ledger"},
                        {"name": "other", "url": self.other.url()}]  # fmt: skip
        soon = [{**one, "retry_max": "200ms"} for one in destinations]
        self.running = self.supervisor(self.config([pipeline("p", soon)], **tables))

    def submit(self, count: int) -> None:
        first = self.submitted + 1
        self.submitted += count
        self.running.submit_all("p", [f"m-{number}" for number in range(first, self.submitted + 1)])

    def wait_until_all_are_there(self, first: int = 1) -> None:
        """In the table from `first` on; each once, wherever it is."""
        wanted = list(range(first, self.submitted + 1))
        eventually("the table has them", lambda: self.rows()[-1:] == wanted[-1:])
        eventually("the stream has them", lambda: self.entries()[-1:] == wanted[-1:])
        eventually("the other has them", lambda: len(self.other.entries()) >= self.submitted)
        self.assertEqual(self.rows(), wanted)
        self.assertEqual(self.entries(), list(range(1, self.submitted + 1)))
        self.assertEqual(self.other.confirmed(), list(range(1, self.submitted + 1)))

    def wait_until_it_runs_anew(self) -> None:
        self.running.wait_for_line("starting anew")
        eventually("it runs again", lambda: self.running.logged(r"\bready\b") == 2)

    def rows(self) -> list:
        return [int(row[0]) for row in self.server.sql("SELECT sequence FROM public.ledger ORDER BY sequence", "books")]

    def entries(self) -> list:
        return [int(name.split("-")[0]) for name, _ in self.redis.ask("XRANGE", "ledger", "-", "+")]

    def back_up_table(self) -> None:
        self.server.sql("CREATE TABLE public.old_ledger AS TABLE public.ledger; "
                        "CREATE TABLE public.old_delivered AS TABLE reseq.delivered", "books")  # fmt: skip

    def restore_table(self) -> None:
        self.server.sql("BEGIN; TRUNCATE public.ledger, reseq.delivered; INSERT INTO public.ledger TABLE public.old_ledger; "
                        "INSERT INTO reseq.delivered TABLE public.old_delivered; COMMIT", "books")  # fmt: skip

    def back_up_journal(self) -> None:
        """While the supervisor is stopped."""
        shutil.copytree(self.path("data"), self.path("old"), ignore=shutil.ignore_patterns("high-water"))

    def restore_journal(self) -> None:
        shutil.rmtree(self.path("data"))
        shutil.move(self.path("old"), self.path("data"))

    def test_receivers_that_went_back_while_nobody_looked_get_what_followed_again(self):
        self.start()
        self.submit(12)
        self.wait_until_all_are_there()
        self.back_up_table()
        self.submit(18)
        self.wait_until_all_are_there()
        self.assertEqual(self.running.stop(), 0)
        self.restore_table()
        self.redis.ask("FLUSHALL")
        self.running = self.restart(self.running)
        self.running.wait_for_line("the receiver of destination table has gone back: the last that it has is sequence 12, "
                                   "message m-12, and sequence 30 was delivered there")  # fmt: skip
        self.submit(10)
        self.wait_until_all_are_there()

    def test_receivers_that_go_back_while_they_are_delivered_to_get_what_followed_again(self):
        self.start()
        self.submit(12)
        self.wait_until_all_are_there()
        self.back_up_table()
        self.submit(18)
        self.wait_until_all_are_there()
        self.restore_table()
        self.redis.ask("FLUSHALL")
        self.submit(1)
        self.wait_until_it_runs_anew()
        self.running.wait_for_line("warning: destination p/(table|stream): it lacks what was delivered to it: everything is ")
        self.wait_until_all_are_there()
        self.submit(10)
        self.wait_until_all_are_there()

    def test_a_stream_that_is_deleted_while_what_is_recorded_of_it_stays_gets_everything_again(self):
        self.start()
        self.submit(12)
        self.wait_until_all_are_there()
        self.redis.ask("DEL", "ledger")
        self.submit(1)
        self.wait_until_it_runs_anew()
        self.running.wait_for_line("destination p/stream: it lacks what was delivered to it: everything is opened anew")
        self.wait_until_all_are_there()

    def test_a_stream_that_is_trimmed_goes_on(self):
        self.start()
        self.submit(12)
        self.wait_until_all_are_there()
        self.redis.ask("XTRIM", "ledger", "MAXLEN", "0")
        self.submit(3)
        eventually("the stream has the new ones", lambda: self.entries() == [13, 14, 15])
        self.assertEqual(self.running.logged("opened anew"), 0)

    def test_a_receiver_that_went_back_too_far_waits_for_an_operator_who_is_told_what_is_lost(self):
        journal = self.server.create_database("journal")
        self.start(store={"kind": "postgres", "postgres": journal, "redis": self.redis.url})
        self.submit(5)
        self.wait_until_all_are_there()
        self.back_up_table()
        self.submit(25)
        self.wait_until_all_are_there()
        self.assertEqual(self.running.stop(), 0)
        self.server.sql("UPDATE reseq.shard SET forgotten_position = 9", "journal")  # as retention does
        self.restore_table()
        self.running = self.restart(self.running)
        self.running.wait_for_line("pipeline p has diverged, and is stopped: the receiver of destination table has gone back")
        self.assertEqual(self.running.submit("p", b"x", "refused").status, 503)
        self.assertIn("table: 4 sequences, 6 to 9, would be recorded as lost", self.running.ctl("recover", "p"))
        self.assertIn("table: 4 sequences, 6 to 9, recorded as lost", self.running.ctl("recover", "p", "--yes"))
        self.wait_until_it_runs_anew()
        self.submit(10)
        eventually("the table has them", lambda: self.rows()[-1:] == [40])
        self.assertEqual(self.rows(), [*range(1, 6), *range(10, 41)])
        eventually("the stream has them", lambda: self.entries() == list(range(1, 41)))

    def test_a_journal_that_went_back_behind_a_table_accepts_nothing_until_an_operator_lets_it(self):
        self.start()
        self.assertEqual(self.running.stop(), 0)
        self.back_up_journal()
        self.running = self.restart(self.running)
        self.submit(20)
        self.wait_until_all_are_there()
        self.assertEqual(self.running.stop(), 0)
        self.restore_journal()
        self.running = self.restart(self.running)
        self.running.wait_for_line("pipeline p has diverged, and is stopped: the receiver of destination (table|stream) is "
                                   "ahead of the journal: the last that it has is sequence 20, message m-20")  # fmt: skip
        refused = self.running.submit("p", b"x", "refused")
        self.assertEqual(refused.status, 503)
        self.assertIn("has diverged", refused.json()["detail"])
        ready = self.running.request("GET", "/readyz")
        self.assertEqual(ready.status, 503)
        self.assertRegex(ready.json()["detail"], "^pipeline p has diverged, and accepts nothing: the receiver of destin")
        self.assertEqual(self.running.metrics().by_label("reseq_diverged", "pipeline"), {"p": 1})
        self.assertIn("table: 20 sequences, 1 to 20, recorded as lost", self.running.ctl("recover", "p", "--yes"))
        self.wait_until_it_runs_anew()
        self.assertEqual(self.running.request("GET", "/readyz").status, 200)
        self.assertEqual(self.running.metrics().by_label("reseq_diverged", "pipeline"), {"p": 0})
        self.submit(10)
        self.wait_until_all_are_there()
        epochs = [entry.epoch for entry in self.other.entries()]
        self.assertEqual(epochs, sorted(epochs))

    def test_a_journal_that_went_back_and_on_while_a_table_was_away_loses_nothing_silently(self):
        self.start()
        self.assertEqual(self.running.stop(), 0)
        self.back_up_journal()
        self.running = self.restart(self.running)
        self.submit(20)
        self.wait_until_all_are_there()
        self.assertEqual(self.running.stop(), 0)
        self.restore_journal()
        self.server.stop(signal.SIGQUIT)
        self.redis.kill()
        for _ in range(2):  # it accepts twenty others, and forgets that it was given less at its first start
            self.running = self.restart(self.running)
            self.running.submit_all("p", [f"other-{number}" for number in range(20)])
            self.running.kill()
        self.running = self.restart(self.running)
        self.server.start()
        self.running.wait_for_line("pipeline p has diverged, and is stopped: the receiver of destination table has another "
                                   "history: the last that it has is sequence 20, message m-20, which is message other-19")  # fmt: skip
        self.wait_until_it_runs_anew()
        self.assertEqual(self.running.submit("p", b"x", "refused").status, 503)
        self.redis.start()
        self.assertIn("has diverged, and nothing of it is changed", self.running.ctl_refusal("retry", "p"))
        for command in (("why",), ("recover", "p"), ("recover", "p", "--yes")):
            with self.subTest(command):
                self.assert_says_how_to_begin_anew(*command)
        self.assertEqual(self.running.stop(), 0)
        self.server.sql("TRUNCATE public.ledger; DELETE FROM reseq.delivered WHERE destination = 'table'", "books")
        self.redis.ask("DEL", "ledger", "reseq:{ledger}:receiver:p:stream")
        self.running = self.restart(self.running)
        eventually("the table has them", lambda: self.rows() == list(range(1, 21)))
        eventually("the stream has them", lambda: self.entries() == list(range(1, 21)))
        others = self.server.sql("SELECT count(*) FROM public.ledger WHERE message_id LIKE 'other-%'", "books")
        self.assertEqual(others, [["20"]])

    BELONGS = ("belongs to another installation: what is recorded of it is of journal [0-9a-f]{8}…, last written "
               "20..-..-.. ..:..:.. UTC")  # fmt: skip

    def assert_refused(self, running, *command: str) -> None:
        with self.assertRaisesRegex(AssertionError, self.BELONGS + r"(?s:.*)--take-over"):
            running.ctl(*command)

    def test_a_lost_journal_is_taken_for_another_installation_until_an_operator_says_that_it_is_gone(self):
        self.start()
        self.submit(20)
        self.wait_until_all_are_there()
        self.assertEqual(self.running.stop(), 0)
        shutil.rmtree(self.path("data"))
        self.running = self.restart(self.running)
        self.running.wait_for_line("pipeline p has diverged, and is stopped: the receiver of destination (table|stream) "
                                   + self.BELONGS)  # fmt: skip
        self.assertEqual(self.running.submit("p", b"x", "refused").status, 503)
        self.assertIn("--take-over", self.running.ctl("why"))
        self.assert_refused(self.running, "recover", "p")
        self.assert_refused(self.running, "recover", "p", "--yes")
        shown = self.running.ctl("recover", "p", "--take-over")
        self.assertIn("table: 20 sequences, 1 to 20, would be recorded as lost", shown)
        self.assertIn("`reseqctl recover p --take-over --yes`", shown)
        self.assert_refused(self.running, "recover", "p", "--yes")
        done = self.running.ctl("recover", "p", "--take-over", "--yes")
        self.assertIn("stream: 20 sequences, 1 to 20, recorded as lost", done)
        self.wait_until_it_runs_anew()
        self.assertEqual(self.running.request("GET", "/readyz").status, 200)
        self.submit(10)
        self.wait_until_all_are_there()

    def test_what_a_new_journal_accepted_before_it_was_compared_is_not_taken_for_delivered_when_it_takes_over(self):
        url = self.server.url("books")
        self.running = self.supervisor(self.config([pipeline("p", [{"name": "table", "url": f"{url}&table=ledger", "retry_max": "200ms"}])]))
        self.submit(5)
        eventually("the table has them", lambda: self.rows() == list(range(1, 6)))
        self.assertEqual(self.running.stop(), 0)
        shutil.rmtree(self.path("data"))
        self.server.sql("ALTER DATABASE books ALLOW_CONNECTIONS false", "postgres")
        self.running = self.restart(self.running)
        self.running.submit_all("p", ["late-1", "late-2"])
        self.server.sql("ALTER DATABASE books ALLOW_CONNECTIONS true", "postgres")
        self.running.wait_for_line("pipeline p has diverged, and is stopped: the receiver of destination table " + self.BELONGS)
        self.wait_until_it_runs_anew()
        for command in (("recover", "p", "--take-over"), ("recover", "p", "--take-over", "--yes")):
            self.assertIn("messages wait here under sequences 1 to 2", self.running.ctl_refusal(*command))
        self.assertEqual(self.running.stop(), 0)

        self.server.sql("DELETE FROM reseq.delivered", "books")
        self.running = self.supervisor(self.config([pipeline("p", [{"name": "table", "url": f"{url}&table=anew"}])]))
        ids = lambda: self.server.sql("SELECT message_id FROM public.anew ORDER BY sequence", "books")
        eventually("they are there", lambda: ids() == [["late-1"], ["late-2"]])

    def test_two_installations_of_one_name_do_not_take_each_others_records(self):
        self.start()
        self.submit(12)
        self.wait_until_all_are_there()
        url, stream = self.server.url("books"), f"{self.redis.url}?stream=ledger"
        others = [{"name": "table", "url": f"{url}&table=theirs"}, {"name": "stream", "url": stream}]
        for named in others:
            with self.subTest(named["name"]):
                config = self.config([pipeline("p", [named])], node={"data_dir": self.path("other-" + named["name"])})
                second = self.supervisor(config)
                second.wait_for_line(f"pipeline p has diverged, and is stopped: .* {named['name']} {self.BELONGS}")
                self.assert_refused(second, "recover", "p", "--yes")
                self.assertEqual(second.stop(), 0)
        self.submit(3)
        self.wait_until_all_are_there()
        self.assertEqual(self.running.stop(), 0)
        self.running = self.restart(self.running)
        self.submit(3)
        self.wait_until_all_are_there()
        self.assertEqual(self.running.request("GET", "/readyz").status, 200)

        second = self.restart(second)
        second.ctl("recover", "p", "--take-over", "--yes")
        self.running.submit_all("p", ["late"])
        self.running.wait_for_line("destination p/stream: it belongs to another installation now: everything is opened anew")
        self.running.wait_for_line("pipeline p has diverged, and is stopped: the receiver of destination stream " + self.BELONGS)
        self.assertEqual(self.entries(), list(range(1, 19)))

    def forget_records(self) -> None:
        self.server.sql("DELETE FROM reseq.delivered", "books")
        self.redis.ask("DEL", STREAM_RECORD)

    def test_records_that_are_lost_are_made_again_where_the_last_message_is_the_journals(self):
        self.start()
        self.submit(12)
        self.wait_until_all_are_there()
        self.forget_records()
        self.submit(3)
        self.wait_until_all_are_there()
        self.assertEqual(self.running.stop(), 0)
        self.forget_records()
        self.running = self.restart(self.running)
        self.submit(3)
        self.wait_until_all_are_there()
        self.assertEqual(self.running.logged("starting anew"), 0)
        journals = self.server.sql("SELECT last_sequence, journal <> '' FROM reseq.delivered", "books")
        self.assertEqual(journals, [["18", "t"]])

    def test_a_stream_without_a_record_or_the_last_message_is_nobodys_until_an_operator_says_whose(self):
        self.start()
        self.submit(12)
        self.wait_until_all_are_there()
        self.assertEqual(self.running.stop(), 0)
        self.redis.ask("DEL", STREAM_RECORD)
        self.redis.ask("XTRIM", "ledger", "MAXLEN", "0")
        self.running = self.restart(self.running)
        line = self.running.wait_for_line("pipeline p has diverged, and is stopped: the receiver of destination stream has messages "
                                          "up to sequence 12, and .* does not say whose they are. .*start again: HSET")  # fmt: skip
        self.assertIn(f"HSET {STREAM_RECORD} journal ", self.running.ctl("why"))
        self.assertIn("does not say whose they are", self.running.ctl_refusal("recover", "p", "--yes"))
        self.assertEqual(self.running.submit("p", b"x", "refused").status, 503)
        self.assertEqual(self.redis.ask("EXISTS", STREAM_RECORD), 0)
        self.assertEqual(self.running.stop(), 0)
        self.redis.ask(*re.search(r"start again: (HSET \S+ journal [^. ]+)", line.string)[1].split())
        self.running = self.restart(self.running)
        self.submit(3)
        eventually("the stream has them", lambda: self.entries() == [13, 14, 15])
        eventually("the table has them", lambda: self.rows() == list(range(1, 16)))

    def assert_says_how_to_begin_anew(self, *command: str) -> None:
        try:
            said = self.running.ctl(*command)
        except AssertionError as refused:
            said = str(refused)
        self.assertIn("No recovery mends that: empty the table and delete its row in reseq.delivered", said)
        self.assertNotIn("reseqctl held", said)

    def test_what_an_older_journal_accepted_while_its_table_was_away_is_not_taken_for_delivered(self):
        table = {"name": "table", "url": f"{self.server.url('books')}&table=ledger", "retry_max": "200ms"}
        self.running = self.supervisor(self.config([pipeline("p", [table])]))
        self.submit(5)
        eventually("the table has them", lambda: self.rows() == list(range(1, 6)))
        self.assertEqual(self.running.stop(), 0)
        self.back_up_journal()
        self.running = self.restart(self.running)
        self.submit(7)
        eventually("the table has them", lambda: self.rows() == list(range(1, 13)))
        self.assertEqual(self.running.stop(), 0)
        self.restore_journal()

        self.server.sql("ALTER DATABASE books ALLOW_CONNECTIONS false", "postgres")
        self.running = self.restart(self.running)
        self.running.submit_all("p", ["late-6", "late-7"])
        self.server.sql("ALTER DATABASE books ALLOW_CONNECTIONS true", "postgres")
        self.running.wait_for_line("pipeline p has diverged")
        self.wait_until_it_runs_anew()
        self.running.ctl("recover", "p", "--yes")
        eventually("it runs again", lambda: self.running.logged(r"\bready\b") == 3)
        eventually("it says so", lambda: "message m-6 under sequence 6, which is message late-6" in self.running.ctl("why"))
        self.assertEqual(self.rows(), list(range(1, 13)))

        self.server.sql("TRUNCATE public.ledger, reseq.delivered", "books")
        self.assertEqual(self.running.stop(), 0)
        self.running = self.restart(self.running)
        wanted = [[f"m-{number}"] for number in range(1, 6)] + [["late-6"], ["late-7"]]
        ids = lambda: self.server.sql("SELECT message_id FROM public.ledger ORDER BY sequence", "books")
        eventually("they are there", lambda: ids() == wanted)


if __name__ == "__main__":
    unittest.main()
