"""Starts the programs of the demonstration and ends them again, whatever happens."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque

READY = re.compile(r"\bready\b.*?\bhttp=(\S+)")

LOG_LINES_SHOWN = 20


class ProgramError(Exception):
    """A program did not start, or ended before its time; the text ends with its last lines."""


class Program:
    """A running program whose lines are read for `ready http=HOST:PORT` and kept in a log file."""

    def __init__(self, name: str, command: list, log_path: str, ready_on: str, **popen):
        """`ready_on`: "stdout" or "stderr", where the lines come; the other one is ours."""
        self.name = name
        self.address = ""
        self._last_lines = deque(maxlen=LOG_LINES_SHOWN)
        self._settled = threading.Event()
        try:
            # A session of its own: Ctrl-C is for us, and we end our programs in their order.
            self._process = subprocess.Popen(
                command, start_new_session=True, stdin=subprocess.PIPE, **{ready_on: subprocess.PIPE}, **popen
            )
        except OSError as error:
            raise ProgramError(f"{name} does not start: {error}") from error
        self._reader = threading.Thread(
            target=self._read, args=(getattr(self._process, ready_on), log_path), daemon=True
        )
        self._reader.start()

    def wait_until_ready(self, seconds: float) -> str:
        """The address that the program listens on. Raises ProgramError."""
        if not self._settled.wait(seconds):
            raise self.failure(f"is not ready after {seconds:.0f} s")
        if not self.address:
            raise self.failure(f"ended with {self._process.wait()} before it was ready")
        return self.address

    def ended(self):
        """The exit code, or None while it runs."""
        return self._process.poll()

    def stop(self, seconds: float) -> int:
        """Asks the program to end (SIGTERM), ends it if it does not, and returns its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        return self._process.wait()

    def kill(self) -> None:
        """Ends the program and what it started, at once."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def failure(self, what: str) -> ProgramError:
        """An error that says what happened to this program, and its last lines."""
        self._reader.join(1.0 if self._process.poll() is not None else 0.0)
        return ProgramError("\n  | ".join([f"{self.name} {what}", *self._last_lines]))

    def _read(self, lines, log_path: str) -> None:
        with open(log_path, "wb") as log:
            for line in lines:
                log.write(line)
                text = line.decode(errors="replace").rstrip()
                self._last_lines.append(text)
                ready = None if self.address else READY.search(text)
                if ready:
                    self.address = ready.group(1)
                    self._settled.set()
        self._settled.set()


def python(script: str) -> list:
    """The command that runs a script beside this file."""
    return [sys.executable, "-B", os.path.join(os.path.dirname(os.path.abspath(__file__)), script)]
