"""Stands between a client and a Redis, and loses an answer when it is told to: what was asked is done, and nobody hears."""

import os
import socket
import threading


class ReplyLoser:
    def __init__(self, server: str, folder: str, marks: bytes):
        """Listens on `path`; only answers to what has `marks` in it are lost."""
        self.path = os.path.join(folder, "loser.sock")
        self.lost = 0
        self._server = server
        self._marks = marks
        self._armed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_next(self) -> None:
        """The next such answer; its connection ends."""
        self._armed.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

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
            loses = threading.Event()
            back = threading.Thread(target=self._pass_back, args=(server, client, loses), daemon=True)
            back.start()
            self._pass_on(client, server, loses)
            back.join()

    def _pass_on(self, client: socket.socket, server: socket.socket, loses: threading.Event) -> None:
        for data in pieces(client):
            if self._armed.is_set() and self._marks in data:
                self._armed.clear()
                loses.set()
            if not sent(server, data):
                break
        end(server)

    def _pass_back(self, server: socket.socket, client: socket.socket, loses: threading.Event) -> None:
        for data in pieces(server):
            if loses.is_set():
                self.lost += 1
                end(server)
                break
            if not sent(client, data):
                break
        end(client)


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
