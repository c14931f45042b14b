"""A Redis master, its replica and the sentinel that watches them, each a process of a test's own."""

import contextlib
import os
import signal

from harness import free_port
from redis_server import RedisServer
from waiting import eventually

NAME = "main"


class Member(RedisServer):
    """Master or replica, whatever it is told to be."""

    def __init__(self):
        self.port = free_port()
        super().__init__("--port", str(self.port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")

    def follow(self, master: "Member") -> None:
        self.ask("REPLICAOF", "127.0.0.1", str(master.port))
        eventually("the replica has what its master has", lambda: self.replication("master_link_status") == "up")

    def replication(self, name: str) -> str:
        return self.info_text("replication", name)

    def offset(self) -> int:
        return self.info("replication", "master_repl_offset")


class Sentinel(RedisServer):
    def __init__(self, master: Member):
        self.port = free_port()
        self._master = master
        super().__init__()
        # Whom it has not asked for some seconds it does not promote, but tries again some seconds later.
        with contextlib.suppress(OSError):  # before Redis 7
            self.ask("SENTINEL", "DEBUG", "info-period", "1000")

    def _arguments(self) -> list:
        path = os.path.join(self.folder, "sentinel.conf")
        lines = [
            f"port {self.port}", "bind 127.0.0.1", f"unixsocket {self.socket_path}", f"dir {self.folder}",
            f"sentinel monitor {NAME} 127.0.0.1 {self._master.port} 1",
            f"sentinel down-after-milliseconds {NAME} 1000", f"sentinel failover-timeout {NAME} 2000",
        ]  # fmt: skip
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        return [path, "--sentinel"]

    def flags_of_replica(self) -> list:
        """What is the matter with it; ["slave"]: nothing."""
        return [dict(zip(one[::2], one[1::2]))["flags"] for one in self.ask("SENTINEL", "replicas", NAME)]

    def names(self, member: Member) -> bool:
        """Whether it takes it for the master."""
        return self.ask("SENTINEL", "get-master-addr-by-name", NAME)[1] == str(member.port)


class RedisPair:
    """To those who ask it, it is the master of the moment."""

    def __init__(self):
        self.master = Member()
        self.replica = Member()
        self.replica.follow(self.master)
        self._sentinel = Sentinel(self.master)
        self._wait_until_watched()

    @property
    def url(self) -> str:
        return f"redis-sentinel://127.0.0.1:{self._sentinel.port}/{NAME}"

    def ask(self, *words: str):
        return self.master.ask(*words)

    def info(self, section: str, name: str) -> int:
        return self.master.info(section, name)

    def stop_replica(self) -> int:
        """Stopped, and cut off from its master, so that what comes now does not wait for it on the way, either. Returns
        the master's offset from then on."""
        self.replica.signal(signal.SIGSTOP)
        self.master.ask("CLIENT", "KILL", "TYPE", "replica")
        return self.master.offset()

    def kill_master(self) -> int:
        """And wakes the replica. Returns the offset that the master had come to."""
        written = self.master.offset()
        self.master.kill()
        self.replica.signal(signal.SIGCONT)
        return written

    def wait_for_promotion(self) -> int:
        """The sentinel makes the replica the master. Returns the offset at which that was."""
        eventually("the replica is promoted", lambda: self.replica.replication("role") == "master")
        self.master, self.replica = self.replica, self.master
        return self.master.info("replication", "second_repl_offset") - 1

    def pair_again(self) -> None:
        """The killed one comes back, as the replica."""
        self.replica.start()
        self.replica.follow(self.master)
        self._wait_until_watched()

    def close(self) -> None:
        for one in (self._sentinel, self.replica, self.master):
            one.close()

    def _wait_until_watched(self) -> None:
        eventually("the sentinel knows the master", lambda: self._sentinel.names(self.master))
        eventually("the sentinel knows the replica", lambda: self._sentinel.flags_of_replica() == ["slave"])
