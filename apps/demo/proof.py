"""Proves from the receiving end that everything arrived, in order and whole.

Twice: the receiver's raw list of arrivals against the producer's list of what it sent, and, commit by commit, the
history that git rebuilt from the arrivals against the original.
"""

import itertools
from typing import NamedTuple

import history
import ledger

# Commits that one call of git is asked about.
CHUNK = 1000


class Proof(NamedTuple):
    messages: int  # arrived, first deliveries
    redelivered: int
    commits: int  # rebuilt
    same_ids: int  # of them, those that even have their original ids
    differences: list  # texts; empty: everything is as it should be


class Commit(NamedTuple):
    tree: bytes
    parents: list


def prove(original: str, ids: list, rebuilt: str, sent_path: str, arrivals_path: str, marks_path: str) -> Proof:
    """Compares everything; `ids` are the commits that were to be replayed, in order. Raises HistoryError if git
    fails."""
    sent = ledger.read(sent_path, ledger.Sent)
    arrivals = ledger.read(arrivals_path, ledger.Arrival)
    first, redelivered, differences = first_arrivals(arrivals)
    differences += compare_lists(sent, first)
    marks = read_marks(marks_path)
    pairs = [(entry.id, marks.get(entry.mark)) for entry in sent if entry.mark]
    if [ours for ours, _ in pairs] != ids:
        differences.append("what was sent is not the repository's commits in their order: did it change meanwhile?")
    differences += compare_histories(original, rebuilt, pairs)
    same_ids = sum(ours == theirs for ours, theirs in pairs)
    return Proof(len(first), redelivered, len(pairs), same_ids, differences)


def first_arrivals(arrivals: list) -> tuple:
    """(first deliveries in order, number of redeliveries, differences). Redeliveries must repeat the first."""
    first, differences = {}, []
    for arrival in arrivals:
        known = first.setdefault(arrival.delivery_id, arrival)
        if known != arrival:
            differences.append(f"{arrival.delivery_id} was delivered again with other content")
    in_order = list(first.values())
    previous = 0
    for arrival in in_order:
        if arrival.sequence <= previous or arrival.previous != previous:
            differences.append(f"sequence {arrival.sequence}, after {arrival.previous}, arrived after {previous}")
        previous = arrival.sequence
    return in_order, len(arrivals) - len(in_order), differences


def compare_lists(sent: list, arrived: list) -> list:
    """The differences between what was sent and what arrived: place by place, the same id, size and digest."""
    differences = []
    if len(sent) != len(arrived):
        differences.append(f"{len(sent)} messages were sent and {len(arrived)} arrived")
    for place, (one, other) in enumerate(zip(sent, arrived), start=1):
        if one.id != other.id:
            differences.append(f"message {place} sent was {one.id}, message {place} to arrive was {other.id}")
        elif (one.size, one.sha256) != (other.size, other.sha256):
            differences.append(f"message {place}, {one.id}, arrived with other content")
    return differences


def read_marks(path: str) -> dict:
    """Mark to commit id, as `git fast-import --export-marks` wrote them."""
    with open(path, encoding="ascii") as file:
        return {int(mark[1:]): commit for mark, commit in (line.split() for line in file)}


def compare_histories(original: str, rebuilt: str, pairs: list) -> list:
    """The differences between commits of the original and what they became, each pair: their trees and parents."""
    differences = [f"commit {ours} is missing in the rebuilt history" for ours, theirs in pairs if theirs is None]
    present = [(ours, theirs) for ours, theirs in pairs if theirs is not None]
    became = {ours.encode(): theirs.encode() for ours, theirs in present}
    for chunk in _chunks(present):
        expected = _commits(original, [ours for ours, _ in chunk])
        actual = _commits(rebuilt, [theirs for _, theirs in chunk])
        for (ours, theirs), one, other in zip(chunk, expected, actual):
            if one.tree != other.tree and not _same_files(original, one.tree, rebuilt, other.tree):
                differences.append(f"commit {ours}: its tree was {one.tree.decode()}, and is {other.tree.decode()}")
            if _distinct(became.get(parent) for parent in one.parents) != _distinct(other.parents):
                differences.append(f"commit {ours}, now {theirs}: its parents differ")
    return differences


def _chunks(items: list):
    rest = iter(items)
    return iter(lambda: list(itertools.islice(rest, CHUNK)), [])


def _commits(repository: str, ids: list) -> list:
    """Tree and parents of each commit, in the order of the ids."""
    asked = "".join(f"{commit}\n" for commit in ids).encode()
    shown = history.git(
        repository, "log", "--no-walk=unsorted", "--format=%H %T %P", "--no-show-signature", "--stdin", stdin=asked
    )
    found = {line.split(b" ", 1)[0].decode(): line.split() for line in shown.splitlines()}
    return [Commit(found[commit][1], found[commit][2:]) for commit in ids]


def _distinct(parents) -> list:
    """Parents without repetitions: git no longer writes a commit that names one twice."""
    return list(dict.fromkeys(parents))


def _same_files(original: str, one: bytes, rebuilt: str, other: bytes) -> bool:
    """Whether two trees hold the same files. Trees that early versions of git wrote can say so in other words (file
    modes such as 100664); git reads them as it would write them today, and can only write them so."""
    return _files(original, one) == _files(rebuilt, other)


def _files(repository: str, tree: bytes) -> bytes:
    return history.git(repository, "ls-tree", "-r", "-z", "--full-tree", tree.decode())
