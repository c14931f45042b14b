"""HTTP as bytes, for requests that no client library sends."""

import socket

from waiting import PATIENCE_SECONDS


class RawAnswer:
    def __init__(self, head: bytes, body: bytes):
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.body = body


class RawConnection:
    """Sends whatever it is told to, and reads answers one by one."""

    def __init__(self, address: str):
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """What the peer does not take because it has closed is left out: its answer says why."""
        try:
            self._socket.sendall(data)
        except ConnectionError:
            pass

    def end(self) -> None:
        """Nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self, to_head: bool = False) -> RawAnswer:
        """The next answer; one to HEAD has no body."""
        while b"\r\n\r\n" not in self._buffer:
            self._read("a header")
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        read = RawAnswer(head, b"")
        length = 0 if to_head or read.status < 200 else int(read.headers["content-length"])
        while len(self._buffer) < length:
            self._read("a body")
        read.body, self._buffer = self._buffer[:length], self._buffer[length:]
        return read

    def at_end(self) -> bool:
        """Waits until the peer has closed; false if it sends something instead."""
        try:
            return not self._buffer and self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._socket.close()

    def _read(self, what: str) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise AssertionError(f"the connection was closed instead of {what}; got {self._buffer[:200]!r}")
        self._buffer += data
