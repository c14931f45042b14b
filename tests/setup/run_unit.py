#!/usr/bin/env python3
"""Runs the unit test programs of a build folder, two at a time, and prints a line for each:

    run_unit.py BUILD_DIR [REGEX of those to leave out]

Adds "PASSED FAILED", in test cases, and the program's name if any failed, to the file that RESEQ_TEST_RESULTS names: a line
for each program; and "0 0 NAME: REASON" for what one has left out, which says so: WARN("left out: REASON").
"""

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

SECONDS_EACH = 240

ALL_PASSED = re.compile(r"All tests passed \(.* in (\d+) test cases?\)")
LEFT_OUT = re.compile(r"^\s*left out: (.+)$", re.MULTILINE)
SOME_FAILED = re.compile(r"^test cases: +(\d+) \|.*?(\d+) failed", re.MULTILINE)


def counts_of(output: str, succeeded: bool) -> tuple:
    """(passed, failed) test cases by Catch2's last lines. A program that did not reach them is one test that failed."""
    all_passed = ALL_PASSED.search(output)
    if succeeded:
        return (int(all_passed.group(1)) if all_passed else 1), 0
    some_failed = SOME_FAILED.search(output)
    if not some_failed:
        return 0, 1
    total, failed = map(int, some_failed.groups())
    return total - failed, failed


def run(build: str, left_out: str) -> tuple:
    """(lines for the results, ctest's exit code), after printing a line for each program and what failing ones said."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.xml")
        command = ["ctest", "--test-dir", build, "--parallel", "2", "--timeout", str(SECONDS_EACH), "--quiet"]
        command += ["--output-junit", report, "--test-output-size-passed", "10000000"]
        command += ["--exclude-regex", left_out] if left_out else []
        code = subprocess.run(command + ["--test-output-size-failed", "10000000"], check=False).returncode
        for test in xml.etree.ElementTree.parse(report).iter("testcase"):
            succeeded = test.get("status") == "run"
            output = test.findtext("system-out") or ""
            good, bad = counts_of(output, succeeded)
            results.append(f"{good} {bad} {test.get('name') if bad else ''}".rstrip())
            results += [f"0 0 {test.get('name')}: {why}" for why in sorted(set(LEFT_OUT.findall(output)))]
            word, time = ("ok  " if succeeded else "FAIL"), float(test.get("time"))
            print(f"{word}  {test.get('name')}: {good} of {good + bad} test cases, {time:.1f} s", flush=True)
            if not succeeded:
                print(output)
    return results, code


def main() -> int:
    results, code = run(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
    if code and not any(line.split()[1] != "0" for line in results):
        results.append(f"0 1 ctest: ended with code {code}")
    with open(os.environ["RESEQ_TEST_RESULTS"], "a", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in results)
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
