"""Stands between a client and a Redis, and loses an answer when it is told to: what was asked is done, and nobody hears."""

import os
import socket
import threading

from unix_relay import UnixRelay, end, pieces, sent


class ReplyLoser(UnixRelay):
    def __init__(self, server: str, folder: str, marks: bytes):
        """Only answers to what has `marks` in it are lost."""
        self.lost = 0
        self._marks = marks
        self._armed = threading.Event()
        super().__init__(os.path.join(folder, "loser.sock"), server)

    def lose_next(self) -> None:
        """The next such answer; its connection ends."""
        self._armed.set()

    def relay(self, client: socket.socket, server: socket.socket) -> None:
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
