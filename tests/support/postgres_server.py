"""A PostgreSQL server of a test's own: in a temporary directory, on a unix socket, ended with the test."""

import contextlib
import ctypes
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

from waiting import PATIENCE_SECONDS, eventually

PR_SET_PDEATHSIG = 1

SETTINGS = {
    "listen_addresses": "", "max_connections": 50, "log_min_messages": "warning", "restart_after_crash": "on",
    # Whoever is killed at a random moment is mostly killed in the middle of a commit.
    "commit_delay": 10_000, "commit_siblings": 0,
}  # fmt: skip


def programs() -> str:
    """The folder of the server's programs: the newest of Debian's, or what pg_config says."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if found:
        return os.path.dirname(max(found, key=lambda path: int(path.split("/")[4])))
    return subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True).stdout.strip()


def server_user() -> str:
    """Whom the server runs as: it refuses root. Empty: whom the test runs as."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def wait_for_end_of(pids: list) -> None:
    eventually("the server's processes have ended", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


class PostgresServer:
    def __init__(self, bootstrap_user: str = "reseq"):
        self._superuser = bootstrap_user
        self.folder = tempfile.mkdtemp(prefix="reseq-postgres-")
        self._user = server_user()
        if self._user:
            shutil.chown(self.folder, self._user, pwd.getpwnam(self._user).pw_gid)
        self._process = None
        self._run("initdb", "--pgdata", self._data, f"--username={bootstrap_user}", "--auth=trust", "--encoding=UTF8",
                  "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip
        self.start()

    @property
    def _data(self) -> str:
        return os.path.join(self.folder, "data")

    @property
    def pid(self) -> int:
        return self._process.pid

    def url(self, database: str) -> str:
        return f"postgresql:///{database}?host={self.folder}&user={self._superuser}"

    def create_database(self, name: str) -> str:
        """An empty one; says where it is."""
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'", "postgres")
        return self.url(name)

    def sql(self, statement: str, database: str) -> list:
        """Rows, each a list of strings."""
        command = [os.path.join(programs(), "psql"), "-XAtqF", "\t", "-v", "ON_ERROR_STOP=1", self.url(database)]
        done = subprocess.run(command, input=statement, capture_output=True, text=True, check=False,
                              timeout=PATIENCE_SECONDS, env={"PATH": os.environ["PATH"]})  # fmt: skip
        if done.returncode != 0:
            raise OSError(f"psql: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def configure(self, settings: str) -> None:
        """Lines for its postgresql.conf; from the next start on."""
        with open(os.path.join(self._data, "postgresql.conf"), "a", encoding="utf-8") as file:
            file.write(f"\n{settings}\n")

    def start(self) -> None:
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        log = open(os.path.join(self.folder, "server.log"), "ab")  # noqa: SIM115: the server's
        with log:
            self._process = subprocess.Popen(
                [os.path.join(programs(), "postgres"), "-D", self._data, "-k", self.folder, *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self._in_child, **self._as_user(),
            )  # fmt: skip
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        eventually("PostgreSQL answers", lambda: self._ended() or self.sql("SELECT 1", "postgres"))
        if self._ended():
            with open(os.path.join(self.folder, "server.log"), encoding="utf-8") as log:
                raise AssertionError(f"PostgreSQL does not start: {log.read()[-2000:]}")

    def _ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self, how: int = signal.SIGQUIT) -> None:
        """SIGQUIT is `pg_ctl stop -m immediate`, SIGINT `-m fast`; SIGKILL leaves it to its children to notice."""
        children = self.backends()
        self._process.send_signal(how)
        self._process.wait(PATIENCE_SECONDS)
        wait_for_end_of(children)

    def kill_backend(self, query: str, database: str) -> None:
        """Kills one whose process id `query` answers, once there is one. The server then ends all of them, starts
        again, and answers."""
        backends = self.backends()

        def kill_one() -> int:
            pid = int(next(iter(self.sql(query, database)), [0])[0])
            if pid:
                os.kill(pid, signal.SIGKILL)  # fails if it has just ended: another one then
            return pid

        backends.append(eventually("a backend is killed", kill_one))
        wait_for_end_of(backends)
        self.wait_until_ready()

    def backends(self) -> list:
        """The process ids of the server's children."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    @contextlib.contextmanager
    def hung(self):
        """Meanwhile its connections stay open, and nothing is answered."""
        stopped = [self.pid, *self.backends()]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def locked(self, statement: str, database: str):
        """Meanwhile another session keeps locked what `statement` locks."""
        command = [os.path.join(programs(), "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", self.url(database)]
        other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                 env={"PATH": os.environ["PATH"]})  # fmt: skip
        with other:
            other.stdin.write(f"BEGIN;\n{statement};\n\\echo it is locked\n")
            while (line := other.stdout.readline()) != "it is locked\n":
                if not line:
                    raise OSError(f"{statement}: failed")
            yield  # leaving ends its input, and with that the session

    def close(self) -> None:
        if self._process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _as_user(self) -> dict:
        return {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid} if self._user else {}

    @staticmethod
    def _in_child() -> None:
        """The server ends with the test, however that ends."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [os.path.join(programs(), name), *arguments], check=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, cwd=self.folder, **self._as_user(),
        )  # fmt: skip
