"""Streams as destinations, under load, in the Redis of the lanes and in another one, while both lose what they have: in
the end each message is in each stream once, in order."""

import collections
import contextlib
import itertools
import os
import unittest

import redis
from delivered_lines import check_ledger, entries_of, newest_entry
from harness import SEED, record_figure
from redis_server import RedisServer
from waiting import eventually

STREAM = "ledger"
RECORD = "reseq:{ledger}:receiver:p:"  # and the destination: what is recorded of it
LACKS = "the receiver of destination {} has gone back"


class Streams(redis.UnderLoad):
    def setUp(self):
        super().setUp()
        self.careful = RedisServer("--appendonly", "yes", "--appendfsync", "always")
        self.addCleanup(self.careful.close)
        self.servers = {"near": self.redis, "far": self.careful}  # by their destinations
        self.evicted = collections.Counter()
        streams = [{"name": name, "url": f"{server.url}?stream={STREAM}", "max_unsaved": redis.MAX_UNSAVED, "batch": 4,
                    "retry_max": "200ms"} for name, server in self.servers.items()]  # fmt: skip
        self.start_under_load(*streams)

    def test_each_message_is_there_once_whatever_becomes_of_the_stream_and_what_is_recorded_of_it(self):
        kinds = (self.kill, self.set_back, self.flush, self.evict_stream, self.evict_record,
                 self.flush_and_kill_supervisor, self.forget_and_kill_supervisor)  # fmt: skip
        faults = list(itertools.product(kinds, self.servers)) * redis.ROUNDS
        self.random.shuffle(faults)
        for fault, name in faults:
            self.let_some_be_in(name)
            self.let_some_arrive(self.random.randrange(5, 30))
            fault(name)
        self.let_some_arrive(30)  # whoever lacks something is found to do so when it gets more
        self.check(self.load.stop())
        for name in self.servers:
            record_figure(f"Streams: {name}, times that it was found to lack messages", str(self.times_found(name)))
        for (name, what), count in sorted(self.evicted.items()):
            record_figure(f"Streams: {name}, times that its {what} was evicted", str(count))

    def test_one_that_does_not_say_whose_it_is_or_what_its_last_message_was_goes_on_when_an_operator_says_whose(self):
        self.let_some_be_in("far")
        self.running.kill()
        trimmed = entries_of(self.careful)
        self.careful.ask("XTRIM", STREAM, "MAXLEN", "0")
        self.careful.ask("DEL", RECORD + "far")
        self.running = self.restart(self.running)
        told = self.running.wait_for_line("destination far has messages up to .* start again: (HSET .* journal [^. ]+)")
        self.assertEqual(self.running.submit("p", b"x", "refused").status, 503)
        self.assertEqual(self.running.stop(), 0)
        self.careful.ask(*told[1].split())
        self.running = self.restart(self.running)
        self.let_some_arrive(30)
        self.check(self.load.stop(), {"far": trimmed})

    def let_some_be_in(self, name: str) -> None:
        wanted = self.random.randrange(10, 40)
        eventually(f"{name} has {wanted} messages", lambda: newest_entry(self.servers[name]) >= wanted)

    def kill(self, name: str) -> None:
        """The one of the lanes comes back empty, or as it was saved last: before it was flushed perhaps, and ahead of what it
        had. The other one has everything."""
        is_lost = name == "near" and not os.path.exists(os.path.join(self.servers[name].folder, "dump.rdb"))
        with self.found_to_lack(name) if is_lost else contextlib.nullcontext():
            self.kill_and_start(name)

    def set_back(self, name: str) -> None:
        """The one of the lanes, that is."""
        self.servers[name].ask("SAVE")
        saved = newest_entry(self.servers[name])
        eventually(f"{name} has more", lambda: newest_entry(self.servers[name]) > saved)
        with self.found_to_lack(name) if name == "near" else contextlib.nullcontext():
            self.kill_and_start(name)

    def kill_and_start(self, name: str) -> None:
        self.servers[name].kill()
        self.let_some_arrive(10)  # without it
        self.servers[name].start()

    def flush(self, name: str) -> None:
        with self.found_to_lack(name):
            self.servers[name].ask("FLUSHALL")

    def flush_and_kill_supervisor(self, name: str) -> None:
        with self.found_to_lack(name):
            self.running.kill()
            self.servers[name].ask("FLUSHALL")
            self.running = self.restart(self.running)

    def forget_and_kill_supervisor(self, name: str) -> None:
        """The stream may have more than was saved of it, and nothing says whose it is."""
        self.running.kill()
        self.servers[name].ask("DEL", RECORD + name)
        self.running = self.restart(self.running)

    def evict_stream(self, name: str) -> None:
        with self.found_to_lack(name):
            self.evict(name, STREAM)

    def evict_record(self, name: str) -> None:
        self.evict(name, RECORD + name)

    def evict(self, name: str, key: str) -> None:
        """Which keys go is up to chance: until that one has gone."""
        with self.servers[name].evictions() as evicted:
            for _ in range(redis.EVICTIONS):
                self.evict_some(self.servers[name])
                if key in evicted:
                    self.evicted[name, "stream" if key == STREAM else "record"] += 1
                    return
        self.fail(f"seed {SEED}: {name}: {key} was never evicted: this run has proved nothing")

    @contextlib.contextmanager
    def found_to_lack(self, name: str):
        """What happens meanwhile is noticed, and the destination gets what it lost again."""
        before = self.times_found(name)
        yield
        eventually(f"{name} is found to lack messages", lambda: self.times_found(name) > before)

    def times_found(self, name: str) -> int:
        return sum(one.logged(LACKS.format(name)) for one in self.programs)

    def check(self, sent: dict, trimmed=None) -> None:
        """`trimmed`: by their destinations, the first lines of streams, which are not in them any more."""
        for name, server in self.servers.items():
            eventually(f"{name} has all", lambda server=server: newest_entry(server) >= len(sent))
            self.running.wait_until_settled("p", name, len(sent), 60)
        super().check(sent)
        for name, server in self.servers.items():
            lines = (trimmed or {}).get(name, []) + entries_of(server)
            self.assert_nothing_wrong(check_ledger(name, lines, sent, self.load.receipts))


if __name__ == "__main__":
    unittest.main()
