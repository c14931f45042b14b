"""The lanes in Redis and the journal on PostgreSQL, under load, while Redis loses, forgets and brings back things and
both servers and the programs are killed: nothing is lost, nothing is out of order, and deliveries never wait for long."""

import signal
import threading
import time
import unittest
from collections import Counter

from book import check_book, check_book_by_key, file_entries
from client import Load
from harness import FULL, SEED, SystemTest, Supervisor, pipeline, record_figure
from postgres_server import PostgresServer
from redis_server import RedisServer
from reply_loser import ReplyLoser
from waiting import eventually

ROUNDS = 10 if FULL else 1
MAX_UNSAVED = 16
EVICTIONS = 50  # each takes something of a lane's, or the results, once in four times at least
RESULTS = "reseq:{p:0}:results"
PENDING = "reseq:{p:0}:lane:http:pending"


def key_of(message_id: str) -> str:
    return f"k{message_id[-1]}"


class OnBoth(SystemTest):
    def setUp(self):
        super().setUp()
        self.database = PostgresServer()
        self.addCleanup(self.database.close)
        self.redis = self.start_redis()
        self.addCleanup(self.redis.close)
        self.store = {
            "kind": "postgres", "postgres": self.database.create_database("journal"), "redis": self.redis.url,
            "keep_results_over": "0ms",
        }  # fmt: skip
        self.book = self.receiver()

    def start_redis(self):
        """That of the lanes."""
        return RedisServer()

    def start(self, destinations: list, work: dict = None, **tables) -> Supervisor:
        work = work or {"use": "delay", "min": "1ms", "max": "8ms"}
        return self.supervisor(self.config([pipeline("p", destinations, [work])], store=self.store, **tables))

    def http_destination(self) -> dict:
        return {"name": "http", "url": self.book.url(), "max_unsaved": MAX_UNSAVED}


class UnderLoad(OnBoth):
    """Producers that do not give up, and three destinations, of which one has order by key."""

    def start_under_load(self, *more_destinations: dict) -> None:
        self.file = self.path("out.jsonl")
        to_file = {"name": "file", "url": f"file://{self.file}", "max_unsaved": MAX_UNSAVED, "batch": 4}
        by_key = {"name": "keys", "url": self.book.url("keys"), "order": "key", "connections": 4, "window": 64,
                  "max_unsaved": MAX_UNSAVED}  # fmt: skip
        destinations = [self.http_destination(), to_file, by_key, *more_destinations]
        self.running = self.start(destinations, worker={"slots": 4})
        self.load = Load(lambda: self.running.http, "p", SEED, key_of=key_of)
        self.addCleanup(self.load.stop)
        self.moment = threading.Event()  # never set
        self.rebuilds = Counter()

    def let_some_arrive(self, count: int) -> None:
        wanted = len(self.book.confirmed()) + count
        eventually(f"{wanted} deliveries have arrived", lambda: len(self.book.confirmed()) >= wanted)
        self.moment.wait(self.random.uniform(0, 0.02))

    def kill_supervisor(self) -> None:
        self.count_rebuilds()
        self.running.kill()
        self.running = self.restart(self.running)

    def evict_some(self, redis: RedisServer) -> None:
        redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        evicted = redis.info("stats", "evicted_keys")

        def is_evicting() -> bool:
            redis.ask("CONFIG", "SET", "maxmemory", str(redis.info("memory", "used_memory") - 1))
            return redis.info("stats", "evicted_keys") > evicted

        eventually("Redis evicts something", is_evicting)
        self.let_some_arrive(5)
        redis.ask("CONFIG", "SET", "maxmemory", "0")

    def wait_until_followed(self) -> None:
        """Redis has lanes again, and they move."""
        eventually("the lanes are told anew", lambda: self.redis.ask("EXISTS", "reseq:{p:0}:shard") == 1)
        before = self.redis.ask("HGET", "reseq:{p:0}:shard", "lane:http")
        eventually("the lane moves", lambda: self.redis.ask("HGET", "reseq:{p:0}:shard", "lane:http") != before)

    def count_rebuilds(self) -> None:
        self.rebuilds.update(self.running.metrics().by_label("reseq_lane_rebuilds_total", "reason"))

    def check(self, sent: dict) -> None:
        for name in ("http", "file", "keys"):
            eventually(f"{name} has accepted all", lambda: self.running.destination("p", name)["accepted"] >= len(sent))
            self.running.wait_until_settled("p", name, len(sent), 60)
        entries = self.book.entries("http")
        self.assert_nothing_wrong(check_book(entries, sent, max_unsaved=MAX_UNSAVED))
        lines = file_entries(self.file)
        self.assertEqual([line.sequence for line in lines], list(range(1, len(sent) + 1)))
        self.assert_nothing_wrong(check_book(lines, sent))
        keyed = {message_id: (key_of(message_id), digest) for message_id, digest in sent.items()}
        self.assert_nothing_wrong(check_book_by_key(self.book.entries("keys"), keyed, max_unsaved=MAX_UNSAVED))
        eventually("no result is kept for ever", lambda: self.redis.ask("HLEN", RESULTS) == 0)
        for lane in (PENDING, PENDING.replace("http", "keys"), PENDING.replace("http:pending", "keys:ready")):
            eventually(f"nothing is in {lane} for ever", lambda lane=lane: self.redis.ask("ZCARD", lane) == 0)
        print(f"      seed {SEED}: {len(sent)} messages, {len(entries) - len(sent)} delivered again", flush=True)


class Faults(UnderLoad):
    def setUp(self):
        super().setUp()
        self.loser = ReplyLoser(self.redis.socket_path, self.folder, PENDING.encode())
        self.addCleanup(self.loser.close)
        self.store["redis"] = f"unix://{self.loser.path}"
        self.start_under_load()

    def test_nothing_is_lost_doubled_or_out_of_order_whatever_becomes_of_redis(self):
        victims = [
            self.kill_redis, self.flush_all, self.flush_scripts, self.set_back, self.evict, self.stop_redis,
            self.lose_answer, self.kill_supervisor, self.kill_both_servers,
        ] * ROUNDS  # fmt: skip
        self.random.shuffle(victims)
        for victim in victims:
            self.let_some_arrive(self.random.randrange(10, 40))
            victim()
        self.let_some_arrive(30)
        sent = self.load.stop()
        self.check(sent)
        self.count_rebuilds()
        for reason in ("version", "silence"):
            self.assertGreater(self.rebuilds[reason], 0, f"no lane was rebuilt ({reason}): this run has proved nothing")
        self.assertGreaterEqual(self.loser.lost, ROUNDS, "no answer was lost: this run has proved nothing")
        record_figure("Redis: answers that were really lost", str(self.loser.lost))
        record_figure(f"Redis: lanes told anew, by why, over {len(victims)} faults",
                      ", ".join(f"{reason} {count:.0f}" for reason, count in sorted(self.rebuilds.items())))  # fmt: skip

    def kill_redis(self) -> None:
        self.redis.kill()
        self.let_some_arrive(10)  # without it
        self.redis.start()
        self.wait_until_followed()

    def flush_all(self) -> None:
        self.redis.ask("FLUSHALL")

    def flush_scripts(self) -> None:
        self.redis.ask("SCRIPT", "FLUSH")

    def set_back(self) -> None:
        """As a replica is that is promoted and lacks what was written last."""
        self.redis.ask("SAVE")
        self.let_some_arrive(20)
        self.redis.kill()
        self.redis.start()
        self.wait_until_followed()

    def evict(self) -> None:
        """Which keys go is up to chance: until it was one of a lane's, or the results."""
        before = self.lost_contents()
        for _ in range(EVICTIONS):
            self.evict_some(self.redis)
            self.wait_until_followed()
            if self.lost_contents() > before:
                return
        self.fail(f"seed {SEED}: no lane has lost its contents, nor were results lost: this run has proved nothing")

    def lost_contents(self) -> float:
        rebuilds = self.running.metrics().by_label("reseq_lane_rebuilds_total", "reason")
        return rebuilds.get("contents", 0) + rebuilds.get("results", 0)

    def stop_redis(self) -> None:
        self.redis.signal(signal.SIGSTOP)
        self.let_some_arrive(20)
        self.redis.signal(signal.SIGCONT)
        self.wait_until_followed()

    def lose_answer(self) -> None:
        """Redis is there, and has done what it was asked: only what it released did not get back."""
        lost, silent = self.loser.lost, self.silent()
        self.loser.lose_next()
        eventually("an answer is lost", lambda: self.loser.lost > lost)
        eventually("the lanes are told anew for it", lambda: self.silent() > silent)
        self.wait_until_followed()

    def silent(self) -> float:
        return self.running.metrics().by_label("reseq_lane_rebuilds_total", "reason").get("silence", 0)

    def kill_both_servers(self) -> None:
        self.redis.kill()
        self.database.stop(signal.SIGKILL)
        self.redis.start()
        self.database.start()
        self.wait_until_followed()


class Away(OnBoth):
    def test_without_redis_everything_is_delivered_and_its_absence_is_logged_once(self):
        self.redis.kill()
        running = self.start([self.http_destination()])
        sent = running.submit_all("p", [f"alone-{number}" for number in range(50)])
        running.wait_until_settled("p", "http", len(sent))
        self.assert_nothing_wrong(check_book(self.book.entries("http"), sent))
        self.assertEqual(running.logged("deliveries go on without it"), 1)
        self.redis.start()
        running.wait_for_line("Redis answers again")

    def test_a_redis_that_cannot_be_reached_at_the_start_is_named_without_its_password(self):
        self.redis.kill()
        self.store["redis"] = self.redis.url.replace("://", "://:hidden@")
        running = self.start([self.http_destination()])
        named = running.wait_for_line("warning: pipeline p: Redis cannot be used: .*([Rr]efused|No such file)")
        self.assertNotIn("hidden", named.string)
        running.wait_for_line("info: reseq .*, journal in PostgreSQL at ")
        running.wait_until_settled("p", "http", 0)

    def test_a_redis_that_does_not_answer_holds_a_delivery_up_for_no_longer_than_twice_the_timeout(self):
        self.store["redis_timeout"] = "300ms"
        running = self.start([self.http_destination()])
        running.submit_all("p", ["before"])
        running.wait_until_settled("p", "http", 1)
        self.redis.signal(signal.SIGSTOP)
        started = time.monotonic()
        running.submit_all("p", ["while-it-hangs"])
        eventually("it is delivered", lambda: len(self.book.confirmed()) == 2)
        self.assertGreater(time.monotonic() - started, 0.25, "nothing waited for Redis: this has proved nothing")
        self.assertLess(time.monotonic() - started, 5)
        self.redis.signal(signal.SIGCONT)


class Takeover(OnBoth):
    def test_expensive_work_is_not_done_again_after_the_supervisor_is_killed(self):
        self.book.answer = lambda request: 503
        self.store["keep_results_over"] = "50ms"
        running = self.start([self.http_destination()], {"use": "delay", "min": "60ms", "max": "100ms"})
        sent = running.submit_all("p", [f"dear-{number}" for number in range(20)])
        eventually("all results are kept", lambda: self.redis.ask("HLEN", RESULTS) == len(sent))
        running.kill()
        self.book.answer = lambda request: 200
        after = self.restart(running)
        after.wait_until_settled("p", "http", len(sent))
        self.assert_nothing_wrong(check_book(self.book.entries("http"), sent, max_unsaved=MAX_UNSAVED))
        self.assertEqual(after.metrics().total("reseq_results_adopted_total"), len(sent))
        self.assertEqual(after.metrics().total("reseq_dispatches_total"), 0, "work was done again")
        eventually("the results are deleted", lambda: self.redis.ask("HLEN", RESULTS) == 0)

    def test_results_of_cheap_work_are_not_kept(self):
        self.book.answer = lambda request: 503
        self.store["keep_results_over"] = "10s"
        running = self.start([self.http_destination()])
        running.submit_all("p", ["cheap"])
        eventually("it is ready", lambda: self.redis.ask("ZCARD", "reseq:{p:0}:lane:http:pending") == 0)
        self.assertEqual(self.redis.ask("HLEN", RESULTS), 0)


class Reading(OnBoth):
    def test_an_operator_reads_the_lanes_with_redis_cli(self):
        running = self.start([self.http_destination()], {"use": "delay", "min": "1h", "max": "1h"})
        running.submit_all("p", ["one", "two", "three"])
        eventually("they are pending", lambda: self.redis.ask("ZRANGE", PENDING, "0", "-1") == ["1", "2", "3"])
        self.assertIn("version=1", self.redis.ask("HGET", "reseq:{p:0}:shard", "lane:http"))
        self.assertEqual(self.redis.ask("HGET", "reseq:{p:0}:shard", "epoch"), "1")

    def test_and_what_is_in_the_window_with_order_by_key(self):
        self.book.answer = lambda request: 503 if request.headers["Reseq-Key"] == "slow" else 200
        running = self.start([{**self.http_destination(), "order": "key", "connections": 4}])
        for message, key in (("one", "slow"), ("two", "a"), ("three", "slow"), ("four", "b")):
            running.submit_all("p", [message], **{"Reseq-Key": key})
        ready = PENDING.replace("pending", "ready")
        for where in (PENDING, ready):
            eventually("two remain", lambda where=where: self.redis.ask("ZRANGE", where, "0", "-1") == ["1", "3"])
        self.book.answer = lambda request: 200
        running.wait_until_settled("p", "http", 4)
        for where in (PENDING, ready):
            eventually("nothing remains", lambda where=where: self.redis.ask("EXISTS", where) == 0)
        self.assertEqual(running.metrics().total("reseq_lane_rebuilds_total"), 0)


class Divergence(OnBoth):
    def test_a_journal_that_has_gone_backwards_stops_the_shard(self):
        running = self.start([self.http_destination()])
        sent = running.submit_all("p", [f"lost-{number}" for number in range(20)])
        running.wait_until_settled("p", "http", len(sent))
        self.assertEqual(running.stop(), 0)
        self.store["postgres"] = self.database.create_database("restored")  # from before all of this
        after = self.start([self.http_destination()])
        after.wait_for_line("pipeline p has diverged, and is stopped: Redis was told of sequence 20 of http.*reseqctl why p")
        self.assertEqual(after.destination("p", "http")["state"], "diverged")
        self.assertIn("sequence 20", after.destination("p", "http")["reason"])
        refused = after.submit("p", b"x", "refused")
        self.assertEqual(refused.status, 503)
        self.assertIn("has diverged", refused.json()["detail"])
        self.assertEqual(len(self.book.entries("http")), len(sent))
        after.kill()
        again = self.restart(after)
        self.assertEqual(again.destination("p", "http")["state"], "diverged", "what was seen was forgotten")
        self.recover(again, sent)

    def test_it_does_so_although_redis_was_lost_meanwhile_and_the_lane_was_idle_since(self):
        destinations = [self.http_destination(), {"name": "other", "url": self.book.url("other")}]
        running = self.start(destinations)
        running.submit_all("p", [f"lost-{number}" for number in range(20)])
        running.wait_until_settled("p", "http", 20)
        self.redis.ask("FLUSHALL")
        running.submit_all("p", ["later"], **{"Reseq-Destinations": "other"})
        mark = "reseq:{p:0}:shard", "lane:http"
        eventually("the idle lane is told anew", lambda: self.redis.ask("HGET", *mark))
        self.assertEqual(running.stop(), 0)
        self.store["postgres"] = self.database.create_database("restored")
        after = self.start(destinations)
        after.wait_for_line("pipeline p has diverged, and is stopped: Redis was told of sequence 20 of http")

    def recover(self, running, sent: dict) -> None:
        """It goes on behind what was lost, in the same process, and nothing is given a second time."""
        self.assertIn("reseqctl recover p", running.ctl("why"))
        self.assertIn("http: 20 sequences, 1 to 20, would be recorded as lost", running.ctl("recover", "p"))
        self.assertEqual(running.destination("p", "http")["state"], "diverged", "a dry run changed something")
        self.assertIn("http: 20 sequences, 1 to 20, recorded as lost", running.ctl("recover", "p", "--yes"))
        running.wait_for_line("starting anew")
        eventually("it runs again", lambda: running.destination("p", "http")["state"] == "running")
        answer = running.request("POST", "/v1/pipelines/p/recover")
        self.assertEqual(answer.status, 409, answer.body)
        more = running.submit_all("p", [f"after-{number}" for number in range(20)])
        eventually("they are delivered", lambda: len(self.book.entries("http")) == len(sent) + len(more))
        entries = self.book.entries("http")[len(sent):]
        self.assertEqual([one.sequence for one in entries], list(range(21, 41)))
        self.assertEqual([one.position for one in entries], list(range(21, 41)))
        self.assertGreater(entries[0].epoch, self.book.entries("http")[0].epoch)
        status = eventually("all is settled", lambda: (s := running.destination("p", "http"))["lag"] == 0 and s)
        self.assertEqual(status["state"], "running")
        lost = self.database.sql("SELECT first_sequence, last_sequence FROM reseq.lost", "restored")
        self.assertEqual(lost, [["1", "20"]])
        running.kill()
        self.assertEqual(self.restart(running).destination("p", "http")["state"], "running")


if __name__ == "__main__":
    unittest.main()
