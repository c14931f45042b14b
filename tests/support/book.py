"""What a receiver wrote down, and whether that is what reseq promises: order, no loss, bounded redelivery."""

import base64
import itertools
import json
from typing import NamedTuple

from client import digest

CONFIRMED = range(200, 300)


class Entry(NamedTuple):
    """One message in one request, in the order of arrival."""

    delivery_id: str
    sequence: int
    previous: int  # None: not said
    epoch: int
    attempt: int
    message_id: str
    position: int
    sha256: str
    request: int  # entries of one batch have the same number
    answer: int  # the status that was answered; 0: none was
    destination: str = ""
    replay: str = ""
    at: float = 0.0  # monotonic seconds
    key: str = ""


def envelope_entry(line: bytes, request: int, answer: int, destination: str = "", at: float = 0.0) -> Entry:
    """The entry of an envelope line, as in batches and file destinations."""
    read = json.loads(line)
    return Entry(
        read["delivery_id"], read["sequence"], read.get("previous_sequence"), read["epoch"], read["attempt"],
        read["message_id"], read["position"], digest(_payload(read)), request, answer, destination,
        str(read.get("replay", "")), at, read.get("key", ""),
    )  # fmt: skip


def _payload(envelope: dict) -> bytes:
    if "payload_base64" in envelope:
        return base64.b64decode(envelope["payload_base64"], validate=True)
    payload = envelope["payload"]
    return payload.encode() if isinstance(payload, str) else json.dumps(payload, separators=(",", ":")).encode()


def file_entries(path: str) -> list:
    """The entries of a file destination, in order; a torn last line is the crash's, and is left out."""
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")[:-1]
    return [envelope_entry(line, number, 200) for number, line in enumerate(lines, start=1)]


def check_book(entries: list, sent: dict, passed=(), max_unsaved: int = 0, complete: bool = True) -> list:
    """Everything that is wrong with one destination's book, a sentence each; empty when all is as promised.

    `sent` has each accepted message's id and the sha256 of the body that must arrive; `passed` the sequences that are
    recorded as held, skipped, dropped or dead-lettered. After a change of epoch at most `max_unsaved` confirmed
    deliveries may come again, the latest ones, in order. Not `complete`: more may still be on its way."""
    checker = _Checker(sent, frozenset(passed), max_unsaved)
    for _, request in itertools.groupby(entries, key=lambda entry: entry.request):
        checker.take(list(request))
    if complete:
        checker.finish()
    return checker.complaints


def check_book_by_key(entries: list, sent: dict, passed=(), max_unsaved: int = 0) -> list:
    """As `check_book`, for order by key: `sent` has each accepted message's id and (key, sha256 of the body)."""
    complaints = []
    by_key = {}
    for entry in entries:
        if entry.previous is not None:
            complaints.append(f"sequence {entry.sequence} says that {entry.previous} went before it")
        if sent.get(entry.message_id) != (entry.key, entry.sha256):
            complaints.append(f"message {entry.message_id} came with key {entry.key} and another body, or never was sent")
        by_key.setdefault(entry.key, []).append(entry)
    for key, of_key in by_key.items():
        complaints += [f"key {key}: {complaint}" for complaint in _order_of_key(of_key, max_unsaved)]
    arrived = {entry.message_id for entry in entries if entry.answer in CONFIRMED}
    missing = sorted(set(sent) - arrived - set(passed))
    if missing:
        complaints.append(f"lost: {len(missing)} messages were never delivered, among {', '.join(missing[:3])}")
    return complaints


def _order_of_key(entries: list, max_unsaved: int) -> list:
    """What is wrong with the order of one key: its messages come one after the other, and not again but for some of the
    last ones after a change of epoch."""
    complaints = []
    confirmed = []  # ascending
    now = highest = 0  # epoch, and the highest sequence that was confirmed in it
    for entry in entries:
        if entry.epoch != now:
            again = [sequence for sequence in confirmed if sequence >= entry.sequence]
            if entry.epoch < now or len(again) > max_unsaved:
                complaints.append(f"sequence {entry.sequence}: epoch {entry.epoch} after {now}, {len(again)} come again")
            now, highest = entry.epoch, 0 if again else max(confirmed, default=0)
        if entry.sequence <= highest:
            complaints.append(f"sequence {entry.sequence} came after {highest}")
        if entry.answer in CONFIRMED:
            highest = entry.sequence
            if not confirmed or entry.sequence > confirmed[-1]:
                confirmed.append(entry.sequence)
    return complaints


class _Checker:
    def __init__(self, sent: dict, passed: frozenset, max_unsaved: int):
        self.complaints = []
        self._sent = sent
        self._passed = passed
        self._max_unsaved = max_unsaved
        self._confirmed = []  # sequences that were, ascending
        self._known = {}  # sequence: its first entry
        self._messages = {}  # message id: sequence
        self._epoch = 0
        self._floor = 0  # all up to here is confirmed in this epoch
        self._attempts = {}  # of this epoch: sequence: (the latest, whether it was answered)

    def take(self, request: list) -> None:
        if request[0].epoch != self._epoch:
            self._change_epoch(request[0])
        before = self._floor
        for place, entry in enumerate(request):
            self._check_place(entry, before)
            self._check_identity(entry)
            self._check_previous(entry, before if place > 0 else self._delivered_before(entry.sequence))
            self._check_attempt(entry)
            before = entry.sequence
        if request[0].answer in CONFIRMED:
            self._confirm(request)

    def finish(self) -> None:
        delivered = {self._known[sequence].message_id for sequence in self._confirmed}
        passed = {entry.message_id for sequence, entry in self._known.items() if sequence in self._passed}
        missing = sorted(set(self._sent) - delivered - passed)
        # A message that was passed without ever being sent to the receiver has no entry that names it.
        unseen = sum(1 for sequence in self._passed if sequence not in self._known)
        if len(missing) > unseen:
            names = ", ".join(missing[:3])
            self._complain(f"lost: {len(missing) - unseen} messages were never delivered, among {names}")

    def _complain(self, sentence: str) -> None:
        self.complaints.append(sentence)

    def _change_epoch(self, entry: Entry) -> None:
        if entry.epoch < self._epoch:
            self._complain(f"sequence {entry.sequence}: epoch {entry.epoch} after epoch {self._epoch}")
        self._epoch = entry.epoch
        self._attempts = {}
        again = [sequence for sequence in self._confirmed if sequence >= entry.sequence]
        if len(again) > self._max_unsaved:
            self._complain(f"sequence {entry.sequence}: {len(again)} deliveries come again, {self._max_unsaved} may")
        self._floor = entry.sequence - 1 if again else max(self._confirmed, default=0)

    def _check_place(self, entry: Entry, after: int) -> None:
        if entry.sequence <= after:
            what = "came again without a restart" if entry.sequence in self._known else "came late"
            self._complain(f"sequence {entry.sequence} {what}, after {after}")
            return
        between = [sequence for sequence in range(after + 1, entry.sequence) if sequence not in self._passed]
        if between:
            self._complain(f"sequence {entry.sequence} came after {after}, where {between[0]} was next")

    def _check_identity(self, entry: Entry) -> None:
        known = self._known.setdefault(entry.sequence, entry)
        for what in ("delivery_id", "message_id", "position", "sha256"):
            if getattr(known, what) != getattr(entry, what):
                self._complain(f"sequence {entry.sequence} came again with another {what}")
        if known is not entry:
            return
        other = self._messages.setdefault(entry.message_id, entry.sequence)
        if other != entry.sequence:
            self._complain(f"message {entry.message_id} is at sequence {other} and at {entry.sequence}")
        if not entry.delivery_id.endswith(f"/{entry.sequence}"):
            self._complain(f"sequence {entry.sequence} has the delivery id {entry.delivery_id}")
        if entry.message_id not in self._sent:
            self._complain(f"sequence {entry.sequence}: message {entry.message_id} was never sent")
        elif self._sent[entry.message_id] != entry.sha256:
            self._complain(f"sequence {entry.sequence}: message {entry.message_id} was sent with another body")
        earlier = self._known.get(entry.sequence - 1)
        if earlier and earlier.position >= entry.position:
            self._complain(f"sequence {entry.sequence} has position {entry.position}, after {earlier.position}")

    def _delivered_before(self, sequence: int) -> int:
        """The last one before it that the receiver has taken."""
        before = sequence - 1
        while before > 0 and (before not in self._known or before in self._passed):
            before -= 1
        return before

    def _check_previous(self, entry: Entry, before: int) -> None:
        if entry.previous != before:
            self._complain(f"sequence {entry.sequence} says that {entry.previous} went before it, not {before}")

    def _check_attempt(self, entry: Entry) -> None:
        """Only one that was not answered at all may come again as the same attempt: on a new connection."""
        latest, answered = self._attempts.get(entry.sequence, (0, True))
        if entry.attempt < latest or (entry.attempt == latest and answered):
            self._complain(f"sequence {entry.sequence}: attempt {entry.attempt} after attempt {latest}")
        self._attempts[entry.sequence] = (entry.attempt, entry.answer != 0)

    def _confirm(self, request: list) -> None:
        self._floor = max(self._floor, request[-1].sequence)
        highest = self._confirmed[-1] if self._confirmed else 0
        self._confirmed += [entry.sequence for entry in request if entry.sequence > highest]
