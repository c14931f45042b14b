"""A Redis that is killed, and a replica in its place that lacks what was written last: the supervisor follows, and
nothing is lost, out of order or delivered twice for it."""

import unittest

import redis
from harness import record_figure
from redis_pair import RedisPair

SCRIPTS = "cmdstat_evalsha"


class Failover(redis.UnderLoad):
    def start_redis(self):
        return RedisPair()

    def setUp(self):
        super().setUp()
        self.start_under_load()
        self.lacked = []  # (bytes, calls of scripts) of each failover

    def test_nothing_is_lost_doubled_or_out_of_order_when_a_replica_is_promoted_that_lacks_writes(self):
        victims = [self.fail_over, self.fail_over_and_kill_supervisor] * redis.ROUNDS
        self.random.shuffle(victims)
        for victim in victims:
            if self.lacked:
                self.redis.pair_again()
            self.let_some_arrive(self.random.randrange(10, 40))
            victim()
            self.wait_until_followed()
        self.let_some_arrive(30)
        self.check(self.load.stop())
        self.count_rebuilds()
        self.assertGreater(self.rebuilds.total(), 0, "no lane was told anew: this run has proved nothing")
        for what, counts in zip(("bytes", "calls of scripts"), zip(*self.lacked)):
            record_figure(f"Redis: {what} that a promoted replica lacked, of {len(victims)} least and most",
                          f"{min(counts)}, {max(counts)}")  # fmt: skip

    def fail_over(self) -> None:
        self.kill_one_whose_replica_lacks_writes()
        self.promote()

    def fail_over_and_kill_supervisor(self) -> None:
        """The next owner finds, in the new master, what the one before had long passed."""
        self.kill_one_whose_replica_lacks_writes()
        self.count_rebuilds()
        self.running.kill()
        self.promote()
        self.running = self.restart(self.running)

    def kill_one_whose_replica_lacks_writes(self) -> None:
        self.cut_off_at, calls = self.redis.stop_replica(), self.calls()
        self.let_some_arrive(self.random.randrange(5, 30))
        self.lacked_calls = self.calls() - calls
        self.written = self.redis.kill_master()

    def promote(self) -> None:
        had = self.redis.wait_for_promotion()
        self.assertLessEqual(had, self.cut_off_at, "the replica was not cut off: this run has proved nothing")
        self.assertGreater(self.lacked_calls, 0, "the replica lacked nothing of the lanes: this run has proved nothing")
        self.lacked.append((self.written - had, self.lacked_calls))

    def calls(self) -> int:
        """How often scripts have changed the lanes of the master."""
        about = dict(one.split("=") for one in self.redis.master.info_text("commandstats", SCRIPTS).split(","))
        return int(about["calls"])


if __name__ == "__main__":
    unittest.main()
