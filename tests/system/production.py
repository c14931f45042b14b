"""What the tests of held messages and of pauses show with the embedded store, with PostgreSQL and Redis; in full also those
of order by key, of kills, of messages that kill workers, of stopping and of receivers."""

import itertools
import unittest

import drain
import held
import keys
import kills
import poison
import receivers
from harness import FULL
from postgres_server import PostgresServer
from redis_server import RedisServer


class OnBoth:
    """Before a test's own class: its supervisors use servers of that class, and a database of the test's own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.database = PostgresServer()
        cls.addClassCleanup(cls.database.close)
        cls.redis = RedisServer()
        cls.addClassCleanup(cls.redis.close)
        cls.names = (f"journal{number}" for number in itertools.count(1))

    def setUp(self):
        self.redis.ask("FLUSHALL")
        self.store = {
            "kind": "postgres", "postgres": self.database.create_database(next(self.names)), "redis": self.redis.url,
        }  # fmt: skip
        super().setUp()

    def config(self, pipelines: list, **tables) -> dict:
        return super().config(pipelines, **{**tables, "store": {**self.store, **tables.get("store", {})}})


class Exhausted(OnBoth, held.Exhausted):
    pass


class DeadLetters(OnBoth, held.DeadLetters):
    pass


class Refused(OnBoth, held.Refused):
    pass


class Pause(OnBoth, drain.Pause):
    pass


in_full = unittest.skipUnless(FULL, "only in full")


@in_full
class Keys(OnBoth, keys.Keys):
    pass


@in_full
class Killers(OnBoth, poison.Killers):
    pass


@in_full
class Kills(OnBoth, kills.Kills):
    pass


@in_full
class Drain(OnBoth, drain.Drain):
    pass


@in_full
class Receivers(OnBoth, receivers.Receivers):
    pass


if __name__ == "__main__":
    unittest.main()
