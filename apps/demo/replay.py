#!/usr/bin/env python3
"""Replays a git repository's history through the running programs, and proves that it arrives in order and whole.

Starts a receiver, a supervisor (which starts its worker) and a producer, in a temporary folder; shows progress; in the
end compares what arrived with what there was. Exits 0 only if nothing differs.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import history
import ledger
import proof
import report
from metrics import Metrics
from programs import Program, ProgramError, python

READY_SECONDS = 60.0
# Large commits take long; but not so long that nothing moves.
STALL_SECONDS = 120.0
POLL_SECONDS = 0.1
STOP_SECONDS = 30.0

CONFIGURATION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "history.toml")


class ReplayError(Exception):
    """The replay cannot go on; the text says why, for users."""


def get(address: str, path: str) -> bytes:
    """The answer to a GET; raises OSError or HTTPException, or ReplayError when it is no 200."""
    connection = http.client.HTTPConnection(address, timeout=READY_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ReplayError(f"GET http://{address}{path}: {answer.status} {body[:200].decode(errors='replace')}")
        return body
    finally:
        connection.close()


def configuration(commits: int, data_dir: str, receiver: str) -> str:
    """history.toml for this run. Short histories get higher rates, so that they too see workers hang and die."""
    values = {
        "data_dir": json.dumps(data_dir),
        "url": json.dumps(f"http://{receiver}/commits"),
        "hang_rate": min(0.1, max(0.005, 5 / commits)),
        "crash_rate": min(0.05, max(0.005, 3 / commits)),
    }
    with open(CONFIGURATION, encoding="utf-8") as file:
        text = file.read()
    for key, value in values.items():
        text = re.sub(rf"^(\s*{key} = ).*$", lambda line, value=value: f"{line.group(1)}{value}", text, flags=re.M)
    return text


class Replay:
    """One run: the programs, their files in one folder, and what they are doing."""

    def __init__(self, options, folder: str):
        self._options = options
        self._folder = folder
        self._running = []

    def run(self) -> bool:
        """Replays and reports; true if nothing differs. Raises ReplayError, ProgramError or HistoryError."""
        ids = history.commit_ids(self._options.repository, self._options.messages)
        commits = len(ids)
        print(f"replaying {commits:,} commits of {self._options.repository}", flush=True)
        receiver = self._start_receiver()
        supervisor = self._start_supervisor(commits, receiver.address)
        started = time.monotonic()
        producer = self._start_producer(supervisor.address)
        metrics = self._wait_for_arrivals(commits, producer, supervisor, receiver)
        seconds = time.monotonic() - started
        failures = self._stop(supervisor) + self._stop(receiver)
        found = self._prove(ids, failures)
        sent = ledger.read(self._file("sent"), ledger.Sent)
        print(report.final(found, metrics, seconds, sum(entry.size for entry in sent)), flush=True)
        return not found.differences

    def close(self) -> None:
        """Ends what still runs."""
        while self._running:
            self._running.pop().kill()

    def _file(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _start(self, name: str, command: list, ready_on: str, **popen) -> Program:
        program = Program(name, command, self._file(f"{name}.log"), ready_on, **popen)
        self._running.append(program)
        return program

    def _start_receiver(self) -> Program:
        command = python("receiver.py") + ["--repository", self._file("rebuilt.git")]
        command += ["--marks", self._file("marks"), "--arrivals", self._file("arrivals")]
        program = self._start("receiver", command, "stdout", stderr=subprocess.STDOUT)
        program.wait_until_ready(READY_SECONDS)
        return program

    def _start_supervisor(self, commits: int, receiver: str) -> Program:
        with open(self._file("history.toml"), "w", encoding="utf-8") as file:
            file.write(configuration(commits, self._file("data"), receiver))
        command = [os.path.join(self._options.programs, "reseq-supervisor"), "--config", self._file("history.toml")]
        program = self._start("supervisor", command, "stderr", cwd=self._folder)
        program.wait_until_ready(READY_SECONDS)
        return program

    def _start_producer(self, supervisor: str) -> Program:
        command = python("producer.py") + ["--url", f"http://{supervisor}", "--sent", self._file("sent")]
        command += ["--repository", self._options.repository, "--messages", str(self._options.messages)]
        return self._start("producer", command, "stderr")

    def _wait_for_arrivals(self, commits: int, producer: Program, supervisor: Program, receiver: Program) -> Metrics:
        """Shows progress until everything sent has arrived; the supervisor's last metrics."""
        progress = report.Progress(commits)
        seen, moved = None, time.monotonic()
        while True:
            self._check_running(producer, supervisor, receiver)
            sent_all = producer.ended() == 0
            status = json.loads(get(receiver.address, "/status"))
            metrics = Metrics(get(supervisor.address, "/metrics").decode())
            progress.show(status["arrived"], metrics)
            if status["error"]:
                raise receiver.failure(f"gave up: {status['error']}")
            sent = os.path.getsize(self._file("sent")) if os.path.exists(self._file("sent")) else 0
            if sent_all and status["arrived"] >= self._count_sent():
                progress.clear()
                return metrics
            if seen != (sent, status["arrived"]):
                seen, moved = (sent, status["arrived"]), time.monotonic()
            elif time.monotonic() - moved > STALL_SECONDS:
                raise supervisor.failure(f"has delivered nothing for {STALL_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    @staticmethod
    def _check_running(producer: Program, supervisor: Program, receiver: Program) -> None:
        for program in (receiver, supervisor):
            if program.ended() is not None:
                raise program.failure(f"ended with {program.ended()} in the middle")
        if producer.ended():
            raise producer.failure(f"ended with {producer.ended()}")

    def _count_sent(self) -> int:
        with open(self._file("sent"), "rb") as file:
            return sum(1 for _ in file)

    def _stop(self, program: Program) -> list:
        """Ends a program; what is to be said against how it ended."""
        code = program.stop(STOP_SECONDS)
        self._running.remove(program)
        return [f"{program.name} ended with {code}"] if code else []

    def _prove(self, ids: list, failures: list) -> proof.Proof:
        found = proof.prove(
            self._options.repository,
            ids,
            self._file("rebuilt.git"),
            self._file("sent"),
            self._file("arrivals"),
            self._file("marks"),
        )
        return found._replace(differences=found.differences + failures)


def parse_options():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("repository", help="a git repository: a checkout or a bare one")
    arguments.add_argument("--programs", required=True, metavar="DIR", help="where reseq-supervisor is")
    arguments.add_argument("--messages", type=int, default=0, metavar="N", help="only the first N commits")
    arguments.add_argument("--keep", metavar="DIR", help="keep the results and logs in this new folder")
    options = arguments.parse_args()
    if options.messages < 0:
        arguments.error(f"--messages: {options.messages} is below 0")
    options.repository = os.path.abspath(options.repository)
    options.programs = os.path.abspath(options.programs)
    return options


def end_on(number: int, _) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    options = parse_options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_on)
    folder = None
    try:
        if options.keep:
            os.makedirs(options.keep)
        folder = os.path.abspath(options.keep) if options.keep else tempfile.mkdtemp(prefix="reseq-quickstart-")
        replay = Replay(options, folder)
        try:
            return 0 if replay.run() else 1
        finally:
            replay.close()
    except (ReplayError, ProgramError, history.HistoryError, OSError, http.client.HTTPException) as error:
        print(f"quickstart: {error}", file=sys.stderr)
        return 1
    finally:
        if folder and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
