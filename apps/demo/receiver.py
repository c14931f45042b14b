#!/usr/bin/env python3
"""A destination's receiver: applies each message to a git repository, in the order in which they arrive.

POST /commits applies a delivery with `git fast-import` and answers 200 once git has taken it; git itself fails on a
piece of history whose past has not arrived. GET /status tells how far it is. A delivery that came before under the same
delivery id is recorded and not applied again. Ends on SIGTERM, or when its standard input ends, after git wrote
everything out.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import history
import ledger

REMEMBERED_VIOLATIONS = 10


class ApplyError(Exception):
    """git refused a piece of history."""


class Importer:
    """A running `git fast-import` into a new repository. Not for several threads at once."""

    def __init__(self, repository: str, marks: str):
        history.git(".", "init", "--quiet", "--bare", repository)
        command = ["git", "-C", repository, "fast-import", "--quiet", "--force", "--done"]
        command.append(f"--export-marks={os.path.abspath(marks)}")
        self._git = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=history.git_environment()
        )

    def apply(self, piece: bytes, name: str) -> None:
        """Returns when git has taken the piece; `name` has no line breaks. Raises ApplyError when it refuses it."""
        echo = f"progress {name}\n".encode()
        try:
            self._git.stdin.write(piece + echo)
            self._git.stdin.flush()
            answer = self._git.stdout.readline()
        except (OSError, ValueError):
            answer = b""
        if answer != echo:
            raise ApplyError(f"git fast-import refused {name}: it needs what has not arrived")

    def finish(self) -> bool:
        """Lets git write everything out; true if it succeeded."""
        try:
            self._git.stdin.write(b"done\n")
            self._git.stdin.close()
        except (OSError, ValueError):
            pass
        return self._git.wait() == 0


class Receiver:
    """What arrived, in order, and what was wrong with it. Any thread."""

    def __init__(self, importer: Importer, arrivals):
        self._lock = threading.Lock()
        self._importer = importer
        self._arrivals = arrivals
        self._digests = {}
        self._last_sequence = 0
        self._redelivered = 0
        self._violations = []
        self._error = ""

    def take(self, arrival: ledger.Arrival, body: bytes) -> None:
        """Records the arrival and, the first time, applies it. Raises ApplyError."""
        with self._lock:
            if self._error:
                raise ApplyError(self._error)
            self._arrivals.write(ledger.line_of(arrival))
            known = self._digests.get(arrival.delivery_id)
            if known is not None:
                self._redelivered += 1
                if known != arrival.sha256:
                    self._violation(f"{arrival.delivery_id} was delivered again with other content")
                return
            self._check_order(arrival)
            self._apply(arrival, body)
            self._digests[arrival.delivery_id] = arrival.sha256

    def status(self) -> dict:
        # Without the lock: git may hold it for long over a large commit, and each of these is read in one step.
        return {
            "arrived": len(self._digests),
            "redelivered": self._redelivered,
            "violations": list(self._violations),
            "error": self._error,
        }

    def finish(self) -> bool:
        """Lets git write everything out; true if it succeeded."""
        with self._lock:
            self._error = self._error or "the receiver has ended"
            return self._importer.finish()

    def _check_order(self, arrival: ledger.Arrival) -> None:
        if arrival.sequence <= self._last_sequence or arrival.previous != self._last_sequence:
            self._violation(
                f"sequence {arrival.sequence} (after {arrival.previous}) arrived after {self._last_sequence}"
            )
        self._last_sequence = arrival.sequence

    def _apply(self, arrival: ledger.Arrival, body: bytes) -> None:
        try:
            self._importer.apply(body, arrival.delivery_id)
        except ApplyError as error:
            self._error = str(error)
            raise

    def _violation(self, what: str) -> None:
        if len(self._violations) < REMEMBERED_VIOLATIONS:
            self._violations.append(what)


def handler_for(receiver: Receiver) -> type:
    """The request handler of one receiver."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == "/status":
                self._answer(200, json.dumps(receiver.status()))
            else:
                self._answer(404, "there is only /status here\n")

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                self.close_connection = True
                self._answer(411, "a delivery has a Content-Length\n")
                return
            body = self.rfile.read(int(length))
            try:
                arrival = self._arrival(body)
            except (TypeError, ValueError) as error:
                self._answer(400, f"not a delivery: {error}\n")
                return
            try:
                receiver.take(arrival, body)
                self._answer(200, "")
            except ApplyError as error:
                self._answer(500, f"{error}\n")

        def log_message(self, *_) -> None:
            pass

        def _arrival(self, body: bytes) -> ledger.Arrival:
            if self.path != "/commits":
                raise ValueError("deliveries go to /commits")
            headers = self.headers
            for needed in ("Idempotency-Key", "Reseq-Message-Id"):
                if not headers.get(needed) or headers[needed].split() != [headers[needed]]:
                    raise ValueError(f"{needed} is missing or has spaces")
            return ledger.Arrival(
                headers["Idempotency-Key"],
                int(headers["Reseq-Sequence"]),
                int(headers["Reseq-Previous-Sequence"]),
                headers["Reseq-Message-Id"],
                len(body),
                ledger.digest(body),
            )

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

    return Handler


def wait_for_end_of_input(stop: threading.Event) -> None:
    """Whoever started us holds the other end: its death, however sudden, is ours."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repository", required=True, help="made anew, bare")
    arguments.add_argument("--marks", required=True, metavar="FILE", help="which mark became which commit")
    arguments.add_argument("--arrivals", required=True, metavar="FILE", help="the raw list of arrivals")
    arguments.add_argument("--port", type=int, default=0)
    options = arguments.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    with open(options.arrivals, "w", encoding="ascii") as arrivals:
        receiver = Receiver(Importer(options.repository, options.marks), arrivals)
        server = ThreadingHTTPServer(("127.0.0.1", options.port), handler_for(receiver))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=wait_for_end_of_input, args=(stop,), daemon=True).start()
        print(f"ready http=127.0.0.1:{server.server_port}", flush=True)
        stop.wait()
        server.shutdown()
        return 0 if receiver.finish() else 1


if __name__ == "__main__":
    sys.exit(main())
