"""A supervisor's HTTP interface from outside: single requests, and producers that do not give up."""

import hashlib
import http.client
import json
import random
import threading
import time
from typing import NamedTuple

from waiting import PATIENCE_SECONDS


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)


def request(address: str, method: str, path: str, body: bytes = b"", headers: dict = None, token: str = "") -> Answer:
    """One request on a connection of its own."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_SECONDS)
    try:
        return exchange(connection, method, path, body, headers, token)
    finally:
        connection.close()


def exchange(connection, method: str, path: str, body: bytes = b"", headers: dict = None, token: str = "") -> Answer:
    """One request on an open connection."""
    sent = {"Content-Type": "text/plain", **(headers or {})} if method == "POST" else dict(headers or {})
    if token:
        sent["Authorization"] = f"Bearer {token}"
    connection.request(method, path, body=body if method == "POST" else None, headers=sent)
    answer = connection.getresponse()
    return Answer(answer.status, answer.headers, answer.read())


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Receipt(NamedTuple):
    id: str
    duplicate: bool
    position: int


def receipt_of(answer: Answer) -> Receipt:
    """Raises AssertionError if it is none."""
    if answer.status not in (200, 202):
        raise AssertionError(f"no receipt: {answer.status} {answer.body!r}")
    read = answer.json()
    if read["duplicate"] != (answer.status == 200):
        raise AssertionError(f"status {answer.status} contradicts {read}")
    return Receipt(read["id"], read["duplicate"], read["positions"][0]["position"])


class Cut(NamedTuple):
    """A submission whose connection ended before it was answered."""

    at: float  # monotonic seconds
    message_id: str


class Producer:
    """One connection to one pipeline that submits again, under the same id, until there is a receipt."""

    def __init__(self, address, pipeline: str, pause_seconds: float = 0.02):
        """`address` is called before each connection: a supervisor that was started again is elsewhere.
        `pause_seconds`: how soon it knocks again where nobody answers."""
        self._address = address
        self._pause = pause_seconds
        self._path = f"/v1/pipelines/{pipeline}/messages"
        self._connection = None
        self._waiting = threading.Event()  # never set: waits between tries
        self.cuts = []

    def submit(self, message_id: str, body: bytes, headers: dict = None) -> Receipt:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self._try(message_id, body, headers or {})
            if answer is not None and answer.status not in (429, 503):
                return receipt_of(answer)
            if time.monotonic() > deadline:
                raise AssertionError(f"message {message_id}: no receipt, last answer: {answer}")
            self._waiting.wait(float(answer.headers["Retry-After"]) if answer else self._pause)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self, message_id: str, body: bytes, headers: dict):
        connected = False
        try:
            if self._connection is None:
                host, port = self._address().rsplit(":", 1)
                self._connection = http.client.HTTPConnection(host, int(port), timeout=10)
                self._connection.connect()
            connected = True
            answer = exchange(self._connection, "POST", self._path, body, {"Idempotency-Key": message_id, **headers})
            if answer.headers["Connection"] == "close":
                self.close()
            return answer
        except (OSError, http.client.HTTPException):
            if connected:
                self.cuts.append(Cut(time.monotonic(), message_id))
            self.close()
            return None


class Load:
    """Producers that submit messages of their own side by side until they are stopped. Every message in `sent` has a
    receipt: what is under way at the end is submitted until there is one. `key_of`: the key of a message id."""

    def __init__(
        self, address, pipeline: str, seed: int, producers: int = 4, pause_seconds: float = 0.004, key_of=None
    ):
        self.sent = {}  # message id: sha256 of its body
        self.receipts = {}
        self.errors = []
        self._seed = seed
        self._pause = pause_seconds
        self._key_of = key_of
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._producers = [Producer(address, pipeline) for _ in range(producers)]
        self._threads = [
            threading.Thread(target=self._produce, args=(number, producer), daemon=True)
            for number, producer in enumerate(self._producers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> dict:
        """Ends the producers; raises what went wrong with any of them. Returns `sent`."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE_SECONDS)
        if self.errors:
            raise self.errors[0]
        return self.sent

    def cuts(self) -> list:
        """What was under way when a connection ended, in order of time."""
        return sorted(cut for producer in self._producers for cut in list(producer.cuts))

    def some(self, rnd: random.Random) -> tuple:
        """A message that has a receipt: (id, body, receipt); None while there is none."""
        with self._lock:
            if not self.receipts:
                return None
            message_id = rnd.choice(sorted(self.receipts))
            return message_id, body_of(message_id), self.receipts[message_id]

    def _produce(self, producer_number: int, producer: Producer) -> None:
        number = 0
        try:
            while not self._stop.wait(self._pause):
                number += 1
                message_id = f"m-{self._seed}-{producer_number}-{number}"
                body = body_of(message_id)
                receipt = producer.submit(message_id, body, self._key_of and {"Reseq-Key": self._key_of(message_id)})
                with self._lock:
                    self.sent[message_id] = digest(body)
                    self.receipts[message_id] = receipt
        except Exception as error:  # the test's thread must hear of it, whatever it is
            self.errors.append(error)
        finally:
            producer.close()


def body_of(message_id: str) -> bytes:
    """A text of some length that follows from the id, so that any message can be submitted again."""
    rnd = random.Random(message_id)
    return (f"{message_id} " + "é\n\"'\\x" * rnd.randrange(60)).encode()
