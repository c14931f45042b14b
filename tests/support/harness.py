"""Runs the real programs for a test: supervisors and workers in a folder of its own, ended with it whatever happens."""

import copy
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import client
from metrics import Metrics
from recorder import Receiver
from toml_text import to_toml
from waiting import PATIENCE_SECONDS, eventually

FULL = bool(os.environ.get("RESEQ_TEST_FULL"))
SEED = int(os.environ.get("RESEQ_TEST_SEED") or random.randrange(1, 1_000_000))
PROGRAMS = os.environ.get("RESEQ_TEST_PROGRAMS", "")

# Attempts that fail are repeated soon; a busy machine alone does not make one fail.
RETRY = {
    "timeout": "5s", "jitter": "20ms", "multiplier": 1.5, "max_timeout": "10s", "max_attempts": 1000, "hedge": False,
}  # fmt: skip
GIVES_UP_SOON = {**RETRY, "max_attempts": 3, "give_up_after": "0s"}

LOG_LINES_SHOWN = 40


def program(name: str) -> str:
    return os.path.join(PROGRAMS, name)


def clean_environment() -> dict:
    return {name: value for name, value in os.environ.items() if not name.startswith("RESEQ_")}


def free_port() -> int:
    """Of those that the system gives to nobody by itself, so that it is still free after a restart."""
    while True:
        with socket.socket() as probe:
            port = random.SystemRandom().randrange(20_000, 32_000)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Program:
    """A running program whose stderr is read all the time."""

    def __init__(self, name: str, command: list, folder: str):
        self.name = name
        self.lines = []
        self._news = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            command, cwd=folder, env=clean_environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.pid = self._process.pid
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for_line(self, pattern: str, seconds: float = PATIENCE_SECONDS) -> re.Match:
        """The first line, from the program's start on, in which the pattern is found."""
        deadline, seen = time.monotonic() + seconds, 0
        with self._news:
            while True:
                for line in self.lines[seen:]:
                    found = re.search(pattern, line)
                    if found:
                        return found
                seen = len(self.lines)
                if self._ended or not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{self.name} logged nothing like {pattern!r}")

    def logged(self, pattern: str) -> int:
        """How many lines so far the pattern is found in."""
        with self._news:
            return sum(1 for line in self.lines if re.search(pattern, line))

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The exit code; negative for a signal."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds:.0f} s") from None

    def kill(self) -> None:
        if self.running():
            self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def _read(self) -> None:
        for line in self._process.stderr:
            with self._news:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()
        self._process.stderr.close()
        with self._news:
            self._ended = True
            self._news.notify_all()


class Supervisor(Program):
    """With its HTTP interface."""

    def __init__(self, config: dict, folder: str, token: str = "", command: tuple = ("reseq-supervisor",)):
        name = config["node"]["name"]
        self.config = config
        self._folder = folder
        self.token = token
        self.command = command
        path = write_config(config, folder, f"supervisor-{name}")
        self.http = self.cluster = ""
        super().__init__(f"supervisor {name}", [program(command[0]), *command[1:], "--config", path], folder)

    def wait_until_ready(self) -> None:
        ready = self.wait_for_line(r"\bready\b.*\bhttp=(\S+).*\bcluster=(\S+)")
        self.http, self.cluster = ready.groups()

    def request(self, method: str, path: str, body: bytes = b"", headers: dict = None) -> client.Answer:
        return client.request(self.http, method, path, body, headers, self.token)

    def get(self, path: str) -> dict:
        answer = self.request("GET", path)
        if answer.status != 200:
            raise AssertionError(f"GET {path}: {answer.status} {answer.body!r}")
        return answer.json()

    def post(self, path: str, body: bytes = b"") -> client.Answer:
        return self.request("POST", path, body)

    def ctl(self, *arguments: str) -> str:
        """What reseqctl prints, which must succeed."""
        return self._run_ctl(0, arguments).stdout

    def ctl_refusal(self, *arguments: str) -> str:
        """What reseqctl says when it is refused, which must be so."""
        return self._run_ctl(1, arguments).stderr

    def _run_ctl(self, code: int, arguments: tuple) -> subprocess.CompletedProcess:
        command = [program("reseqctl"), "--url", f"http://{self.http}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=30, check=False)
        if done.returncode != code:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def submit(self, pipeline: str, body: bytes, message_id: str = "", headers: dict = None) -> client.Answer:
        named = {"Idempotency-Key": message_id} if message_id else {}
        return self.request("POST", f"/v1/pipelines/{pipeline}/messages", body, {**named, **(headers or {})})

    def submit_all(self, pipeline: str, ids, **headers: str) -> dict:
        """Messages with bodies of their own, one after the other: {id: sha256 of the body}."""
        sent = {}
        for message_id in ids:
            body = client.body_of(message_id)
            client.receipt_of(self.submit(pipeline, body, message_id, headers))
            sent[message_id] = client.digest(body)
        return sent

    def destination(self, pipeline: str, name: str) -> dict:
        return self.get(f"/v1/pipelines/{pipeline}/destinations/{name}")

    def metrics(self) -> Metrics:
        return Metrics(self.request("GET", "/metrics").body.decode())

    def wait_until_settled(self, pipeline: str, name: str, sequence: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Fails when nothing more has settled for that long: a large backlog takes its time."""
        settled = 0

        def settles() -> bool:
            nonlocal settled
            before, settled = settled, self.destination(pipeline, name)["settled"]
            return settled >= sequence or settled > before

        while settled < sequence:
            eventually(f"{pipeline}/{name} has settled more than {settled}, of {sequence}: {self.http}", settles, seconds)

    def wait_for_state(self, pipeline: str, name: str, state: str) -> dict:
        """The destination as it is in that state."""

        def probe():
            found = self.destination(pipeline, name)
            return found if found["state"] == state else None

        return eventually(f"{pipeline}/{name} is {state}", probe)

    def wait_for_workers(self, count: int) -> None:
        eventually(f"{count} workers are connected", lambda: self.metrics().total("reseq_workers") == count)

    def own_workers(self) -> list:
        """The process ids of the workers that it started itself."""
        return children_of(self.pid)

    def kill_own_worker(self) -> None:
        os.kill(eventually("there is a worker", self.own_workers)[0], signal.SIGKILL)


def write_config(config: dict, folder: str, name: str) -> str:
    path = os.path.join(folder, f"{name}.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(to_toml(config))
    return path


def children_of(pid: int) -> list:
    """The running child processes."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has ended in the meantime
        if int(parent) == pid and state != "Z":
            found.append(int(entry))
    return found


def resident_mb(pid: int) -> float:
    """The memory that a process has in use."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def pipeline(name: str, destinations: list, transforms: list = None, retry: dict = None, **keys) -> dict:
    """A `[[pipeline]]`; without transforms of its own the identity."""
    return {
        "name": name, **keys, "retry": retry or RETRY, "transform": transforms or [{"use": "identity"}],
        "destination": destinations,
    }  # fmt: skip


def merged(base: dict, changes: dict) -> dict:
    """`base` with the tables of `changes` laid over it."""
    result = copy.deepcopy(base)
    for name, value in changes.items():
        result[name] = merged(result[name], value) if isinstance(result.get(name), dict) else copy.deepcopy(value)
    return result


class SystemTest(unittest.TestCase):
    """A test with a folder and programs of its own. A failure prints what the programs logged last."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="reseq-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.programs = []
        self.addCleanup(self._end_programs)
        self.random = random.Random(f"{SEED} {self.id()}")

    def run(self, result=None):
        self.programs = []
        bad_before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > bad_before:
            self._print_logs()
        return result

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def receiver(self, answer=lambda request: 200) -> Receiver:
        made = Receiver(answer)
        self.addCleanup(made.refuse)
        return made

    def config(self, pipelines: list, **tables) -> dict:
        """A supervisor's configuration: free ports, a few slots, data in this test's folder."""
        return merged(
            {
                "node": {"name": "a", "data_dir": self.path("data"), "drain_timeout": "20s"},
                "http": {"listen": "127.0.0.1:0"},
                "cluster": {"listen": f"127.0.0.1:{free_port()}"},
                "worker": {"slots": 8},
                "pipeline": pipelines,
            },
            tables,
        )

    def supervisor(self, config: dict, token: str = "", command: tuple = ("reseq-supervisor",)) -> Supervisor:
        """Starts one and waits until it is ready."""
        started = self.starting_supervisor(config, token, command)
        started.wait_until_ready()
        return started

    def starting_supervisor(self, config: dict, token: str = "", command: tuple = ("reseq-supervisor",)) -> Supervisor:
        """Starts one: its addresses are not known yet."""
        started = Supervisor(config, self.folder, token, command)
        self.programs.append(started)
        return started

    def restart(self, old: Supervisor, **tables) -> Supervisor:
        """Starts one that has ended again, on the same data, with changed tables if wanted."""
        return self.supervisor(merged(old.config, tables), old.token, old.command)

    def worker(self, supervisor: Supervisor, name: str, slots: int = 8, **tables) -> Program:
        """Starts a worker process that has the supervisor's pipelines and token."""
        base = {key: supervisor.config[key] for key in ("pipeline", "cluster") if key in supervisor.config}
        node = {"name": name, "drain_timeout": "20s"}
        config = merged(base, {"node": node, "worker": {"slots": slots}})
        config["cluster"]["supervisors"] = [supervisor.cluster]
        path = write_config(merged(config, tables), self.folder, f"worker-{name}")
        started = Program(f"worker {name}", [program("reseq-worker"), "--config", path], self.folder)
        self.programs.append(started)
        return started

    def assert_nothing_wrong(self, complaints: list) -> None:
        shown = "\n  ".join(complaints[:10])
        self.assertFalse(complaints, f"seed {SEED}: {len(complaints)} complaints:\n  {shown}")

    def _end_programs(self) -> None:
        for one in reversed(self.programs):
            if one.running():
                one.signal(signal.SIGCONT)
                one.kill()

    def _print_logs(self) -> None:
        print(f"seed {SEED}: RESEQ_TEST_SEED={SEED} replays this run's choices", flush=True)
        for one in self.programs:
            print("\n  | ".join([f"last lines of {one.name}:", *one.lines[-LOG_LINES_SHOWN:]]), flush=True)


def record_figure(figure: str, value: str) -> None:
    """Prints a measurement, and adds it to the table of figures that tests/run prints."""
    print(f"      {figure}: {value}", flush=True)
    with open(os.environ.get("RESEQ_TEST_FIGURES", os.devnull), "a", encoding="utf-8") as figures:
        figures.write(f"{figure}\t{value}\ttests/run --full\t{SEED}\n")
