"""What a table or a stream holds, and whether that is each message once, in order."""

import itertools
import json
from typing import NamedTuple

from client import digest


class Line(NamedTuple):
    """A row, or an entry."""

    sequence: int
    position: int
    message_id: str
    sha256: str
    content_type: str


def rows_of(server, database: str, table: str = "ledger") -> list:
    rows = server.sql("SELECT sequence, position, message_id, encode(payload, 'hex'), headers->>'content-type' "
                      f"FROM public.{table} ORDER BY sequence", database)  # fmt: skip
    return [Line(int(row[0]), int(row[1]), row[2], digest(bytes.fromhex(row[3])), row[4]) for row in rows]


def entries_of(redis, stream: str = "ledger") -> list:
    return [_line_of(name, words) for name, words in redis.ask("XRANGE", stream, "-", "+")]


def newest_entry(redis, stream: str = "ledger") -> int:
    """The sequence of a stream's last entry; 0: there is none."""
    newest = redis.ask("XREVRANGE", stream, "+", "-", "COUNT", "1")
    return int(newest[0][0].split("-")[0]) if newest else 0


def _line_of(name: str, words: list) -> Line:
    fields = dict(zip(words[::2], words[1::2]))
    if name != fields["sequence"] + "-0":
        raise AssertionError(f"the entry {name} says that it is sequence {fields['sequence']}")
    payload = fields["payload"].encode(errors="surrogateescape")
    content_type = json.loads(fields["headers"])["content-type"]
    return Line(int(fields["sequence"]), int(fields["position"]), fields["message_id"], digest(payload), content_type)


def check_ledger(name: str, lines: list, sent: dict, receipts: dict) -> list:
    """Everything that is wrong with it, a sentence each. It is to have all of `sent`: ids, and the sha256 of bodies."""
    in_order = sorted((receipts[message_id].position, message_id, body) for message_id, body in sent.items())
    expected = [Line(sequence, *message, "text/plain") for sequence, message in enumerate(in_order, start=1)]
    return [
        f"{name}, place {place}: {line or 'nothing'} is there, not {wanted or 'nothing'}"
        for place, (line, wanted) in enumerate(itertools.zip_longest(lines, expected), start=1)
        if line != wanted
    ]
