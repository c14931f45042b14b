"""Reads a git repository's history as a stream of messages, one commit each.

A message is a piece of a `git fast-import` stream: the blobs that its commit is the first to need, and the commit,
with its real content, byte for byte. Pieces name earlier blobs and commits by their marks, so that they apply only in
the order in which they were cut: applying one too early fails.
"""

import os
import subprocess
from typing import Iterator, NamedTuple

# All commits go to one branch: the names of branches are no part of the history's content.
BRANCH = b"refs/heads/replay"

# A commit with more new content than this sends its blobs ahead in messages of their own, so that a huge import
# does not become one huge message. A single file is never cut.
PART_BYTES = 32 << 20

_COMMANDS = (b"blob\n", b"commit ", b"reset ", b"tag ", b"done\n", b"feature ", b"progress ")


class HistoryError(Exception):
    """The repository cannot be read; the text says why, for users."""


class Message(NamedTuple):
    id: str  # the commit's id; "blobs-" and the last blob's id for blobs that are sent ahead
    mark: int  # the commit's mark in the stream; 0 for blobs that are sent ahead
    body: bytes


def git_environment() -> dict:
    """The environment for git: indifferent to who owns the repository, to users' configuration and to replacements."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **inherited,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }


def git(repository: str, *arguments: str, stdin: bytes = b"") -> bytes:
    """Runs git in the repository and returns what it printed; raises HistoryError with git's own words if it fails."""
    done = subprocess.run(
        ["git", "-C", repository, *arguments], input=stdin, capture_output=True, env=git_environment()
    )
    if done.returncode != 0:
        raise HistoryError(f"git {arguments[0]} in {repository}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def tips(repository: str) -> bytes:
    """The commits from which everything is reachable, one a line: all references, and HEAD where it is detached."""
    if not os.path.isdir(repository):
        raise HistoryError(f"{repository}: there is no such directory")
    try:
        git(repository, "rev-parse", "--git-dir")
    except HistoryError as error:
        raise HistoryError(f"{repository}: not a git repository") from error
    found = git(repository, "rev-list", "--no-walk", "--all", stdin=b"")
    try:
        found += git(repository, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except HistoryError:
        pass  # an unborn branch
    if not found:
        raise HistoryError(f"{repository}: this repository has no commits to replay")
    return found


def commit_ids(repository: str, limit: int = 0) -> list:
    """The ids of all commits, or of the first `limit`, parents before children: the order in which they are sent."""
    ids = git(repository, "rev-list", "--topo-order", "--reverse", "--stdin", stdin=tips(repository)).decode().split()
    return ids[:limit] if limit else ids


def messages(repository: str, limit: int = 0) -> Iterator[Message]:
    """The messages of all commits, or of the first `limit`, in order. Holds one message in memory at a time."""
    command = ["git", "-C", repository, "fast-export", "--stdin", "--show-original-ids", "--reencode=no"]
    command += ["--signed-tags=strip", "--tag-of-filtered-object=drop"]
    heads = tips(repository)
    export = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=git_environment())
    finished = False
    try:
        export.stdin.write(heads)
        export.stdin.close()
        commits = 0
        for message in _cut(export.stdout):
            yield message
            commits += message.mark != 0
            if limit and commits == limit:
                return
        finished = True
    finally:
        if not finished:
            export.kill()
        export.stdout.close()
        if export.wait() != 0 and finished:
            raise HistoryError(f"{repository}: git fast-export ended with {export.returncode}")


def _cut(stream) -> Iterator[Message]:
    """Cuts a fast-export stream after each commit. What follows the last one (tags, references) is left out."""
    parts, size, mark, original, in_commit = [], 0, 0, "", False
    for line in stream:
        if line.startswith(_COMMANDS):
            if in_commit or (line == b"blob\n" and size >= PART_BYTES):
                yield Message(original if in_commit else f"blobs-{original}", mark if in_commit else 0, b"".join(parts))
                parts, size, in_commit = [], 0, False
            command = line.split(maxsplit=1)[0]
            if command in (b"commit", b"reset"):
                line = command + b" " + BRANCH + b"\n"
                in_commit = command == b"commit"
        elif line.startswith(b"mark :"):
            mark = int(line[6:])
        elif line.startswith(b"original-oid "):
            original = line[13:].decode().strip()
        elif line.startswith(b"data "):
            parts.append(line)
            line = _read_exactly(stream, int(line[5:]))
        parts.append(line)
        size += len(line)
    if in_commit:
        yield Message(original, mark, b"".join(parts))


def _read_exactly(stream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise HistoryError("git fast-export ended in the middle of a file")
    return data
