"""Makes a git repository with all that histories are made of, from a seed: merges of two and of many, several roots,
binary files, renames, deletions, changed modes, symbolic links, submodules, empty commits and files, odd names."""

import os
import random
import subprocess

BRANCHES = 8
LARGE_FILE_BYTES = 3 << 20

ODD_NAMES = [
    b"with space", b"tab\there", b'quo"te', b"back\\slash", b"new\nline", b"-dash", "na\u00efve \u65e5\u672c".encode(),
    b"latin-\xe9", b"#hash", b"data 5", b"blob", b"commit refs", b"$HOME", b"%41",
]  # fmt: skip

ODD_AUTHORS = [b"A U Thor", "Zo\u00eb \u0141".encode(), b"", b"O'Brien, Jr.", b"latin \xe9"]


def generate(path: str, commits: int = 2000, seed: int = 1) -> None:
    """Makes a bare repository at `path` with so many commits. The same seed gives the same commit ids."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", "init", "--quiet", "--bare", path], check=True, env=environment)
    importer = subprocess.Popen(
        ["git", "-C", path, "fast-import", "--quiet", "--force", "--done"], stdin=subprocess.PIPE, env=environment
    )
    with importer.stdin as stream:
        _History(stream, random.Random(seed)).write(commits)
    if importer.wait() != 0:
        raise RuntimeError(f"git fast-import ended with {importer.returncode}")


class _Branch:
    def __init__(self, name: bytes):
        self.name = name
        self.tip = 0  # a mark; 0: no commit yet
        self.files = {}  # path: mode


class _History:
    """Writes a fast-import stream, keeping in mind what is in each branch."""

    def __init__(self, stream, rnd: random.Random):
        self._stream = stream
        self._random = rnd
        self._mark = 0
        self._branches = [_Branch(b"refs/heads/branch-%d" % number) for number in range(BRANCHES)]
        self._kinds = {
            self._edit: 60, self._binary: 10, self._rename: 6, self._delete: 4, self._change_mode: 3,
            self._link: 3, self._submodule: 1, self._nothing: 3, self._two_files: 10,
        }  # fmt: skip

    def write(self, commits: int) -> None:
        for number in range(commits):
            branch = self._branches[0] if number == 0 else self._random.choice(self._branches)
            if not branch.tip and number and self._random.random() < 0.9:
                source = self._random.choice([other for other in self._branches if other.tip])
                branch.tip, branch.files = source.tip, dict(source.files)
            others = self._others(branch) if branch.tip else []
            changes = self._changes(branch, others)
            if number == commits // 2:
                changes.append(self._put(branch, b"large.bin", b"100644", self._random.randbytes(LARGE_FILE_BYTES)))
            self._commit(branch, others, changes, number)
        self._stream.write(b"done\n")

    def _others(self, branch: _Branch) -> list:
        """Branches that are merged with this commit: none mostly, one often, many at times."""
        grown = [other for other in self._branches if other.tip not in (0, branch.tip)]
        distinct = list({other.tip: other for other in grown}.values())
        wanted = self._random.choices([0, 1, 2, 4], [84, 12, 3, 1])[0]
        return self._random.sample(distinct, min(wanted, len(distinct)))

    def _changes(self, branch: _Branch, others: list) -> list:
        changes = []
        for other in others:
            for path in self._random.sample(sorted(other.files), min(3, len(other.files))):
                changes.append(self._put(branch, path, b"100644", b"merged %d\n" % self._random.getrandbits(32)))
        kind = self._random.choices(list(self._kinds), list(self._kinds.values()))[0]
        return changes + kind(branch)

    def _edit(self, branch: _Branch) -> list:
        lines = [b"line %d\r\n" % self._random.getrandbits(20) for _ in range(self._random.randrange(40))]
        return [self._put(branch, self._some_path(branch), b"100644", b"".join(lines))]

    def _two_files(self, branch: _Branch) -> list:
        return self._edit(branch) + self._edit(branch)

    def _binary(self, branch: _Branch) -> list:
        content = self._random.randbytes(self._random.randrange(20_000)) + b"\0\ndata 3\n"
        return [self._put(branch, self._some_path(branch), b"100644", content)]

    def _rename(self, branch: _Branch) -> list:
        if not branch.files:
            return []
        source, target = self._random.choice(sorted(branch.files)), self._new_path()
        if target in branch.files:
            return []
        branch.files[target] = branch.files.pop(source)
        return [b"R %s %s\n" % (_quoted(source), _quoted(target))]

    def _delete(self, branch: _Branch) -> list:
        if len(branch.files) < 2:
            return []
        path = self._random.choice(sorted(branch.files))
        del branch.files[path]
        return [b"D %s\n" % _quoted(path)]

    def _change_mode(self, branch: _Branch) -> list:
        return [self._put(branch, self._some_path(branch), b"100755", b"#!/bin/sh\nexit %d\n" % self._random.randrange(9))]

    def _link(self, branch: _Branch) -> list:
        return [self._put(branch, self._some_path(branch), b"120000", b"../target-%d" % self._random.randrange(9))]

    def _submodule(self, branch: _Branch) -> list:
        path = self._some_path(branch)
        branch.files[path] = b"160000"
        return [b"M 160000 %040x %s\n" % (self._random.getrandbits(160), _quoted(path))]

    def _nothing(self, _) -> list:
        return []

    def _some_path(self, branch: _Branch) -> bytes:
        if branch.files and self._random.random() < 0.6:
            return self._random.choice(sorted(branch.files))
        return self._new_path()

    def _new_path(self) -> bytes:
        folder = b"/".join(b"folder-%d" % self._random.randrange(4) for _ in range(self._random.randrange(3)))
        odd = self._random.random() < 0.2
        name = self._random.choice(ODD_NAMES) if odd else b"file-%d.txt" % self._random.randrange(200)
        return folder + b"/" + name if folder else name

    def _put(self, branch: _Branch, path: bytes, mode: bytes, content: bytes) -> bytes:
        branch.files[path] = mode
        return b"M %s inline %s\n%s" % (mode, _quoted(path), _data(content))

    def _commit(self, branch: _Branch, others: list, changes: list, number: int) -> None:
        self._mark += 1
        when = b"%d %s" % (1_500_000_000 + 60 * number, self._random.choice([b"+0000", b"-0730", b"+1345"]))
        author = self._random.choice(ODD_AUTHORS)
        message = b"commit %d\n\nbody \xe9\n" % number if author.startswith(b"latin") else b"commit %d" % number
        if not branch.tip:
            self._stream.write(b"reset %s\n" % branch.name)
        self._stream.write(b"commit %s\nmark :%d\n" % (branch.name, self._mark))
        self._stream.write(b"author %s <author@example.org> %s\n" % (author, when))
        self._stream.write(b"committer C O Mitter <committer@example.org> %s\n" % when)
        if author.startswith(b"latin"):
            self._stream.write(b"encoding ISO-8859-1\n")
        self._stream.write(_data(message if number % 97 else b""))
        if branch.tip:
            self._stream.write(b"from :%d\n" % branch.tip)
        for other in others:
            self._stream.write(b"merge :%d\n" % other.tip)
        self._stream.write(b"".join(changes) + b"\n")
        branch.tip = self._mark


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: bytes) -> bytes:
    """C-quoted, as git wants names with special characters."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./"
    return b'"%s"' % b"".join(bytes([byte]) if byte in plain else b"\\%03o" % byte for byte in path)
