"""The two lists that are compared in the end: what the producer sent, and what arrived at the receiver.

Both are plain text files with an entry a line, in order, each written by the program that saw it happen.
"""

import hashlib
from typing import NamedTuple


class Sent(NamedTuple):
    id: str
    mark: int
    size: int
    sha256: str


class Arrival(NamedTuple):
    delivery_id: str
    sequence: int
    previous: int
    id: str
    size: int
    sha256: str


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def line_of(entry: NamedTuple) -> str:
    return " ".join(map(str, entry)) + "\n"


def read(path: str, kind) -> list:
    """All entries of a list; `kind` is Sent or Arrival. Numbers are numbers again."""
    types = list(kind.__annotations__.values())
    with open(path, encoding="ascii") as file:
        return [kind(*(as_type(text) for as_type, text in zip(types, line.split()))) for line in file]
