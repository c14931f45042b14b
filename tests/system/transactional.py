"""Tables and streams as destinations, under load, while everything around them is killed: each message is there once."""

import signal
import threading
import unittest

from client import Load
from delivered_lines import check_ledger, entries_of, newest_entry, rows_of
from harness import FULL, SEED, SystemTest, pipeline, record_figure
from postgres_server import PostgresServer
from redis_server import RedisServer
from waiting import eventually

ROUNDS = 20 if FULL else 2
SUPERVISOR = ("reseq-supervisor",)
LEDGER = ("test-ledger", "supervisor")
IN_COMMIT = "SELECT pid FROM pg_stat_activity WHERE datname = 'books' AND state = 'active' AND query ~* '^commit'"


class Transactional(SystemTest):
    def setUp(self):
        super().setUp()
        self.server = PostgresServer()
        self.addCleanup(self.server.close)
        self.redis = RedisServer("--appendonly", "yes", "--appendfsync", "always")
        self.addCleanup(self.redis.close)
        self.moment = threading.Event()  # never set

    def start_all(self, journal: dict, database: str, batch: int, by_function: bool = False) -> None:
        """`journal` is the store; the table is in `database`."""
        table = {"name": "table", "url": self.server.url(database) + ("" if by_function else "&table=ledger")}
        stream = {"name": "stream", "url": f"{self.redis.url}?stream=ledger"}
        shared = {"max_unsaved": 16, "batch": batch, "retry_max": "200ms"}
        work = {"use": "delay", "min": "1ms", "max": "8ms"}
        self.database = database
        config = self.config([pipeline("p", [{**table, **shared}, {**stream, **shared}], [work])],
                             store=journal, worker={"slots": 16})  # fmt: skip
        self.running = self.supervisor(config, command=LEDGER if by_function else SUPERVISOR)
        self.load = Load(lambda: self.running.http, "p", SEED)
        self.addCleanup(self.load.stop)

    def table_sequence(self) -> int:
        try:
            return int(self.server.sql("SELECT coalesce(max(sequence), 0) FROM public.ledger", self.database)[0][0])
        except OSError:  # not created yet
            return 0

    def stream_sequence(self) -> int:
        return newest_entry(self.redis)

    def let_some_arrive(self, count: int) -> None:
        for name, sequence in (("table", self.table_sequence), ("stream", self.stream_sequence)):
            wanted = sequence() + count
            eventually(f"{name} has {count} more", lambda of=sequence, least=wanted: of() >= least)
        self.moment.wait(self.random.uniform(0, 0.02))

    def kill_supervisor(self) -> None:
        self.running.kill()
        self.running = self.restart(self.running)

    def kill_redis(self) -> None:
        self.redis.kill()
        self.redis.start()

    def kill_server(self) -> None:
        self.server.stop(signal.SIGKILL)
        self.server.start()

    def stop_server_at_once(self) -> None:
        self.server.stop(signal.SIGQUIT)
        self.server.start()

    def kill_committing_backend(self) -> None:
        """Which makes the server start all of them again."""
        self.server.kill_backend(IN_COMMIT.replace("books", self.database), self.database)

    def kill_all(self) -> None:
        self.running.kill()
        self.redis.kill()
        self.server.stop(signal.SIGKILL)
        self.server.start()
        self.redis.start()
        self.running = self.restart(self.running)

    def ordeal(self, what: str) -> None:
        victims = [self.kill_supervisor, self.kill_redis, self.kill_server, self.stop_server_at_once,
                   self.kill_committing_backend, self.kill_all] * ROUNDS  # fmt: skip
        self.random.shuffle(victims)
        for victim in victims:
            self.let_some_arrive(self.random.randrange(5, 30))
            victim()
        self.let_some_arrive(10)
        sent = self.load.stop()
        for name in ("table", "stream"):
            eventually(f"{name} has accepted all", lambda of=name: self.running.destination("p", of)["accepted"] >= len(sent))
            self.running.wait_until_settled("p", name, len(sent), 60)
        self.assertEqual(self.running.stop(), 0)
        for name, lines in (("table", rows_of(self.server, self.database)), ("stream", entries_of(self.redis))):
            self.assert_nothing_wrong(check_ledger(name, lines, sent, self.load.receipts))
        record_figure(f"{what}: messages, each once in table and stream, over {len(victims)} kills", str(len(sent)))

    def test_each_message_is_there_once_with_an_embedded_journal(self):
        self.server.create_database("books")
        self.start_all({"kind": "embedded"}, "books", 4)
        self.ordeal("Embedded journal")

    def test_each_message_is_there_once_with_the_journal_in_the_same_database(self):
        url = self.server.create_database("journal")
        self.start_all({"kind": "postgres", "postgres": url}, "journal", 1)
        self.ordeal("PostgreSQL journal")

    def test_a_function_that_writes_to_two_tables_does_so_once_for_each_message(self):
        self.server.create_database("books")
        self.server.sql("CREATE TABLE public.ledger (sequence bigint PRIMARY KEY, position bigint, message_id text, "
                        "headers jsonb, payload bytea); CREATE TABLE public.total (messages bigint, bytes bigint); "
                        "INSERT INTO public.total VALUES (0, 0)", "books")  # fmt: skip
        self.start_all({"kind": "embedded"}, "books", 4, by_function=True)
        self.ordeal("C++ function")
        counted = self.server.sql("SELECT messages, bytes FROM public.total", "books")
        self.assertEqual(counted, self.server.sql("SELECT count(*), sum(length(payload)) FROM public.ledger", "books"))


class Risk(SystemTest):
    def test_a_redis_that_may_lose_what_it_has_confirmed_is_told_of(self):
        redis = RedisServer("--appendonly", "no")
        self.addCleanup(redis.close)
        stream = {"name": "stream", "url": f"{redis.url}?stream=ledger"}
        running = self.supervisor(self.config([pipeline("p", [stream], [])]))
        running.submit_all("p", ["a", "b"])
        running.wait_until_settled("p", "stream", 2)
        running.wait_for_line("destination p/stream: its server may lose what it has confirmed when it ends: set `append")
        self.assertEqual(running.logged("may lose what it has confirmed"), 1)


if __name__ == "__main__":
    unittest.main()
