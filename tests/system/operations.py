"""What conf/ gives to operators does what it says: roles with no more rights than they need, queries that tell what is
stuck, units that systemd understands."""

import os
import re
import shutil
import subprocess
import unittest

from harness import GIVES_UP_SOON, SystemTest, pipeline
from postgres_server import PostgresServer, programs
from waiting import PATIENCE_SECONDS, eventually

CONF = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "conf")


class Database(SystemTest):
    def setUp(self):
        super().setUp()
        self.server = PostgresServer(bootstrap_user="admin")
        self.addCleanup(self.server.close)

    def psql(self, user: str, database: str, *arguments: str) -> subprocess.CompletedProcess:
        url = f"postgresql:///{database}?host={self.server.folder}&user={user}"
        return subprocess.run(
            [os.path.join(programs(), "psql"), "-XAF", "|", "-v", "ON_ERROR_STOP=1", *arguments, url],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip

    def make_roles(self) -> None:
        made = self.psql("admin", "postgres", "-v", "program_password=one", "-v", "reader_password=two",
                         "-f", os.path.join(CONF, "sql", "roles.sql"))  # fmt: skip
        self.assertEqual(made.returncode, 0, made.stderr)

    def start(self):
        self.book = self.receiver()
        destination = {"name": "billing", "url": self.book.url()}
        failing = [{"use": "delay", "min": "0ms", "max": "0ms", "fail_rate": 1.0}]
        url = f"postgresql:///reseq?host={self.server.folder}&user=reseq"
        return self.supervisor(self.config(
            [pipeline("p", [destination], failing, retry=GIVES_UP_SOON)],
            store={"kind": "postgres", "postgres": url, "redis": ""},
        ))  # fmt: skip

    def test_the_programs_role_is_enough_and_the_queries_tell_what_is_stuck(self):
        self.make_roles()
        running = self.start()
        running.submit_all("p", ["stuck-one", "two", "three"])
        running.wait_for_state("p", "billing", "held")
        eventually("all three are counted", lambda: "p|billing|3|0|3|0|f" in self.stuck())
        shown = self.stuck()
        self.assertRegex(shown, r"p\|billing\|1\|1\|stuck-one\|exhausted\|3\|[^|]*failed on purpose[^|]*\|")
        self.assertRegex(shown, r"p\|1\|a\|\d+\|t\|")
        running.post("/v1/pipelines/p/messages/0:1/skip")
        eventually("one is settled", lambda: "p|billing|3|1|2|0|f" in self.stuck())

    def test_a_destinations_role_needs_no_more_than_the_file_says(self):
        with open(os.path.join(CONF, "sql", "roles.sql"), encoding="utf-8") as file:
            grants = re.findall(r"^--   (.*)$", file.read().partition("-- A destination's role")[2], re.MULTILINE)
        self.server.create_database("books")
        for statement in ("CREATE ROLE filler LOGIN", "\n".join(grants)):
            self.server.sql(statement, "books")
        table = f"postgresql:///books?host={self.server.folder}&user=filler&table=ledger"
        running = self.supervisor(self.config([pipeline("p", [{"name": "ledger", "url": table}])]))
        running.submit_all("p", ["a", "b"])
        running.wait_until_settled("p", "ledger", 2)
        self.assertEqual(self.server.sql("SELECT message_id FROM ledger ORDER BY sequence", "books"), [["a"], ["b"]])

    def test_the_destinations_tables_in_the_file_are_those_that_the_program_makes(self):
        with open(os.path.join(CONF, "sql", "roles.sql"), encoding="utf-8") as file:
            grants = re.findall(r"^--   (.*)$", file.read().partition("-- A destination's role")[2], re.MULTILINE)
        self.server.sql("CREATE ROLE filler LOGIN", "postgres")
        made = []
        for database in ("by_hand", "by_itself"):
            self.server.create_database(database)
        self.server.sql("\n".join(grants), "by_hand")
        url = f"postgresql:///by_itself?host={self.server.folder}&user=admin&table=ledger"
        running = self.supervisor(self.config([pipeline("p", [{"name": "ledger", "url": url}])]))
        running.submit_all("p", ["a"])
        running.wait_until_settled("p", "ledger", 1)
        for database in ("by_hand", "by_itself"):
            made.append(self.server.sql(
                "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, reloptions::text "
                "FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE attnum > 0 AND relkind IN ('r', 'i') AND "
                "relnamespace::regnamespace::text IN ('reseq', 'public') ORDER BY 1, attnum", database,
            ))  # fmt: skip
        self.assertEqual(made[0], made[1])
        self.assertEqual({row[0] for row in made[0]} & {"ledger", "reseq.delivered"}, {"ledger", "reseq.delivered"})

    def stuck(self) -> str:
        """What the file's queries say to the reader."""
        asked = self.psql("reseq_reader", "reseq", "-t", "-f", os.path.join(CONF, "sql", "stuck.sql"))
        self.assertEqual((asked.returncode, asked.stderr), (0, ""))
        return asked.stdout

    def test_every_table_is_described(self):
        self.make_roles()
        self.start()
        with open(os.path.join(CONF, "sql", "README.md"), encoding="utf-8") as file:
            described = set(re.findall(r"^\| `(\w+)` \|", file.read(), re.MULTILINE))
        there = self.server.sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'reseq'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT relispartition", "reseq",
        )  # fmt: skip
        self.assertEqual(described - {"delivered"}, {row[0] for row in there})

    def test_the_reader_reads_and_changes_nothing(self):
        self.make_roles()
        running = self.start()
        running.submit_all("p", ["kept"])
        read = self.psql("reseq_reader", "reseq", "-tc", "SELECT id FROM reseq.message")
        self.assertEqual(read.stdout.strip(), "kept", read.stderr)
        for statement in ("DELETE FROM reseq.message", "UPDATE reseq.shard SET epoch = 9", "DROP TABLE reseq.held",
                          "CREATE TABLE reseq.mine ()", "CREATE TABLE public.mine ()"):  # fmt: skip
            refused = self.psql("reseq_reader", "reseq", "-c", statement)
            self.assertIn("permission denied" if "DROP" not in statement else "must be owner", refused.stderr)


class Units(unittest.TestCase):
    def test_systemd_starts_the_programs_again_however_often_they_end(self):
        for name in ("reseq-supervisor.service", "reseq-worker.service"):
            with open(os.path.join(CONF, "systemd", name), encoding="utf-8") as unit:
                lines = unit.read().splitlines()
            self.assertIn("StartLimitIntervalSec=0", lines, f"{name} stays down after five ends in ten seconds")
            self.assertTrue(any(line.startswith("Restart=") for line in lines), name)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not installed")
    def test_systemd_understands_the_units(self):
        for name in ("reseq-supervisor.service", "reseq-worker.service"):
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", os.path.join(CONF, "systemd", name)],
                                  capture_output=True, text=True, check=False)  # fmt: skip
            complaints = [line for line in done.stderr.splitlines()
                          if "reseq" in line and "is not executable" not in line]  # fmt: skip
            self.assertEqual(complaints, [])


if __name__ == "__main__":
    unittest.main()
