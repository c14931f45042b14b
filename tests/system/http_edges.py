"""HTTP at its edges: whatever comes in gets a clear answer, and nothing else changes."""

import json
import socket
import unittest

import client
from book import check_book
from client import digest, receipt_of
from harness import SystemTest, pipeline
from raw_http import RawConnection
from waiting import eventually

MAX_MESSAGE = 4096
MESSAGES = "/v1/pipelines/p/messages"
POST = f"POST {MESSAGES} HTTP/1.1\r\nHost: x\r\n".encode()
PROBLEM = "application/problem+json"


def post(body: bytes, headers: str = "") -> bytes:
    return POST + f"{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


class HttpTest(SystemTest):
    def setUp(self):
        super().setUp()
        self.book = self.receiver()
        self.start()

    def start(self, token: str = "", http: dict = None, **destination):
        destinations = [{"name": "d", "url": self.book.url(), **destination}]
        limits = {"max_message": f"{MAX_MESSAGE}B", "max_batch": "64KiB", **(http or {})}
        self.running = self.supervisor(self.config([pipeline("p", destinations)], http=limits), token)

    def connect(self) -> RawConnection:
        made = RawConnection(self.running.http)
        self.addCleanup(made.close)
        return made

    def assert_problem(self, answer, status: int, detail: str = ""):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], PROBLEM)
        problem = json.loads(answer.body)
        self.assertEqual(problem["status"], status)
        self.assertTrue(problem["title"])
        self.assertRegex(problem["detail"], detail or ".")

    def assert_nothing_accepted(self, before: int = 0):
        """And the next good message gets the next position."""
        self.assertEqual(self.running.destination("p", "d")["accepted"], before)
        self.assertEqual(receipt_of(self.running.submit("p", b"good")).position, before + 1)


class Malformed(HttpTest):
    def test_each_malformed_request_gets_its_own_problem_and_changes_nothing(self):
        long = "x" * 9000
        cases = [
            ("no request line", b"GARBAGE\r\n\r\n", 400, "request line"),
            ("binary", b"\x16\x03\x01\x00\xee\x01\r\n\r\n", 400, ""),
            ("another version", POST.replace(b"1.1", b"2.0") + b"\r\n", 505, "HTTP/1.1"),
            ("an unknown method", b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501, "BREW"),
            ("no host", POST.replace(b"Host: x\r\n", b"") + b"Content-Length: 1\r\n\r\nx", 400, "Host"),
            ("a long start line", f"GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 414, "start line"),
            ("many bytes of headers", POST + f"A: {long}\r\n".encode() * 4 + b"\r\n", 431, "header"),
            ("many headers", POST + b"A: b\r\n" * 2000 + b"\r\n", 431, "header"),
            ("no colon", POST + b"Colon\r\n\r\n", 400, "colon"),
            ("a folded header", POST + b"A: b\r\n c\r\n\r\n", 400, "folded"),
            ("a NUL in a header", POST + b"A: \0\r\n\r\n", 400, "control character"),
            ("no length", POST.replace(b"1.1", b"1.0") + b"\r\n", 411, "Content-Length"),
            ("a negative length", POST + b"Content-Length: -1\r\n\r\n", 400, "Content-Length"),
            ("a length that is none", POST + b"Content-Length: 1x\r\n\r\nx", 400, "Content-Length"),
            ("two lengths", POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400, "Content-Length"),
            ("length and chunks", POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""),
            ("another coding", POST + b"Transfer-Encoding: gzip\r\n\r\nx", 501, "chunked"),
            ("a chunk without a size", POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n", 400, "chunk"),
            ("another expectation", post(b"x", "Expect: miracles\r\n"), 417, "100-continue"),
            ("a large body", POST + f"Content-Length: {MAX_MESSAGE + 1}\r\n\r\n".encode(), 413, str(MAX_MESSAGE)),
            ("an endless length", POST + b"Content-Length: 99999999999999999999999\r\n\r\n", 400, ""),
            ("two ids", post(b"x", "Idempotency-Key: a\r\nIdempotency-Key: b\r\n"), 400, "more than once"),
            ("an empty destination", post(b"x", "Reseq-Destinations: d,,\r\n"), 400, "empty entry"),
            ("a misspelt header", post(b"x", "reseq-keyy: k\r\n"), 400,
             "'reseq-keyy': is no header .*Reseq-Key and Reseq-Destinations"),
            ("a version", post(b"x", "Reseq-Expect-Version: 1\r\n"), 400, "not available"),
        ]
        for name, request, status, detail in cases:
            with self.subTest(name):
                connection = self.connect()
                connection.send(request)
                self.assert_problem(connection.answer(), status, detail)
                connection.close()
        self.assert_nothing_accepted()

    def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(self):
        connection = self.connect()
        connection.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        self.assert_problem(connection.answer(), 413, str(MAX_MESSAGE))
        self.assertTrue(connection.at_end())
        self.assert_nothing_accepted()

    def test_half_a_request_is_no_request(self):
        for request in (POST, POST + b"Content-Length: 10\r\n\r\nhalf", post(b"12345")[:-1]):
            connection = self.connect()
            connection.send(request)
            connection.end()
            connection.at_end()
        self.assert_nothing_accepted()

    def test_the_largest_message_is_accepted_whole_and_one_more_byte_is_not(self):
        body = self.random.randbytes(MAX_MESSAGE)
        self.assertEqual(self.running.submit("p", body, "a").status, 202)
        self.assertEqual(self.running.submit("p", body + b"x").status, 413)
        self.assertEqual(self.running.submit("p", b"", "empty").status, 202)
        self.running.wait_until_settled("p", "d", 2)
        sent = {"a": digest(body), "empty": digest(b"")}
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent))


class Paths(HttpTest):
    def test_what_is_not_there_is_404_and_what_takes_another_method_405(self):
        there = "/v1/pipelines/p"
        for method, path, status in (
            ("GET", "/nothing", 404), ("GET", "/v1/pipelines/none", 404), ("POST", "/v1/pipelines/none/messages", 404),
            ("GET", f"{there}/destinations/none", 404), ("POST", f"{there}/destinations/none/pause", 404),
            ("GET", f"{there}/messages/0:1", 404), ("GET", f"{there}/messages/1:1", 404),
            ("GET", f"{there}/messages/0:0", 404), ("GET", f"{there}/messages/x", 404),
            ("GET", f"{there}/messages/0:99999999999999999999", 404), ("GET", f"{there}/../p", 404),
            ("GET", f"{MESSAGES}?id=none", 404), ("PUT", f"{MESSAGES}", 405), ("DELETE", there, 405), ("POST", "/livez", 405), ("PUT", "/metrics", 405),
            ("GET", f"{there}/held/retry", 405), ("POST", f"{there}/held", 405),
        ):  # fmt: skip
            with self.subTest(f"{method} {path}"):
                answer = self.running.request(method, path)
                self.assert_problem(answer, status)
                self.assertEqual(answer.headers["Allow"] is not None, status == 405)
        self.assertEqual(self.running.request("PUT", MESSAGES).headers["Allow"], "POST, GET, HEAD")
        self.assert_problem(self.running.request("GET", f"{there}/messages/x"), 404, r"messages\?id=ID")
        for query in ("", "?id=", "?id=%", "?id=%4", "?id=%g0", "?id=a&b=c", "?no=a"):
            self.assert_problem(self.running.request("GET", MESSAGES + query), 400, r"\?id=ID")
        self.assertEqual(self.running.request("POST", "/livez").headers["Allow"], "GET, HEAD")
        self.assert_nothing_accepted()

    def test_an_unknown_destination_is_422_and_names_it(self):
        answer = self.running.submit("p", b"x", headers={"Reseq-Destinations": "d,elsewhere"})
        self.assert_problem(answer, 422, "elsewhere")
        self.assert_nothing_accepted()

    def test_head_answers_like_get_without_the_body(self):
        connection = self.connect()
        for path in ("/livez", "/v1/pipelines", "/metrics", "/nothing"):
            request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            connection.send(request)
            full = connection.answer()
            connection.send(request.replace(b"GET", b"HEAD"))
            head = connection.answer(to_head=True)
            self.assertEqual((head.status, head.headers["content-type"]), (full.status, full.headers["content-type"]))
            self.assertIn("content-length", head.headers)


class Connections(HttpTest):
    def test_chunks_and_100_continue_bring_a_body_like_any_other(self):
        connection = self.connect()
        headers = b"Content-Type: text/plain\r\nIdempotency-Key: a\r\nExpect: 100-continue\r\n"
        connection.send(POST + headers + b"Transfer-Encoding: chunked\r\n\r\n")
        self.assertEqual(connection.answer().status, 100)
        connection.send(b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n")
        self.assertEqual(connection.answer().status, 202)
        again = self.running.submit("p", b"abcde", "a")
        self.assertEqual((again.status, again.json()["duplicate"]), (200, True))

    def test_a_body_that_would_be_refused_is_not_invited(self):
        for headers, status in ((f"Content-Length: {MAX_MESSAGE + 1}\r\n", 413), ("Content-Length: 5\r\n", 404)):
            connection = self.connect()
            start = POST if status == 413 else POST.replace(b"/p/", b"/none/")
            connection.send(start + headers.encode() + b"Expect: 100-continue\r\n\r\n")
            self.assert_problem(connection.answer(), status)
        self.assert_nothing_accepted()

    def test_pipelined_requests_are_accepted_and_answered_in_order(self):
        connection = self.connect()
        parts = [post(b"x" * number, f"Idempotency-Key: m{number}\r\n") for number in range(1, 41)]
        connection.send(b"".join(parts))
        receipts = [json.loads(connection.answer().body) for _ in parts]
        self.assertEqual([receipt["id"] for receipt in receipts], [f"m{number}" for number in range(1, 41)])
        self.assertEqual([receipt["positions"][0]["position"] for receipt in receipts], list(range(1, 41)))

    def test_a_connection_is_kept_until_the_client_wants_it_closed(self):
        connection = self.connect()
        for status in (202, 202, 400, 202):
            connection.send(post(b"x", "Idempotency-Key: \r\n" if status == 400 else ""))
            self.assertEqual(connection.answer().status, status)
        connection.send(post(b"x", "Connection: close\r\n"))
        self.assertEqual(connection.answer().headers["connection"], "close")
        self.assertTrue(connection.at_end())

    def test_a_worker_that_was_started_meanwhile_keeps_no_connection_open(self):
        self.running.wait_for_workers(1)
        connection = self.connect()
        connection.send(post(b"x"))
        self.assertEqual(connection.answer().status, 202)
        self.running.kill_own_worker()
        self.running.wait_for_line("own worker was killed")
        eventually("there is another worker", self.running.own_workers)
        self.running.wait_for_workers(1)
        connection.send(post(b"x", "Connection: close\r\n"))
        self.assertEqual(connection.answer().status, 202)
        self.assertTrue(connection.at_end())


class CarriedHeaders(HttpTest):
    def test_more_of_them_than_receivers_take_is_refused(self):
        fits = {"ce-a": "x" * 4000, "ce-b": "x" * 4000}
        accepted = self.running.submit("p", b"x", "fits", fits)
        self.assertEqual(receipt_of(accepted).position, 1)
        refused = self.running.submit("p", b"x", "large", {**fits, "ce-c": "x" * 200})
        self.assertEqual((refused.status, refused.json()["field"]), (413, "headers"))
        self.assertIn("8212 bytes in all, more than http.max_carried allows (8192)", refused.json()["detail"])
        not_carried = self.running.submit("p", b"x", "other", {**fits, "x-other": "x" * 4000})
        self.assertEqual(receipt_of(not_carried).position, 2)
        lines = [{"id": "b1", "payload": 1, "headers": {"ce-a": "x" * 9000}}, {"id": "b2", "payload": 1}]
        answer = self.running.request("POST", f"{MESSAGES}/batch", "\n".join(map(json.dumps, lines)).encode(),
                                      {"Content-Type": "application/x-ndjson"})  # fmt: skip
        first, second = map(json.loads, answer.body.splitlines())
        self.assertEqual((first["status"], second["positions"][0]["position"]), (413, 3))
        self.running.wait_until_settled("p", "d", 3)

    def test_a_receiver_that_finds_them_too_large_refuses_the_message(self):
        self.book.answer = lambda request: 431 if request.headers.get("ce-a") else 200
        self.running.submit("p", b"x", "large", {"ce-a": "x"})
        self.running.submit("p", b"x", "small")
        held = eventually("it is held", lambda: self.running.get("/v1/pipelines/p/held")["held"])[0]
        self.assertEqual((held["position"], held["reason"]), (1, "refused"))
        self.assertEqual(self.running.post("/v1/pipelines/p/messages/0:1/skip").json()["changed"], 1)
        self.running.wait_until_settled("p", "d", 2)


class Batches(HttpTest):
    def post_batch(self, body: bytes):
        return self.running.request("POST", f"{MESSAGES}/batch", body, {"Content-Type": "application/x-ndjson"})

    def test_a_malformed_line_fails_the_whole_batch_with_its_number(self):
        good = b'{"id":"a","payload":1}\n'
        for name, line, detail in (
            ("no JSON", b"junk", "line 3"), ("cut off", b'{"id":"b","payload":"x', "line 3"),
            ("no object", b"[1]", "line 3.*object"), ("no payload", b'{"id":"b"}', "line 3.*payload"),
            ("unknown field", b'{"payload":1,"colour":"red"}', "line 3.*colour"),
            ("an id too long", b'{"payload":1,"id":"' + b"x" * 256 + b'"}', "line 3.*id"),
            ("no base64", b'{"payload_base64":"***"}', "line 3.*payload_base64"),
            ("no UTF-8", b'{"payload":"\xff"}', "line 3"),
            ("two payloads", b'{"payload":1,"payload_base64":""}', "line 3.*payload"),
        ):  # fmt: skip
            with self.subTest(name):
                self.assert_problem(self.post_batch(good + b"\n" + line + b"\n" + good), 400, f"{detail}.*nothing of the batch is accepted")
        self.assert_nothing_accepted()

    def test_what_a_header_says_of_one_message_is_refused_with_a_batch(self):
        for name in ("Reseq-Key", "Reseq-Destinations", "Idempotency-Key", "Reseq-Expect-Version", "Reseq-Nonsense"):
            answer = self.running.request("POST", f"{MESSAGES}/batch", b'{"id":"x","payload":1}', {name: "d"})
            self.assert_problem(answer, 400, f"{name}.*nothing of the batch is accepted")
            line = json.dumps({"id": "y", "headers": {name: "d"}, "payload": 1}).encode()
            self.assert_problem(self.post_batch(line), 400, f"line 1: headers: {name}: .*nothing of the batch is accepted")

    def test_a_payload_that_is_too_large_fails_the_whole_batch(self):
        large = json.dumps({"payload": "x" * (MAX_MESSAGE + 1)}).encode()
        self.assert_problem(self.post_batch(b'{"payload":1}\n' + large), 413, "line 2")
        self.assert_problem(self.post_batch(b'{"payload":1}\n' * 6000), 413)
        self.assert_nothing_accepted()

    def test_a_batch_of_more_than_ten_thousand_messages_is_refused(self):
        other = {"data_dir": self.path("other")}
        at = self.supervisor(self.config([pipeline("p", [{"name": "d", "url": self.book.url()}])], node=other))
        headers = {"Content-Type": "application/x-ndjson"}
        line = b'{"payload":1}\n'
        self.assert_problem(at.request("POST", f"{MESSAGES}/batch", line * 10_001, headers), 413, "10000 messages")
        answer = at.request("POST", f"{MESSAGES}/batch", line * 10_000, headers)
        self.assertEqual((answer.status, answer.body.count(b'"positions"')), (200, 10_000))

    def test_bodies_that_come_slowly_in_chunks_keep_nobody_waiting(self):
        other = {"data_dir": self.path("other")}
        at = self.supervisor(self.config([pipeline("p", [{"name": "d", "url": self.book.url()}])], node=other))
        host, port = at.http.rsplit(":", 1)
        head = f"POST {MESSAGES}/batch HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        for _ in range(40):  # each may become as large as http.max_batch, and all memory is for 16 of those
            connection = socket.create_connection((host, int(port)), timeout=20)
            self.addCleanup(connection.close)
            connection.sendall(head.encode() + b"2000\r\n" + b" " * 5000)
        self.assertEqual(at.submit("p", bytes(200_000), "large").status, 202)

    def test_each_line_gets_its_own_receipt_or_problem_in_order(self):
        lines = [{"id": "a", "payload": {"n": 1}}, {"id": "b", "payload": "x", "destinations": ["none"]}]
        lines += [{"id": "c", "payload_base64": "AAE=", "destinations": ["d"], "key": "k"}]
        answer = self.post_batch("\n".join(map(json.dumps, lines)).encode())
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/x-ndjson"))
        first, second, third = map(json.loads, answer.body.splitlines())
        self.assertEqual((first["id"], first["positions"][0]["position"]), ("a", 1))
        self.assertEqual(second["status"], 422)
        self.assertEqual((third["id"], third["positions"][0]["position"]), ("c", 2))
        self.running.wait_until_settled("p", "d", 2)
        sent = {"a": digest(b'{"n":1}'), "c": digest(b"\x00\x01")}
        self.assert_nothing_wrong(check_book(self.book.entries("d"), sent))

    def test_an_empty_batch_is_no_mistake(self):
        self.assertEqual((self.post_batch(b"").status, self.post_batch(b"\n\n").body), (200, b""))


class Tokens(HttpTest):
    def start(self):
        super().start("boss", {"token": "producer", "control_token": "boss"})

    def ask(self, method: str, path: str, authorization: str):
        headers = {"Authorization": authorization} if authorization else {}
        return client.request(self.running.http, method, path, b"x" if method == "POST" else b"", headers)

    def test_only_the_right_token_opens_each_door(self):
        submit, control = ("POST", MESSAGES), ("GET", "/v1/pipelines")
        wrong = ["", "Bearer", "Bearer ", "Bearer wrong", "Basic producer", "Bearer producerx", "Bearer produce"]
        for authorization in [*wrong, "Bearer boss"]:
            with self.subTest(f"submit with {authorization!r}"):
                answer = self.ask(*submit, authorization)
                self.assert_problem(answer, 401)
                self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")
        for authorization in [*wrong, "Bearer producer"]:
            with self.subTest(f"control with {authorization!r}"):
                self.assert_problem(self.ask(*control, authorization), 401)
                self.assert_problem(self.ask("GET", "/metrics", authorization), 401)
                self.assert_problem(self.ask("POST", "/v1/pipelines/p/destinations/d/pause", authorization), 401)
        self.assertEqual(self.running.destination("p", "d")["state"], "running")
        self.assertEqual(self.ask("GET", "/livez", "").status, 200)
        self.assertEqual(self.ask("GET", "/readyz", "").status, 200)
        self.assertEqual(self.ask(*control, "Bearer boss").status, 200)
        self.assertEqual(self.ask(*submit, "Bearer producer").json()["positions"][0]["position"], 1)


class Full(HttpTest):
    def start(self):
        super().start(max_pending=5)
        self.assertEqual(self.running.post("/v1/pipelines/p/destinations/d/pause").status, 200)

    def test_a_full_destination_refuses_with_429_until_there_is_room(self):
        sent = self.running.submit_all("p", [f"m{number}" for number in range(5)])
        refused = self.running.submit("p", b"x", "one too many")
        self.assert_problem(refused, 429, "d")
        self.assertGreaterEqual(int(refused.headers["Retry-After"]), 1)
        self.assertEqual(self.running.submit("p", b"other", "m1").status, 422)
        again = self.running.submit_all("p", ["m1"])
        self.assertEqual(again["m1"], sent["m1"])
        self.running.post("/v1/pipelines/p/destinations/d/resume")
        self.running.wait_until_settled("p", "d", 5)
        answer = self.running.submit("p", b"x", "one too many")
        self.assertEqual(receipt_of(answer).position, 6)

    def test_a_connection_on_which_a_full_destination_was_refused_ends_when_that_is_come_upon(self):
        self.running.submit_all("p", [f"m{number}" for number in range(5)])
        connection = self.connect()
        connection.send(post(b"x", "Idempotency-Key: late\r\n"))
        first = connection.answer()
        self.assertEqual((first.status, first.headers.get("connection")), (429, None))
        connection.send(post(b"x", "Idempotency-Key: late\r\n"))
        second = connection.answer()
        self.assertEqual((second.status, second.headers.get("connection")), (429, "close"))
        self.running.post("/v1/pipelines/p/destinations/d/resume")
        self.running.wait_until_settled("p", "d", 5)
        self.assertEqual(self.running.submit("p", b"x", "late").status, 202)

    def test_after_a_refusal_nothing_later_on_a_pipelined_connection_overtakes(self):
        connection = self.connect()
        connection.send(b"".join(post(b"x", f"Idempotency-Key: m{number}\r\n") for number in range(12)))
        answers = [connection.answer() for _ in range(12)]
        self.assertEqual([answer.status for answer in answers], [202] * 5 + [429] * 7)
        eventually("the five are taken in", lambda: self.running.destination("p", "d")["accepted"] == 5)

    def test_in_a_batch_that_does_not_fit_the_lines_after_the_first_refused_one_are_refused_too(self):
        lines = "".join(f'{{"id":"m{number}","payload":1}}\n' for number in range(8)).encode()
        answer = self.running.request("POST", f"{MESSAGES}/batch", lines)
        outcomes = [json.loads(line) for line in answer.body.splitlines()]
        self.assertEqual([one.get("status", 202) for one in outcomes], [202] * 5 + [429] * 3)


if __name__ == "__main__":
    unittest.main()
