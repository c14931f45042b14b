"""Stands between clients and a server, on unix sockets. Who derives from it says what is passed on, and how."""

import socket
import threading


class UnixRelay:
    def __init__(self, path: str, server: str):
        """Listens on `path`; `server` is the path of the server's socket."""
        self.path = path
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def relay(self, client: socket.socket, server: socket.socket) -> None:
        """A connection, from its beginning to its end: one thread a direction."""
        raise NotImplementedError

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # it was closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(self._server)
            except OSError:
                return  # there is none
            self.relay(client, server)


def pieces(of: socket.socket):
    while True:
        try:
            data = of.recv(1 << 16)
        except OSError:
            return
        if not data:
            return
        yield data


def sent(to: socket.socket, data: bytes) -> bool:
    try:
        to.sendall(data)
    except OSError:
        return False
    return True


def end(one: socket.socket) -> None:
    """Whoever reads from it, here or there, sees its end."""
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended
