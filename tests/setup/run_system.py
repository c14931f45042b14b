#!/usr/bin/env python3
"""Runs the system tests, a file after the other, and prints a line for each test: run_system.py PROGRAMS_DIR [FILE…]

A system test is a unittest in tests/system/*.py. It finds the programs in the folder that RESEQ_TEST_PROGRAMS names.
Its name, or its first line of documentation, is a sentence. Adds "PASSED FAILED", "0 1 NAME" for each that failed and
"0 0 NAME: REASON" for each that was left out for want of something, to the file that RESEQ_TEST_RESULTS names. Each file
runs in a process, and a process group, of its own: what it leaves behind is ended with it.
"""

import glob
import os
import signal
import subprocess
import sys
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SECONDS_EACH = 18000 if os.environ.get("RESEQ_TEST_FULL") else 300


class LineResult(unittest.TestResult):
    """Prints a line for each test as it ends, and what went wrong."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.failed = []  # names
        self.left_out = []  # names and reasons
        self._started = 0.0

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1
        self._print("ok  ", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._print("FAIL", test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._print("FAIL", test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._print("FAIL", subtest, self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._print("skip", test, reason)
        if not reason.startswith("only in full"):
            self.left_out.append(f"{self._name(test)}: {reason}")

    def _print(self, word, test, details=""):
        name = self._name(test)
        print(f"{word}  {name}, {time.monotonic() - self._started:.1f} s", flush=True)
        if word == "FAIL":
            self.failed.append(name)
        if details:
            print(details, flush=True)

    @staticmethod
    def _name(test) -> str:
        return test.shortDescription() or test.id().rsplit(".", 1)[-1].removeprefix("test_").replace("_", " ")


def run_one(path: str) -> int:
    """Runs a file's tests in this process."""
    for folder in (os.path.dirname(path), os.path.join(ROOT, "tests", "support"), os.path.join(ROOT, "apps", "demo")):
        sys.path.insert(0, folder)
    module = os.path.splitext(os.path.basename(path))[0]
    result = LineResult()
    unittest.defaultTestLoader.loadTestsFromName(module).run(result)
    with open(os.environ["RESEQ_TEST_RESULTS"], "a", encoding="ascii") as results:
        results.write(f"{result.passed} 0\n")
        results.writelines(f"0 1 {os.path.basename(path)}: {name}\n" for name in result.failed)
        results.writelines(f"0 0 {os.path.basename(path)}: {one}\n" for one in result.left_out)
    return 1 if result.failed else 0


def run_file(path: str, environment: dict) -> bool:
    """Runs a file's tests in a process of their own; true if all passed."""
    print(f"-- {os.path.relpath(path, ROOT)}", flush=True)
    command = [sys.executable, "-B", os.path.abspath(__file__), "--one", path]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        code = process.wait(SECONDS_EACH)
    except subprocess.TimeoutExpired:
        print(f"FAIL  {os.path.basename(path)}: not done after {SECONDS_EACH} s", flush=True)
        code = 124
    finally:
        end_group(process)
    if code not in (0, 1):
        with open(environment["RESEQ_TEST_RESULTS"], "a", encoding="ascii") as results:
            results.write(f"0 1 {os.path.basename(path)}: ended with code {code}\n")
    return code == 0


def end_group(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def main() -> int:
    if sys.argv[1] == "--one":
        return run_one(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(124))
    environment = {"RESEQ_TEST_RESULTS": os.devnull, **os.environ, "RESEQ_TEST_PROGRAMS": os.path.abspath(sys.argv[1])}
    files = sys.argv[2:] or sorted(glob.glob(os.path.join(ROOT, "tests", "system", "*.py")))
    outcomes = [run_file(os.path.abspath(path), environment) for path in files]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
