"""A Redis of a test's own: in a temporary directory, on a unix socket, ended with the test."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from unix_relay import end
from waiting import PATIENCE_SECONDS, eventually

PR_SET_PDEATHSIG = 1


class RedisServer:
    def __init__(self, *settings: str):
        """`settings` as on the command line; it saves only when it is told to."""
        self.folder = tempfile.mkdtemp(prefix="reseq-redis-")
        self._settings = settings
        self._process = None
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}"

    def start(self) -> None:
        log = open(os.path.join(self.folder, "server.log"), "ab")  # noqa: SIM115: the server's
        with log:
            self._process = subprocess.Popen(["redis-server", *self._arguments()], stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, preexec_fn=self._in_child)  # fmt: skip
        eventually("Redis answers", lambda: self.ask("PING") == "PONG")

    def ask(self, *words: str):
        """What Redis answers to one command: text, a number, None or a list of these."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(self.socket_path)
            encoded = [word.encode() for word in words]
            connection.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded))
            with connection.makefile("rb") as answer:
                return read_answer(answer)

    @contextlib.contextmanager
    def evictions(self):
        """A list to which meanwhile the names of the keys are added that it evicts."""
        names = []
        self.ask("CONFIG", "SET", "notify-keyspace-events", "Ee")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket_path)
            connection.sendall(b"PSUBSCRIBE __keyevent@*__:evicted\r\n")
            with connection.makefile("rb") as answers:
                read_answer(answers)
                reading = threading.Thread(target=_add_names, args=(answers, names), daemon=True)
                reading.start()
                try:
                    yield names
                finally:
                    end(connection)
                    reading.join()

    def memory_peak(self) -> int:
        """The most bytes that it has used since it was started."""
        return self.info("memory", "used_memory_peak")

    def info(self, section: str, name: str) -> int:
        return int(self.info_text(section, name))

    def info_text(self, section: str, name: str) -> str:
        lines = dict(line.split(":", 1) for line in self.ask("INFO", section).splitlines() if ":" in line)
        return lines[name]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def socket_path(self) -> str:
        return os.path.join(self.folder, "redis.sock")

    def _arguments(self) -> list:
        return ["--port", "0", "--unixsocket", self.socket_path, "--dir", self.folder, "--save", "", *self._settings]

    @staticmethod
    def _in_child() -> None:
        """The server ends with the test, however that ends."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _add_names(events, names: list) -> None:
    with contextlib.suppress(OSError):
        while True:
            names.append(read_answer(events)[3])


def read_answer(file):
    line = file.readline()
    if not line.endswith(b"\r\n"):
        raise OSError("Redis has closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise OSError(f"Redis: {rest.decode()}")
    if kind == b"+":
        return rest.decode()
    if kind == b":":
        return int(rest)
    if int(rest) < 0:
        return None
    if kind == b"*":
        return [read_answer(file) for _ in range(int(rest))]
    return file.read(int(rest) + 2)[:-2].decode(errors="surrogateescape")
