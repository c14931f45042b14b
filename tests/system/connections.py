"""Connections that do not behave: nothing they send is accepted by mistake, and nobody else notices them."""

import json
import resource
import socket
import struct
import time
import unittest

from client import receipt_of
from harness import SystemTest, pipeline, record_figure, resident_mb
from raw_http import RawConnection
from waiting import eventually

MESSAGES = "/v1/pipelines/p/messages"
POST = f"POST {MESSAGES} HTTP/1.1\r\nHost: x\r\n".encode()
BEHIND = POST + b"Idempotency-Key: smuggled\r\nContent-Length: 4\r\n\r\nevil"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

# What two programs may read differently: a header section, what follows it, and the status it gets.
AMBIGUOUS = {
    "both lengths": (b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n", 400),
    "both lengths, chunks first": (CHUNKED + b"Content-Length: 4\r\n", b"0\r\n\r\n", 400),
    "two lengths": (b"Content-Length: 4\r\nContent-Length: 5\r\n", b"helloo", 400),
    "the same length twice": (b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello", 400),
    "a list of lengths": (b"Content-Length: 5, 5\r\n", b"hello", 400),
    "a signed length": (b"Content-Length: +5\r\n", b"hello", 400),
    "a hexadecimal length": (b"Content-Length: 0x5\r\n", b"hello", 400),
    "a fraction of a length": (b"Content-Length: 5.0\r\n", b"hello", 400),
    "an empty length": (b"Content-Length: \r\n", b"hello", 400),
    "a length in words": (b"Content-Length: 5 bytes\r\n", b"hello", 400),
    "chunked and identity": (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n", 501),
    "nearly chunked": (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n", 501),
    "chunked with a parameter": (b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n", 501),
    "chunked behind a vertical tab": (b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n", 400),
    "chunked twice": (CHUNKED + CHUNKED, b"0\r\n\r\n", 501),
    "chunked in a list": (b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n", 501),
    "a space before the colon": (b"Content-Length : 5\r\n", b"hello", 400),
    "a folded header": (b"Content-Length:\r\n 5\r\n", b"hello", 400),
    "a folded first header": (b" Content-Length: 5\r\n", b"hello", 400),
    "a bare line feed": (b"A: b\nContent-Length: 5\r\n", b"hello", 400),
    "a bare carriage return": (b"A: b\rContent-Length: 5\r\n", b"hello", 400),
    "a NUL in a value": (b"A: \0\r\nContent-Length: 5\r\n", b"hello", 400),
    "a NUL in a name": (b"A\0: b\r\nContent-Length: 5\r\n", b"hello", 400),
    "no name": (b": b\r\nContent-Length: 5\r\n", b"hello", 400),
    "a chunk size with a sign": (CHUNKED, b"+5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk size with 0x": (CHUNKED, b"0x5\r\nhello\r\n0\r\n\r\n", 400),
    "two chunk sizes": (CHUNKED, b"5 5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk size that overflows": (CHUNKED, b"10000000000000005\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk of all there is": (CHUNKED, b"fffffffffffffff\r\nhello\r\n0\r\n\r\n", 413),
    "a chunk that ends elsewhere": (CHUNKED, b"4\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk with a bare line feed": (CHUNKED, b"5\nhello\r\n0\r\n\r\n", 400),
    "an endless chunk extension": (CHUNKED, b"5;a=" + b"b" * 9000 + b"\r\nhello\r\n0\r\n\r\n", 400),
    "endless trailers": (CHUNKED, b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 2000 + b"\r\n", 400),
    "a trailer with a bare line feed": (CHUNKED, b"5\r\nhello\r\n0\r\nA: b\n\r\n", 400),
}

# Requests that are none, or not for us.
OTHERS = {
    "authority-form": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    "a host as target": (b"GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "another scheme": (b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a NUL in the target": (b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a fragment": (b"GET /livez#a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "two hosts": (b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", 400),
    "HTTP/1.0 with chunks": (b"POST / HTTP/1.0\r\nHost: x\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "an HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a TLS hello": (b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03" + bytes(range(11, 250)), 400),
    "a TLS hello without line feeds": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 9000, 414),
    "a long header": (b"GET /livez HTTP/1.1\r\nA: " + b"b" * 40_000 + b"\r\n\r\n", 431),
    "many headers": (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 300 + b"\r\n", 431),
}


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Connections(SystemTest):
    def setUp(self):
        super().setUp()
        book = self.receiver()
        self.running = self.supervisor(self.config([pipeline("p", [{"name": "d", "url": book.url()}])]))

    def connect(self) -> socket.socket:
        host, port = self.running.http.rsplit(":", 1)
        made = socket.create_connection((host, int(port)), timeout=30)
        self.addCleanup(made.close)
        return made

    def accepted(self) -> int:
        return self.running.destination("p", "d")["accepted"]

    def assert_refused(self, request: bytes, status: int) -> None:
        """With one problem, after which nothing is read from that connection."""
        connection = RawConnection(self.running.http)
        self.addCleanup(connection.close)
        connection.send(request + BEHIND)
        answer = connection.answer()
        self.assertEqual((answer.status, answer.headers["content-type"]), (status, "application/problem+json"))
        self.assertTrue(json.loads(answer.body)["detail"])
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(connection.at_end(), "something was answered behind it")

    def test_what_two_programs_may_read_differently_is_refused_and_nothing_behind_it_is_read(self):
        for name, (headers, rest, status) in AMBIGUOUS.items():
            with self.subTest(name):
                self.assert_refused(POST + headers + b"\r\n" + rest, status)
        for name, (request, status) in OTHERS.items():
            with self.subTest(name):
                self.assert_refused(request, status)
        self.assertEqual(self.accepted(), 0)
        self.assertEqual(receipt_of(self.running.submit("p", b"good")).position, 1)

    def test_junk_behind_a_good_request_takes_nothing_back_and_adds_nothing(self):
        connection = RawConnection(self.running.http)
        self.addCleanup(connection.close)
        good = POST.replace(b"/v1", b"http://x/v1") + b"Content-Length: 4\r\n\r\ngood"
        connection.send(good + b"junk\r\n\r\n" + BEHIND)
        self.assertEqual(connection.answer().status, 202)
        self.assertEqual(connection.answer().status, 400)
        self.assertTrue(connection.at_end())
        self.assertEqual(self.accepted(), 1)

    def test_a_reset_at_any_byte_of_a_request_accepts_nothing(self):
        request = POST + b"Content-Type: text/plain\r\n" + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"
        for size in range(len(request)):
            connection = self.connect()
            connection.sendall(request[:size])
            reset(connection)
        self.assertEqual(receipt_of(self.running.submit("p", b"good")).position, 1)
        eventually("only that is accepted", lambda: self.accepted() == 1)

    def test_two_thousand_idle_connections_and_hundreds_that_stop_halfway_disturb_nobody(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.running.submit_all("p", [f"warm{number}" for number in range(50)])
        before = resident_mb(self.running.pid)
        for _ in range(2000):
            self.connect()
        for number in range(300):
            half = POST + b"Content-Length: 100\r\n\r\nhalf"
            self.connect().sendall(half[: 20 + number % (len(half) - 20)])
        started = time.monotonic()
        self.running.submit_all("p", [f"m{number}" for number in range(200)])
        took = time.monotonic() - started
        self.running.wait_until_settled("p", "d", 250)
        self.assertEqual(self.accepted(), 250)
        grown = resident_mb(self.running.pid) - before
        self.assertLess(grown, 40, "idle connections take much memory")
        record_figure("2,000 idle and 300 half-open connections, memory", f"{grown:.1f} MB")
        record_figure("… and a submission beside them", f"{1000 * took / 200:.1f} ms")

    def test_clients_that_do_not_read_their_answers_are_not_answered_for_ever(self):
        self.running.submit_all("p", [f"warm{number}" for number in range(50)])
        before = resident_mb(self.running.pid)
        asked = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000
        for _ in range(50):
            connection = self.connect()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            try:
                while asked:
                    connection.send(asked)
            except BlockingIOError:
                pass  # the server reads no further
        self.running.submit_all("p", [f"m{number}" for number in range(100)])
        self.running.wait_until_settled("p", "d", 150)
        grown = resident_mb(self.running.pid) - before
        self.assertLess(grown, 40, "answers that nobody reads pile up")
        record_figure("50 clients that read no answers, memory", f"{grown:.1f} MB")


if __name__ == "__main__":
    unittest.main()
