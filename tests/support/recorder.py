"""A receiver of deliveries that keeps a book: each one is written down before it is answered."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import unquote

from book import Entry, envelope_entry
from client import digest


class Reply(NamedTuple):
    """How a request is answered."""

    status: int = 200
    headers: dict = {}
    body: bytes = b""
    after: threading.Event = None  # not before this is set
    cut: bool = False  # the connection ends in the middle of the answer
    close: bool = False  # the connection ends without any
    first: bytes = b""  # sent before the answer: interim answers
    raw: bytes = None  # sent instead of an answer; then the connection ends, as it does after `endless`
    endless: bytes = b""  # sent behind all of this until the client has had enough
    then_close: bool = False  # the connection ends after the answer, which does not say so

    def is_answer(self) -> bool:
        """Whether the client gets the status to read."""
        return not (self.cut or self.close or self.raw is not None)


class Request(NamedTuple):
    """What a request carries."""

    number: int  # of this receiver's requests, from 1
    destination: str
    entries: list
    headers: dict


class Receiver:
    """Listens on a free port. `answer` may be set at any time: a function from a Request to a Reply or a status.
    `early` may be, too: a function from a request's headers to a Reply that is sent before its body is read, and
    without that; its connection ends once `after` is set. None for requests that are taken like any other."""

    def __init__(self, answer=lambda request: 200):
        self.answer = answer
        self.early = lambda headers: None
        self.never = threading.Event()  # for answers that do not come while the test runs
        self._lock = threading.Lock()
        self._entries = []
        self._requests = 0
        self._connections = set()
        self._server = None
        self._port = 0
        self.listen()

    def listen(self) -> None:
        """Again on the same port, after `refuse`."""
        self._server = _Server(("127.0.0.1", self._port), _handler_for(self))
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def refuse(self) -> None:
        """Closes everything: from now on connections are refused."""
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has gone by itself

    def url(self, path: str = "in") -> str:
        return f"http://127.0.0.1:{self._port}/{path}"

    def entries(self, destination: str = "") -> list:
        """The book so far, of one destination or of all."""
        with self._lock:
            return [entry for entry in self._entries if destination in ("", entry.destination)]

    def confirmed(self, destination: str = "") -> list:
        """The sequences that were confirmed, in order of arrival."""
        return [entry.sequence for entry in self.entries(destination) if 200 <= entry.answer < 300]

    def took_connection(self, connection) -> None:
        with self._lock:
            self._connections.add(connection)

    def lost_connection(self, connection) -> None:
        with self._lock:
            self._connections.discard(connection)

    def take(self, headers, body: bytes) -> Reply:
        """Writes a request down and decides on its answer; waits if the answer has to."""
        with self._lock:
            self._requests += 1
            entries = _entries_of(headers, body, self._requests)
            asked = Request(self._requests, headers["Reseq-Destination"] or "", entries, dict(headers))
            reply = self.answer(asked)
            reply = Reply(reply) if isinstance(reply, int) else reply
            lost = not reply.is_answer() or reply.after is not None
            first = len(self._entries)
            self._entries += [entry._replace(answer=0 if lost else reply.status) for entry in entries]
        if reply.after is not None and reply.after.wait(60) and reply.is_answer():
            with self._lock:
                for place in range(first, first + len(entries)):
                    self._entries[place] = self._entries[place]._replace(answer=reply.status)
        return reply


def _entries_of(headers, body: bytes, request: int) -> list:
    now = time.monotonic()
    destination = headers["Reseq-Destination"] or ""
    if headers["Content-Type"] == "application/x-ndjson" and not headers["Reseq-Sequence"]:
        return [envelope_entry(line, request, 0, destination, now) for line in body.splitlines()]
    return [
        Entry(
            headers["Idempotency-Key"], int(headers["Reseq-Sequence"]), _number(headers["Reseq-Previous-Sequence"]),
            int(headers["Reseq-Epoch"]), int(headers["Reseq-Attempt"]), headers["Reseq-Message-Id"],
            int(headers["Reseq-Position"]), digest(body), request, 0, destination, headers["Reseq-Replay"] or "", now,
            unquote(headers["Reseq-Key"] or ""),
        )
    ]  # fmt: skip


def _number(text):
    return None if text is None else int(text)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that was killed in the middle is what these tests are about."""


def _handler_for(receiver: Receiver):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self):
            super().setup()
            receiver.took_connection(self.connection)

        def finish(self):
            receiver.lost_connection(self.connection)
            super().finish()

        def do_POST(self):
            early = receiver.early(self.headers)
            if early is not None:
                self.close_connection = True
                self.wfile.write(self.bytes_of(early))
                self.wfile.flush()
                early.after.wait(60)
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reply = receiver.take(self.headers, body)
            if not reply.is_answer() or reply.then_close or reply.endless:
                self.close_connection = True
            if reply.close:
                return
            if reply.cut:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                return
            self.wfile.write(reply.first + (self.bytes_of(reply) if reply.raw is None else reply.raw))
            while reply.endless:
                self.wfile.write(reply.endless)

        def bytes_of(self, reply: Reply) -> bytes:
            headers = {"Content-Length": str(len(reply.body)), **reply.headers}
            lines = [f"HTTP/1.1 {reply.status} x", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
            return "\r\n".join(lines).encode() + reply.body

        def log_message(self, *_):
            pass

    return Handler
