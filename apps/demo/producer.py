#!/usr/bin/env python3
"""Submits a repository's history to a pipeline: a message a commit, in commit order, over one connection.

Shows what a producer has to do: give each message an id of its own, send the next one when the one before has its
receipt, and send the very same request again, under the same id, as long as there is none.
"""

import argparse
import http.client
import json
import sys
import time
import urllib.parse

import history
import ledger

# How long the pipeline may refuse or be away before the producer gives up.
PATIENCE_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 5.0


class Refused(Exception):
    """The pipeline will never take this message; the text is its own."""


class Producer:
    """One ordered connection to one pipeline."""

    def __init__(self, url: str, pipeline: str, token: str = ""):
        self._host = urllib.parse.urlsplit(url).netloc
        self._path = f"/v1/pipelines/{pipeline}/messages"
        self._headers = {"Content-Type": "application/x-git-fast-import"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection = None

    def submit(self, message_id: str, body: bytes) -> None:
        """Returns when the message is durable at the pipeline. Raises Refused if it never will be."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        wait = 0.05
        while True:
            status, answer, retry_after = self._try(message_id, body)
            if status in (200, 202):
                return
            if status not in (0, 429, 503):
                raise Refused(f"{message_id}: {status} {answer}")
            wait = min(retry_after or wait * 2, LONGEST_WAIT_SECONDS)
            if time.monotonic() + wait > deadline:
                raise Refused(f"{message_id}: not accepted within {PATIENCE_SECONDS:.0f} s; last: {answer}")
            time.sleep(wait)

    def _try(self, message_id: str, body: bytes) -> tuple:
        """One attempt: (status, explanation, seconds to wait). Status 0: the connection failed."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._host, timeout=PATIENCE_SECONDS)
            headers = {**self._headers, "Idempotency-Key": message_id}
            self._connection.request("POST", self._path, body=body, headers=headers)
            response = self._connection.getresponse()
            answer = response.read()
            return response.status, _explanation(answer), _seconds(response.getheader("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return 0, f"{type(error).__name__}: {error}", 0.0


def _explanation(answer: bytes) -> str:
    """What a problem document says, or the start of whatever was answered instead."""
    try:
        problem = json.loads(answer)
        return f"{problem['title']}: {problem.get('detail', '')}"
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode(errors="replace")


def _seconds(retry_after) -> float:
    """Retry-After in seconds; 0 if there is none, or one that is a date."""
    try:
        return max(0.0, float(retry_after))
    except (TypeError, ValueError):
        return 0.0


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--url", required=True, help="the supervisor's, http://HOST:PORT")
    arguments.add_argument("--pipeline", default="history")
    arguments.add_argument("--repository", required=True)
    arguments.add_argument("--sent", required=True, metavar="FILE", help="the list of what was sent")
    arguments.add_argument("--messages", type=int, default=0, help="only the first so many commits")
    options = arguments.parse_args()
    producer = Producer(options.url, options.pipeline)
    try:
        with open(options.sent, "w", encoding="ascii", buffering=1) as sent:
            for message in history.messages(options.repository, options.messages):
                producer.submit(message.id, message.body)
                entry = ledger.Sent(message.id, message.mark, len(message.body), ledger.digest(message.body))
                sent.write(ledger.line_of(entry))
    except (Refused, history.HistoryError) as error:
        print(f"producer: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
