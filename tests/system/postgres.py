"""The journal on PostgreSQL, under load, while the server and the programs are killed: nothing is lost, nothing is out of
order, little comes again; and what it does while the server is away."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from book import check_book, file_entries
from client import Load, body_of, digest
from harness import FULL, SEED, SystemTest, Supervisor, free_port, pipeline, record_figure
from postgres_server import PostgresServer, programs, server_user
from redis_server import RedisServer
from waiting import PATIENCE_SECONDS, eventually

ROUNDS = 40 if FULL else 3
MAX_UNSAVED = 16
DOUBT = r"the commit that the connection broke in (happened|did not happen)"
IN_COMMIT = "SELECT pid FROM pg_stat_activity WHERE application_name = 'reseq' AND state = 'active' AND query ~* '^commit'"


class OnPostgres(SystemTest):
    def setUp(self):
        super().setUp()
        self.server = PostgresServer()
        self.addCleanup(self.server.close)
        self.store = {"kind": "postgres", "postgres": self.server.create_database("journal"), "redis": ""}
        self.book = self.receiver()
        self.moment = threading.Event()  # never set

    def start(self, destinations: list, **tables) -> Supervisor:
        work = {"use": "delay", "min": "1ms", "max": "8ms"}
        return self.supervisor(self.config([pipeline("p", destinations, [work])], store=self.store, **tables))

    def http_destination(self) -> dict:
        return {"name": "http", "url": self.book.url(), "max_unsaved": MAX_UNSAVED}

    def journal(self, statement: str) -> list:
        return self.server.sql(statement, "journal")


class UnderLoad(OnPostgres):
    """Producers that do not give up, a receiver and a file."""

    def start_under_load(self, *more_destinations: dict) -> None:
        self.file = self.path("out.jsonl")
        to_file = {"name": "file", "url": f"file://{self.file}", "max_unsaved": MAX_UNSAVED, "batch": 4}
        self.running = self.start([self.http_destination(), to_file, *more_destinations], worker={"slots": 4})
        self.load = Load(lambda: self.running.http, "p", SEED)
        self.addCleanup(self.load.stop)

    def let_some_arrive(self, count: int) -> None:
        wanted = len(self.book.confirmed()) + count
        eventually(f"{wanted} deliveries have arrived", lambda: len(self.book.confirmed()) >= wanted)
        self.moment.wait(self.random.uniform(0, 0.02))

    def check(self, sent: dict) -> None:
        for name in ("http", "file"):
            eventually(f"{name} has accepted all", lambda: self.running.destination("p", name)["accepted"] >= len(sent))
            accepted = self.running.destination("p", name)["accepted"]
            self.assertEqual(accepted, len(sent), f"{name}: other messages were accepted than have receipts")
            self.running.wait_until_settled("p", name, accepted, 60)
        self.assertEqual(self.running.stop(), 0)
        positions = sorted(receipt.position for receipt in self.load.receipts.values())
        self.assertEqual(positions, list(range(1, len(positions) + 1)), "positions are not dense and unique")
        entries = self.book.entries("http")
        self.assert_nothing_wrong(check_book(entries, sent, max_unsaved=MAX_UNSAVED))
        lines = file_entries(self.file)
        self.assertEqual([line.sequence for line in lines], list(range(1, len(sent) + 1)))
        self.assert_nothing_wrong(check_book(lines, sent))
        print(f"      seed {SEED}: {len(sent)} messages, {len(entries) - len(sent)} delivered again", flush=True)


class Kills(UnderLoad):
    def setUp(self):
        super().setUp()
        self.start_under_load()

    def test_nothing_is_lost_doubled_or_out_of_order_whatever_is_killed(self):
        victims = [self.kill_supervisor, self.kill_committing_backend, self.stop_at_once, self.kill_server] * ROUNDS
        victims += [self.terminate_committing_backend, self.kill_committing_backend] * ROUNDS
        self.random.shuffle(victims)
        for victim in victims:
            self.let_some_arrive(self.random.randrange(5, 40))
            victim()
        self.let_some_arrive(20)
        sent = self.load.stop()
        self.check(sent)
        doubts = sum(one.logged(DOUBT) for one in self.programs)
        happened = sum(one.logged(DOUBT.replace("|did not happen", "")) for one in self.programs)
        self.assertGreater(doubts, 0, "no commit was in doubt: this run has proved nothing about them")
        record_figure(f"PostgreSQL: commits in doubt, of them done, over {len(victims)} kills", f"{doubts}, {happened}")

    def kill_supervisor(self) -> None:
        self.running.kill()
        self.running = self.restart(self.running)

    def kill_committing_backend(self) -> None:
        """Which makes the server start all of them again."""
        self.server.kill_backend(IN_COMMIT, "journal")

    def terminate_committing_backend(self) -> None:
        eventually("a backend that commits is ended",
                   lambda: self.journal(f"SELECT pg_terminate_backend(pid) FROM ({IN_COMMIT}) AS found LIMIT 1"))

    def stop_at_once(self) -> None:
        self.server.stop(signal.SIGQUIT)
        self.server.start()

    def kill_server(self) -> None:
        self.server.stop(signal.SIGKILL)
        self.server.start()


class Away(OnPostgres):
    def test_while_the_server_is_away_producers_are_told_so_at_once_and_then_everything_goes_on(self):
        running = self.start([self.http_destination()])
        sent = running.submit_all("p", [f"before-{number}" for number in range(20)])
        running.wait_until_settled("p", "http", 20)
        self.server.stop(signal.SIGINT)
        eventually("it is noticed", lambda: running.submit("p", b"x", "noticed").status == 503)
        started, busy = time.monotonic(), self.busy_seconds(running)
        for number in range(50):
            refused = running.submit("p", b"x", f"refused-{number}")
            self.assertEqual(refused.status, 503, refused.body)
            self.assertTrue(refused.headers["Retry-After"])
            self.assertIn("is away", refused.json()["detail"])
        self.assert_says_that_the_journal_is_away(running)
        self.assertLess(time.monotonic() - started, 5, "50 refusals waited for something")
        self.assertLess(self.busy_seconds(running) - busy, 1, "something spins")
        self.server.start()
        eventually("it is seen to be back", lambda: running.request("GET", "/readyz").status == 200)
        self.assertEqual(running.metrics().total("reseq_journal_writable"), 1)
        self.assertIsNone(running.get("/v1/pipelines/p")["journal"])
        sent |= running.submit_all("p", ["back", "after"])
        running.wait_until_settled("p", "http", len(sent))
        self.assert_nothing_wrong(check_book(self.book.entries("http"), sent))
        self.assertLessEqual(running.logged("nothing can be written"), 2, "a failure that lasts is logged once")
        self.assertGreater(running.logged("journal: works again"), 0)

    def assert_says_that_the_journal_is_away(self, running):
        """To those who decide where producers go, to people, and to Prometheus."""
        ready = running.request("GET", "/readyz")
        self.assertEqual(ready.status, 503)
        self.assertIn("the journal cannot be written: ", ready.json()["detail"])
        self.assertEqual(running.metrics().total("reseq_journal_writable"), 0)
        self.assertIn("is away", running.get("/v1/pipelines/p")["journal"]["last_error"])
        self.assertTrue(running.ctl("why").startswith("The journal cannot be written, for "))
        for operation in ("destinations/http/pause", "held/retry", "messages/0:1/skip", "messages/0:1/retry"):
            answer = running.post(f"/v1/pipelines/p/{operation}")
            self.assertEqual(answer.status, 503, f"{operation} is promised, and nobody can record it")

    def test_a_server_that_hangs_is_told_of_as_well(self):
        """What it is committing waits for it; what waits behind that, and what comes then, is refused."""
        running = self.start([self.http_destination()])
        sent = running.submit_all("p", ["before"])
        ids, answers = [f"hung-{number}" for number in range(6)], {}

        def submit(message_id: str) -> None:
            answers[message_id] = running.submit("p", body_of(message_id), message_id)

        with self.server.hung():
            waiting = [threading.Thread(target=submit, args=(message_id,)) for message_id in ids]
            for one in waiting:
                one.start()
                running.get("/livez")
            eventually("it is not ready", lambda: running.request("GET", "/readyz").status == 503)
            self.assertIn("has been under way for", running.request("GET", "/readyz").json()["detail"])
            running.wait_for_line("error: journal: a commit has been under way for [0-9]+ s: its server or its disk does")
            self.assertIn("Cause: it hangs: its server", running.ctl("why"))
            eventually("what waits is refused", lambda: answers)
            started = time.monotonic()
            for number in range(10):
                submit(f"late-{number}")
            self.assertLess(time.monotonic() - started, 2, "a refusal waited for something")
            self.assertTrue(any(one.is_alive() for one in waiting), "what is being committed was answered")
        for one in waiting:
            one.join()
        for message_id, answer in answers.items():
            if answer.status == 202:
                sent[message_id] = digest(body_of(message_id))
            else:
                self.assertEqual(answer.status, 503, answer.body)
                self.assertTrue(answer.headers["Retry-After"])
                self.assertIn("journal: cannot be written: a commit has been under way", answer.json()["detail"])
        self.assertTrue("before" in sent and set(sent) < {"before", *ids}, sent)
        eventually("it is ready", lambda: running.request("GET", "/readyz").status == 200)
        running.wait_for_line("info: journal: what had been under way for so long has ended")
        self.assertEqual(running.logged("has been under way"), 1)
        sent |= running.submit_all("p", ["after"])
        running.wait_until_settled("p", "http", len(sent))
        self.assertEqual(running.destination("p", "http")["accepted"], len(sent), "what was refused was accepted")
        self.assert_nothing_wrong(check_book(self.book.entries("http"), sent))

    def test_while_somebody_keeps_a_pipelines_row_locked_producers_are_told_so_and_it_can_be_stopped(self):
        running = self.start([self.http_destination()])
        sent = running.submit_all("p", ["before"])
        running.wait_until_settled("p", "http", 1)
        with self.server.locked("SELECT number FROM reseq.shard FOR UPDATE", "journal"):
            self.assert_refused(running.submit("p", b"x", "first"))
            started = time.monotonic()
            for number in range(5):
                self.assert_refused(running.submit("p", b"x", f"refused-{number}"))
            self.assertLess(time.monotonic() - started, 5, "a refusal waited for the lock")
            self.assertEqual(running.request("GET", "/readyz").status, 503)
        eventually("it is ready", lambda: running.request("GET", "/readyz").status == 200)
        sent |= running.submit_all("p", ["after"])
        running.wait_until_settled("p", "http", len(sent))
        with self.server.locked("SELECT number FROM reseq.shard FOR UPDATE", "journal"):
            self.assert_refused(running.submit("p", b"x", "last"))
            started = time.monotonic()
            self.assertEqual(running.stop(), 0)
            self.assertLess(time.monotonic() - started, 5, "it waited for the lock")
            self.assertEqual(running.logged("took too long"), 0)
        self.assert_nothing_wrong(check_book(self.book.entries("http"), sent))

    def assert_refused(self, answer) -> None:
        self.assertEqual(answer.status, 503, answer.body)
        self.assertTrue(answer.headers["Retry-After"])
        self.assertIn("another session keeps locked what is needed", answer.json()["detail"])

    def test_it_ends_at_once_while_the_server_is_away(self):
        running = self.start([self.http_destination()])
        running.wait_until_settled("p", "http", len(running.submit_all("p", ["before"])))
        self.server.stop(signal.SIGINT)
        for number in range(3):
            self.assertEqual(running.submit("p", b"x", f"refused-{number}").status, 503)
        started = time.monotonic()
        self.assertEqual(running.stop(), 0)
        self.assertLess(time.monotonic() - started, 5, "it waited for the server")
        self.assertEqual(running.logged("took too long"), 0)

    @staticmethod
    def busy_seconds(program) -> float:
        with open(f"/proc/{program.pid}/stat", encoding="utf-8") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def test_a_journal_whose_role_lacks_a_privilege_is_away_until_it_is_given_back(self):
        self.server.sql("CREATE ROLE keeper LOGIN; GRANT CREATE ON DATABASE journal TO keeper", "postgres")
        self.store["postgres"] = self.server.url("journal").replace("user=reseq", "user=keeper")
        running = self.start([self.http_destination()])
        running.submit_all("p", ["before"])
        self.journal("ALTER SCHEMA reseq OWNER TO CURRENT_USER")
        for number in range(20):
            refused = running.submit("p", b"x", f"refused-{number}")
            self.assertEqual(refused.status, 503, refused.body)
            self.assertTrue(refused.headers["Retry-After"])
            self.assertIn("the role of store.postgres lacks a privilege", refused.json()["detail"])
        self.assertEqual(running.logged("nothing can be written"), 1)
        self.assertEqual(running.logged("connection broke"), 0)
        second = Supervisor(self.config([pipeline("q", [self.http_destination()])], store=self.store), self.folder)
        self.programs.append(second)
        self.assertEqual(second.wait(), 1)
        second.wait_for_line("cannot start: PostgreSQL: the role of store.postgres lacks a privilege")
        self.journal("ALTER SCHEMA reseq OWNER TO keeper")
        eventually("it is written again", lambda: running.request("GET", "/readyz").status == 200)
        running.submit_all("p", ["after"])
        running.wait_until_settled("p", "http", 2)

    def test_a_privilege_on_one_table_is_missing_until_it_is_given_back(self):
        """Commits that do not need it work meanwhile, which is no end of the trouble."""
        self.server.sql("CREATE ROLE keeper LOGIN; GRANT CREATE ON DATABASE journal TO keeper", "postgres")
        self.store["postgres"] = self.server.url("journal").replace("user=reseq", "user=keeper")
        running = self.start([self.http_destination()])
        running.submit_all("p", ["before"])
        running.wait_until_settled("p", "http", 1)
        self.journal("REVOKE INSERT ON reseq.message FROM keeper")
        refused = running.submit("p", b"x", "refused")
        self.assertEqual(refused.status, 503, refused.body)
        commits = running.metrics().total("reseq_commits_total")
        eventually("it was looked at more than once",
                   lambda: running.metrics().total("reseq_commits_total") > commits + 3)  # fmt: skip
        self.assertEqual(running.request("GET", "/readyz").status, 503)
        self.assertIn("lacks a privilege", running.get("/v1/pipelines/p")["journal"]["last_error"])
        self.assertEqual(running.logged("works again"), 0)
        self.assertEqual(running.logged("nothing can be written"), 1)
        self.journal("GRANT INSERT ON reseq.message TO keeper")
        eventually("it is written again", lambda: running.request("GET", "/readyz").status == 200)
        running.submit_all("p", ["after"])
        running.wait_until_settled("p", "http", 2)

    def test_a_server_that_cannot_be_reached_at_the_start_is_named_without_its_password(self):
        store = {"kind": "postgres", "postgres": "postgresql://u:hush@127.0.0.1:1/db"}
        config = self.config([pipeline("p", [self.http_destination()])], store=store)
        started = Supervisor(config, self.folder)
        self.programs.append(started)
        self.assertEqual(started.wait(), 1)
        started.wait_for_line("cannot start: PostgreSQL: cannot connect: .*127.0.0.1.*store.postgres")
        self.assertEqual(started.logged("hush"), 0)


class Poolers(OnPostgres):
    def test_one_that_pools_transactions_is_refused_and_one_that_pools_sessions_is_not(self):
        self.store["postgres"] = self.pooler("transaction")
        refused = self.starting_supervisor(self.config([pipeline("p", [self.http_destination()])], store=self.store))
        self.assertEqual(refused.wait(), 1)
        refused.wait_for_line("cannot start: store.postgres: a pooler .*pool_mode = session")
        self.assertEqual(self.journal("SELECT FROM pg_namespace WHERE nspname = 'reseq'"), [])
        self.store["postgres"] = self.pooler("session")
        running = self.start([self.http_destination()])
        running.submit_all("p", ["m"])
        running.wait_until_settled("p", "http", 1)

    def test_one_that_pools_statements_is_named(self):
        self.store["postgres"] = self.pooler("statement")
        refused = self.starting_supervisor(self.config([pipeline("p", [self.http_destination()])], store=self.store))
        self.assertEqual(refused.wait(), 1)
        refused.wait_for_line("cannot start: PostgreSQL: cannot connect: .*PgBouncer with pool_mode = statement")

    def test_while_one_pools_transactions_nothing_is_accepted_and_then_everything_goes_on(self):
        self.store["postgres"] = self.pooler("session")
        running = self.start([self.http_destination()])
        running.submit_all("p", ["before"])
        self.change_pooler("transaction")
        self.use_sessions(3)
        refused = eventually("it is noticed", lambda: self.refusal(running), seconds=20)
        self.assertEqual(refused.status, 503)
        self.assertTrue(refused.headers["Retry-After"])
        eventually("it is named", lambda: b"pool_mode = session" in running.request("GET", "/readyz").body)
        self.assertEqual({answer.status for answer in (running.submit("p", b"x", f"no-{n}") for n in range(5))}, {503})
        self.change_pooler("session")
        eventually("it is ready again", lambda: running.request("GET", "/readyz").status == 200)
        running.submit_all("p", ["after"])
        running.wait_until_settled("p", "http", running.destination("p", "http")["accepted"])
        running.wait_for_line("the writing connection broke: a pooler .*pool_mode = session")
        ids = [entry.message_id for entry in self.book.entries()]
        self.assertEqual((ids[0], ids[-1], len(ids)), ("before", "after", len(set(ids))))
        self.assertFalse([one for one in ids if one.startswith("no-")])

    @staticmethod
    def refusal(running: Supervisor):
        answer = running.submit("p", b"x")
        return answer if answer.status >= 300 else None

    def test_before_a_tables_database_one_that_pools_transactions_puts_nothing_into_another_table(self):
        self.server.create_database("books")
        names = ("first", "second")

        def start(mode: str) -> Supervisor:
            url = self.pooler(mode, "books")
            tables = [{"name": name, "url": f"{url}&table={name}", "retry_max": "200ms"} for name in names]
            return self.start([*tables, self.http_destination()])

        running = start("transaction")
        sent = {name: [] for name in names}
        noticed = re.compile("destination p/(first|second): failing, .*a pooler gives .*pool_mode = session")

        def notices_with_more() -> bool:
            name = self.random.choice(names)  # by turns, each could be given the same of two sessions again and again
            sent[name].append([f"{name}-{len(sent[name])}"])
            running.submit_all("p", sent[name][-1], **{"Reseq-Destinations": name})
            return any(map(noticed.search, running.lines))

        eventually("one has been given two sessions", notices_with_more)
        running.submit_all("p", ["other"], **{"Reseq-Destinations": "http"})
        running.wait_until_settled("p", "http", 1)
        self.assertEqual(running.stop(), 0)
        running = start("session")
        for name in names:
            running.wait_until_settled("p", name, len(sent[name]))
            found = self.server.sql(f"SELECT message_id FROM public.{name} ORDER BY sequence", "books")
            self.assertEqual(found, sent[name])

    def pooler(self, mode: str, database: str = "journal") -> str:
        """A PgBouncer before the database; says where it is."""
        self.pool = tempfile.mkdtemp(prefix="reseq-pooler-", dir=self.server.folder)
        os.chmod(self.pool, 0o777)
        path = self.configure_pooler(mode, database)
        command = ["pgbouncer", *(["-u", server_user()] if server_user() else []), path]
        made = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(made.wait)
        self.addCleanup(made.kill)
        there = f"{self.pool}/.s.PGSQL.6432"
        eventually("the pooler listens", lambda: os.path.exists(there) or made.poll() is not None)
        return self.pooled(database)

    def pooled(self, database: str) -> str:
        return f"postgresql:///{database}?host={self.pool}&port=6432&user=reseq"

    def configure_pooler(self, mode: str, database: str) -> str:
        path = os.path.join(self.pool, "pgbouncer.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"[databases]\n{database} = host={self.server.folder} dbname={database} user=reseq\n"
                       f"[pgbouncer]\nunix_socket_dir = {self.pool}\nlisten_addr =\nauth_type = any\n"
                       f"admin_users = reseq\npool_mode = {mode}\nlogfile = {self.pool}/log\n"
                       "min_pool_size = 2\nserver_round_robin = 1\n")  # fmt: skip
        return path

    def change_pooler(self, mode: str) -> None:
        """The one before the journal. Sessions that no transaction uses are other ones from then on."""
        self.configure_pooler(mode, "journal")
        psql = [os.path.join(programs(), "psql"), "-Xq", self.pooled("pgbouncer")]
        subprocess.run(psql, input="RELOAD;\nRECONNECT;\n", text=True, check=True, timeout=PATIENCE_SECONDS)

    def use_sessions(self, count: int) -> None:
        """So many transactions at once: afterwards the pooler has several sessions to choose from."""
        psql = [os.path.join(programs(), "psql"), "-XqtA", self.pooled("journal")]
        clients = [subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        for one in clients:
            one.stdin.write("BEGIN;\nSELECT 1;\n")
            one.stdin.flush()
            self.assertEqual(one.stdout.readline(), "1\n")
        for one in clients:
            one.communicate("COMMIT;\n", timeout=PATIENCE_SECONDS)


class Owners(OnPostgres):
    def test_a_second_supervisor_takes_over_and_the_first_steps_down(self):
        first = self.start([self.http_destination()])
        sent = first.submit_all("p", [f"first-{number}" for number in range(30)])
        first.wait_until_settled("p", "http", 30)
        cluster = {"listen": f"127.0.0.1:{free_port()}"}
        second = self.start([self.http_destination()], node={"name": "b"}, cluster=cluster)
        refused = None
        try:
            refused = first.submit("p", b"too late", "too-late")
        except OSError:
            pass  # it was gone before it could answer
        self.assertNotIn(getattr(refused, "status", 503), (200, 202))
        self.assertEqual(first.wait(), 3)
        first.wait_for_line("stepping down: .*a later owner has taken the shard over: node b, under epoch 2")
        second.wait_for_line("pipeline p is taken over from node a")
        self.assertEqual(first.logged("is taken over from"), 0)
        sent |= second.submit_all("p", [f"second-{number}" for number in range(30)])
        second.wait_until_settled("p", "http", len(sent))
        self.assert_nothing_wrong(check_book(self.book.entries("http"), sent, max_unsaved=MAX_UNSAVED))
        self.assertEqual(self.journal("SELECT owner, epoch FROM reseq.shard"), [["b", "2"]])
        self.assertEqual(second.stop(), 0)
        third = self.start([self.http_destination()], node={"name": "c"}, cluster=cluster)
        self.assertEqual(third.logged("is taken over from"), 0, "who has stopped is not taken from")

    def test_one_that_cannot_listen_does_not_stop_the_one_that_runs(self):
        for port in ("http", "cluster"):
            with self.subTest(port):
                taken = {port: {"listen": f"127.0.0.1:{free_port()}"}}
                running = self.start([self.http_destination()], **taken)
                both = [pipeline("p", [self.http_destination()])]
                second = self.starting_supervisor(self.config(both, store=self.store, node={"name": "b"}, **taken))
                self.assertEqual(second.wait(), 1)
                second.wait_for_line(f"{port}.listen: .*the address is in use")
                running.submit_all("p", [f"after-{port}"])
                self.assertEqual(running.stop(), 0)

    def test_of_two_that_start_at_once_one_is_left_and_has_everything(self):
        names = [f"p{number}" for number in range(6)]
        for attempt in range(20 if FULL else 4):
            both = [self.starts_with(name, names) for name in ("a", "b")]
            ended = eventually("one of them ends", lambda: self.one_that_has_ended(both, f"probe-{attempt}", names), 45)
            left = both[1 - both.index(ended)]
            self.assertEqual(ended.wait(), 3)
            left.wait_until_ready()
            for name in names:
                left.submit_all(name, [f"after-{attempt}"])
                left.wait_until_settled(name, "http", left.destination(name, "http")["accepted"])
            self.assertEqual(left.stop(), 0)
        self.assertEqual(self.journal("SELECT count(DISTINCT owner) FROM reseq.shard"), [["1"]])

    def starts_with(self, name: str, pipelines: list) -> Supervisor:
        made = [pipeline(each, [self.http_destination()]) for each in pipelines]
        self.random.shuffle(made)
        return self.starting_supervisor(self.config(made, store=self.store, node={"name": name}, worker={"slots": 1}))

    @staticmethod
    def one_that_has_ended(both: list, probe: str, pipelines: list):
        """Whom nobody asks for anything notices it only after a while."""
        for one in both:
            if not one.running():
                return one
            if one.logged("ready http="):
                one.wait_until_ready()
                with contextlib.suppress(OSError):
                    for name in pipelines:
                        one.submit(name, body_of(probe), probe)
        return None

    def test_one_that_was_paused_sends_no_more_than_what_was_under_way(self):
        first = self.start([self.http_destination()])
        self.assertEqual(first.post("/v1/pipelines/p/destinations/http/pause").status, 200)
        sent = first.submit_all("p", [f"m{number}" for number in range(150)])
        eventually("all are ready", lambda: first.destination("p", "http")["ready"] == len(sent))
        self.assertEqual(first.post("/v1/pipelines/p/destinations/http/resume").status, 200)
        eventually("some have arrived", lambda: len(self.book.confirmed()) >= 20)
        first.signal(signal.SIGSTOP)
        paused = time.monotonic()
        cluster = {"listen": f"127.0.0.1:{free_port()}"}
        second = self.start([self.http_destination()], node={"name": "b"}, cluster=cluster)
        eventually("the other delivers", lambda: any(entry.epoch == 2 for entry in self.book.entries("http")))
        eventually("what was known before the pause counts no more", lambda: time.monotonic() - paused > 1.1)
        first.signal(signal.SIGCONT)
        self.assertEqual(first.wait(), 3)
        second.wait_until_settled("p", "http", len(sent))
        entries = self.book.entries("http")
        taken_over = [entry.epoch for entry in entries].index(2)
        late = [entry for entry in entries[taken_over:] if entry.epoch == 1]
        self.assertLessEqual(len(late), 1)
        in_time = [entry for entry in entries if entry not in late]
        self.assert_nothing_wrong(check_book(in_time, sent, max_unsaved=MAX_UNSAVED))

    def test_an_owner_that_is_stopped_in_the_middle_of_a_commit_does_not_keep_others_out(self):
        self.journal("ALTER DATABASE journal SET commit_delay = 0")  # or it is hardly ever in what comes before a COMMIT
        first = self.start([self.http_destination()])
        owner = [first]
        load = Load(lambda: owner[-1].http, "p", SEED)
        self.addCleanup(load.stop)
        in_transaction = "SELECT pid FROM pg_stat_activity WHERE application_name = 'reseq' AND state LIKE 'idle in%'"

        def stopped_inside() -> list:
            self.moment.wait(self.random.uniform(0, 0.005))
            first.signal(signal.SIGSTOP)
            found = self.journal(in_transaction)
            if not found:
                first.signal(signal.SIGCONT)
            return found

        eventually("it is stopped in a transaction", stopped_inside)
        cluster = {"listen": f"127.0.0.1:{free_port()}"}
        second = self.start([self.http_destination()], node={"name": "b"}, cluster=cluster)
        owner.append(second)
        first.kill()
        sent = load.stop()
        second.wait_until_settled("p", "http", second.destination("p", "http")["accepted"])
        self.assert_nothing_wrong(check_book(self.book.entries("http"), sent, max_unsaved=MAX_UNSAVED))

    def test_an_owner_that_is_stopped_in_the_middle_of_a_tables_transaction_does_not_keep_others_out(self):
        url = self.server.create_database("books")
        self.server.sql("CREATE TABLE public.ledger (sequence bigint, position bigint, message_id text, key text, headers "
                        "jsonb, payload bytea, delivered_at timestamptz); CREATE FUNCTION public.wait() RETURNS trigger "
                        "LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN NULL; END'; CREATE TRIGGER wait AFTER "
                        "INSERT ON public.ledger FOR EACH STATEMENT EXECUTE FUNCTION public.wait()", "books")  # fmt: skip
        table = {"name": "table", "url": f"{url}&table=ledger", "batch": 16}
        first = self.start([table])
        owner = [first]
        load = Load(lambda: owner[-1].http, "p", SEED)
        self.addCleanup(load.stop)
        with_lock = "SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle in%' AND backend_xid IS NOT NULL"

        def stopped_inside() -> list:
            self.moment.wait(self.random.uniform(0, 0.02))
            first.signal(signal.SIGSTOP)
            self.moment.wait(0.05)  # until the server has done the statement
            found = self.server.sql(f"{with_lock} AND datname = 'books'", "books")
            if not found:
                first.signal(signal.SIGCONT)
            return found

        eventually("it is stopped in a transaction", stopped_inside)
        stopped = time.monotonic()
        cluster = {"listen": f"127.0.0.1:{free_port()}"}
        second = self.start([table], node={"name": "b"}, cluster=cluster)
        owner.append(second)
        first_of_second = second.destination("p", "table")["accepted"] + 1
        eventually("the other delivers", lambda: second.destination("p", "table")["settled"] >= first_of_second)
        self.assertLess(time.monotonic() - stopped, 20)  # else it waits for 40 s
        first.kill()
        load.stop()
        accepted = second.destination("p", "table")["accepted"]
        second.wait_until_settled("p", "table", accepted)
        rows = self.server.sql("SELECT sequence FROM public.ledger ORDER BY sequence", "books")
        self.assertEqual([int(row[0]) for row in rows], list(range(1, accepted + 1)))


class GoneBack(OnPostgres):
    def test_a_journal_that_lacks_what_it_had_confirmed_stops_its_pipeline_and_is_recovered_behind_that(self):
        table = {"name": "table", "url": self.server.create_database("books") + "&table=ledger"}
        running = self.start([self.http_destination(), table])
        sent = running.submit_all("p", [f"kept-{number}" for number in range(10)])
        saved = "SELECT watermark FROM reseq.progress"
        eventually("their progress is saved", lambda: self.journal(saved) == [["10"], ["10"]])
        with self.nobody_connected():
            self.administer("CREATE DATABASE copy TEMPLATE journal")
        eventually("it is ready again", lambda: running.request("GET", "/readyz").status == 200)
        sent |= running.submit_all("p", [f"lost-{number}" for number in range(10)])
        for name in ("http", "table"):
            running.wait_until_settled("p", name, len(sent))
        self.put_copy_back()
        refused = eventually("it is noticed", lambda: self.divergence(running))
        self.assertEqual(refused.status, 503)
        line = running.wait_for_line("pipeline p has diverged, and is stopped: the database has gone back in time")
        self.assertIn("position 20 was durable, now the last one is 10", line.string)
        self.assertEqual(running.destination("p", "http")["state"], "diverged")
        eventually("it is said to those who decide where producers go",
                   lambda: b"has diverged, and accepts nothing" in running.request("GET", "/readyz").body)
        self.assertIn("position 20 was durable", running.ctl("why"))
        self.assertEqual(self.journal("SELECT epoch FROM reseq.shard"), [["1"]], "something was changed")
        self.assertIn("http: 10 sequences, 11 to 20, would be recorded as lost", running.ctl("recover", "p"))
        self.assertEqual(self.journal("SELECT epoch FROM reseq.shard"), [["1"]], "a dry run changed something")
        self.assertIn("http: 10 sequences, 11 to 20, recorded as lost", running.ctl("recover", "p", "--yes"))
        running.wait_for_line("starting anew")
        eventually("it runs again", lambda: running.destination("p", "http")["state"] == "running")
        more = running.submit_all("p", [f"after-{number}" for number in range(5)])
        eventually("they are delivered", lambda: len(self.book.entries("http")) >= len(sent) + len(more))
        self.assertEqual([one.sequence for one in self.book.entries("http")], list(range(1, 26)))
        rows = "SELECT sequence FROM public.ledger ORDER BY sequence"
        wanted = [[str(number)] for number in range(1, 26)]
        eventually("the table has each once", lambda: self.server.sql(rows, "books") == wanted)
        self.assertEqual(running.stop(), 0)

    def test_nothing_is_opened_anew_while_another_pipeline_is_known_to_the_process_alone(self):
        both = [pipeline("p", [self.http_destination()]), pipeline("q", [{**self.http_destination(), "name": "other"}])]
        running = self.supervisor(self.config(both, store=self.store))
        with self.nobody_connected():
            self.administer("CREATE DATABASE copy TEMPLATE journal")
        eventually("it is ready again", lambda: running.request("GET", "/readyz").status == 200)
        for name, to in (("p", "http"), ("q", "other")):
            running.submit_all(name, [f"{name}-{number}" for number in range(10)])
            running.wait_until_settled(name, to, 10)
        self.put_copy_back()
        for name in ("p", "q"):
            eventually(f"{name} has diverged", lambda name=name: self.divergence(running, name))
        self.assertIn("1 to 10, recorded as lost", running.ctl("recover", "p", "--yes"))
        running.wait_for_line("pipeline p runs again once pipeline q is recovered, too")
        running.signal(signal.SIGHUP)
        running.wait_for_line("the configuration is not read again: pipeline q has diverged")
        self.assertEqual(running.logged("starting anew"), 0)
        self.assertIn("is recovered, and runs again", running.ctl_refusal("recover", "p", "--yes"))
        self.assertIn("1 to 10, recorded as lost", running.ctl("recover", "q", "--yes"))
        running.wait_for_line("starting anew")
        for name, to in (("p", "http"), ("q", "other")):
            eventually(f"{name} runs again", lambda name=name, to=to: running.destination(name, to)["state"] == "running")
            running.submit_all(name, [f"{name}-after"])
            eventually("it is delivered", lambda to=to: len(self.book.entries(to)) > 10)
            self.assertEqual([one.sequence for one in self.book.entries(to)], list(range(1, 12)))

    @staticmethod
    def divergence(running: Supervisor, name: str = "p"):
        answer = running.submit(name, b"x", "refused")
        return answer if b"has diverged" in answer.body else None

    def put_copy_back(self) -> None:
        with self.nobody_connected():
            self.administer("ALTER DATABASE journal RENAME TO later")
            self.administer("ALTER DATABASE copy RENAME TO journal")

    def administer(self, statement: str) -> None:
        self.server.sql(statement, "postgres")

    @contextlib.contextmanager
    def nobody_connected(self):
        """To what is called `journal` now, until this ends; then to what is called so by then."""
        self.administer("ALTER DATABASE journal ALLOW_CONNECTIONS false")
        self.administer("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'journal'")
        yield
        self.administer("ALTER DATABASE journal ALLOW_CONNECTIONS true")


class Settings(OnPostgres):
    def test_the_servers_take_what_conf_says_of_them_and_messages_go_through(self):
        conf = pathlib.Path(__file__).resolve().parents[2] / "conf" / "servers"
        self.server.stop(signal.SIGINT)
        self.server.configure((conf / "postgresql.conf").read_text())
        self.server.start()
        # The command line sets max_connections, which cannot be had in the file as well.
        wrong = "SELECT name, error FROM pg_file_settings WHERE error IS NOT NULL AND name <> 'max_connections'"
        self.assertEqual(self.server.sql(wrong, "postgres"), [])
        self.assertEqual(self.server.sql("SHOW min_wal_size", "postgres"), [["2GB"]])
        lanes = RedisServer("--include", str(conf / "redis.conf"))
        self.addCleanup(lanes.close)
        self.assertEqual(lanes.ask("CONFIG", "GET", "appendonly"), ["appendonly", "yes"])
        self.store["redis"] = lanes.url
        running = self.start([self.http_destination()], worker={"slots": 4})
        running.submit_all("p", [f"m{number}" for number in range(20)])
        running.wait_until_settled("p", "http", 20)
        self.assertEqual(running.stop(), 0)


class Reading(OnPostgres):
    def test_an_operator_reads_the_state_with_psql(self):
        running = self.start([self.http_destination()])
        answer = running.submit("p", "Grüße".encode(), "hello", {"Reseq-Key": "k", "Content-Type": "text/plain"})
        self.assertEqual(answer.status, 202)
        running.wait_until_settled("p", "http", 1)
        row = self.journal("SELECT position, id, enrolled, key, content_type, convert_from(payload, 'UTF8'), "
                           "accepted > now() - interval '1 minute' FROM reseq.message")  # fmt: skip
        self.assertEqual(row, [["1", "hello", "1:1", "k", "text/plain", "Grüße", "t"]])
        eventually(
            "progress is saved",
            lambda: self.journal("SELECT d.name, p.watermark FROM reseq.progress p JOIN reseq.destination d "
                                 "ON d.shard = p.shard AND d.id = p.destination") == [["http", "1"]],
        )  # fmt: skip
        steps = self.journal("SELECT version FROM reseq.migration ORDER BY version")
        self.assertEqual(steps, [[str(number)] for number in range(1, len(steps) + 1)])
        self.assertNotEqual(steps, [])


if __name__ == "__main__":
    unittest.main()
