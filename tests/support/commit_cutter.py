"""Stands between a client and a PostgreSQL server, and ends the client's connection in a commit when it is told to."""

import collections
import enum
import os
import re
import socket
import tempfile
import threading

from unix_relay import UnixRelay, end, pieces, sent

SOCKET = ".s.PGSQL.5432"
WROTE = re.compile(rb"(INSERT 0|UPDATE|DELETE) [1-9]")


class Cut(enum.Enum):
    UNHEARD = "done, and nobody heard"
    NEVER = "not done"
    LATE = "done late"  # by the old backend, when the client is back and waits for it


class CommitCutter(UnixRelay):
    def __init__(self, server_folder: str, marks: bytes):
        """Only commits of transactions that have written, and in which the client said something with `marks`, are cut."""
        self.done = collections.Counter()  # by kind: those of which it is certain that they were so
        self.broken_off = 0  # the server ended the session before it had committed
        self.marks = marks
        self.orders = collections.deque()
        self._late = None  # the session whose commit is kept back
        self._folder = tempfile.TemporaryDirectory(prefix="reseq-cutter-")
        super().__init__(os.path.join(self._folder.name, SOCKET), os.path.join(server_folder, SOCKET))

    def through(self, url: str, server_folder: str) -> str:
        """A URL of the server's, by way of this."""
        return url.replace(server_folder, self._folder.name)

    def cut_next(self, how: Cut) -> None:
        self.orders.append(how)

    def kept_back(self) -> int:
        """The process id of the backend whose commit is being kept back; 0: there is none."""
        late = self._late
        return late.backend if late else 0

    def let_go(self) -> None:
        self._late.let_go.set()
        self._late = None

    def relay(self, client: socket.socket, server: socket.socket) -> None:
        session = _Session(self, client, server)
        back = threading.Thread(target=session.pass_back, daemon=True)
        back.start()
        session.pass_on()
        back.join()

    def close(self) -> None:
        super().close()
        self._folder.cleanup()

    def keep_back(self, session) -> None:
        self._late = session


class _Session:
    """One connection. The client says nothing more before its commit is answered."""

    def __init__(self, cutter: CommitCutter, client: socket.socket, server: socket.socket):
        self.backend = 0
        self.let_go = threading.Event()
        self._cutter = cutter
        self._client = client
        self._server = server
        self._cut = None
        self._wrote = False

    def pass_on(self) -> None:
        is_marked = False
        for kind, message in messages(self._client, has_kind=False):
            is_marked = is_marked or self._cutter.marks in message
            if is_commit(kind, message):
                self._cut = self._take_order() if is_marked and self._wrote else None
                is_marked = self._wrote = False
            if self._cut is not None:
                self._cut_off(message)
                return
            if not sent(self._server, message):
                break
        end(self._server)

    def _take_order(self):
        """None: the commit is not to be cut."""
        try:
            return self._cutter.orders.popleft()
        except IndexError:
            return None

    def _cut_off(self, commit: bytes) -> None:
        if self._cut is Cut.NEVER:
            end(self._server)
            end(self._client)
            self._cutter.done[Cut.NEVER] += 1
            return
        if self._cut is Cut.LATE:
            end(self._client)
            self._cutter.keep_back(self)
            self.let_go.wait()
        if not sent(self._server, commit):
            end(self._client)

    def pass_back(self) -> None:
        for kind, message in messages(self._server):
            if kind == b"K":
                self.backend = int.from_bytes(message[5:9], "big")
            if self._cut is None:
                self._wrote = self._wrote or (kind == b"C" and WROTE.match(message, 5) is not None)
                if not sent(self._client, message):
                    break
            elif kind == b"C" and message[5:] == b"COMMIT\0":
                end(self._client)
                self._cutter.done[self._cut] += 1
                break
        else:
            self._cutter.broken_off += self._cut in (Cut.UNHEARD, Cut.LATE)
        end(self._server)
        end(self._client)


def is_commit(kind: bytes, message: bytes) -> bool:
    return kind == b"Q" and message[5:].rstrip(b"; \0").upper() == b"COMMIT"


def messages(of: socket.socket, has_kind: bool = True):
    """Each as (kind, all of its bytes): a letter, the length of the rest in four bytes, these included, and the rest.
    What a client says first has no letter."""
    unread = b""
    for data in pieces(of):
        unread += data
        while len(unread) >= 4 + has_kind:
            length = has_kind + int.from_bytes(unread[has_kind : 4 + has_kind], "big")
            if len(unread) < length:
                break
            yield unread[:has_kind], unread[:length]
            unread = unread[length:]
            has_kind = True
