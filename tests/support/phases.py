"""In which phase of the work each kill hit, from facts: what producers had under way, what a receiver had confirmed."""

import collections
import time
from typing import NamedTuple

WITHIN_SECONDS = 1.0  # a connection that ends so soon after a kill ended by it


class Kill(NamedTuple):
    """One kill, and what was under way as it hit."""

    victim: str
    at: float
    in_flight: int = 0  # submissions that had no answer yet
    uncommitted: int = 0  # of these, accepted as new when they came again
    unanswered: int = 0  # of these, durable already
    unsaved: int = 0  # confirmed deliveries that came again, because their progress had not been saved


class _Run(NamedTuple):
    """One life of a supervisor."""

    start: float
    ended_by: int  # the kill's place in the list; -1: none


class Phases:
    """Told of each start and kill as it happens; judges afterwards."""

    def __init__(self):
        self._kills = []
        self._runs = []

    def started(self) -> None:
        self._runs.append(_Run(time.monotonic(), -1))

    def killed(self, victim: str, ended: bool) -> None:
        """`ended`: it was, or was among others, the supervisor."""
        self._kills.append(Kill(victim, time.monotonic()))
        if ended:
            self._runs[-1] = self._runs[-1]._replace(ended_by=len(self._kills) - 1)

    def of(self, cuts: list, receipts: dict, entries: list) -> list:
        """The kills with what they hit. A message's receipt says whether its last submission was a duplicate."""
        kills = list(self._kills)
        times = collections.Counter(cut.message_id for cut in cuts)
        for cut in cuts:
            place = self._killed_around(cut.at)
            if place is None:
                continue
            known = kills[place]
            duplicate = receipts[cut.message_id].duplicate
            kills[place] = known._replace(
                in_flight=known.in_flight + 1,
                uncommitted=known.uncommitted + (not duplicate),
                unanswered=known.unanswered + (duplicate and times[cut.message_id] == 1),
            )
        for started, again in _redelivered(entries):
            place = self._run_at(started).ended_by
            kills[place] = kills[place]._replace(unsaved=kills[place].unsaved + again)
        return kills

    def _killed_around(self, at: float):
        """The latest kill of a supervisor before that time; its own record of the time is a little late."""
        before = [run.ended_by for run in self._runs if run.ended_by >= 0 and self._kills[run.ended_by].at <= at + 0.01]
        return before[-1] if before and at - self._kills[before[-1]].at < WITHIN_SECONDS else None

    def _run_at(self, at: float) -> _Run:
        return [run for run in self._runs if run.start <= at][-1]


def _redelivered(entries: list) -> list:
    """For each epoch after which deliveries came again: (when its first one arrived, how many)."""
    found, first, confirmed = [], {}, {}
    for entry in entries:
        first.setdefault(entry.epoch, entry.at)
        earlier = confirmed.get(entry.sequence)
        if earlier is not None and earlier != entry.epoch:
            found.append((first[earlier], 1))
        if 200 <= entry.answer < 300:
            confirmed[entry.sequence] = entry.epoch
    return found


def totals_of(kills: list) -> dict:
    """How many kills hit each phase; one may hit several."""
    return {
        "with acceptances in flight": sum(1 for kill in kills if kill.in_flight),
        "before a commit": sum(1 for kill in kills if kill.uncommitted),
        "after a commit, before its receipts": sum(1 for kill in kills if kill.unanswered),
        "with unsaved deliveries": sum(1 for kill in kills if kill.unsaved),
        "of workers only": sum(1 for kill in kills if kill.victim.endswith("worker")),
    }


def table(kills: list) -> list:
    """Lines: for each kind of victim, the kills and how many of them hit which phase."""
    lines = [f"{'killed':36} {'times':>5} {'in flight':>9} {'uncommitted':>11} {'unanswered':>10} {'unsaved':>7}"]
    for victim in sorted({kill.victim for kill in kills}) + ["all"]:
        some = [kill for kill in kills if victim in (kill.victim, "all")]
        totals = list(totals_of(some).values())
        lines.append(f"{victim:36} {len(some):5} {totals[0]:9} {totals[1]:11} {totals[2]:10} {totals[3]:7}")
    return lines
