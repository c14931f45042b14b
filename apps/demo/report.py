"""What the demonstration tells its user: one line of progress while it runs, and the figures at the end."""

import sys
import time

from metrics import Histogram, Metrics
from proof import Proof

# Without a terminal, progress is a line each so many seconds.
QUIET_SECONDS = 5.0


class Progress:
    """One updating line on a terminal; elsewhere a line every few seconds."""

    def __init__(self, total: int, out=sys.stdout):
        self._total = total
        self._out = out
        self._terminal = out.isatty()
        self._started = time.monotonic()
        self._shown = self._started

    def show(self, arrived: int, metrics: Metrics) -> None:
        now = time.monotonic()
        if not self._terminal and now - self._shown < QUIET_SECONDS:
            return
        self._shown = now
        text = (
            f"{arrived:,} of {self._total:,} commits arrived; "
            f"{retries(metrics):,.0f} retries, {metrics.total('reseq_worker_deaths_total'):,.0f} worker deaths, "
            f"{now - self._started:.0f} s"
        )
        self._out.write(f"\r\033[K{text}" if self._terminal else f"{text}\n")
        self._out.flush()

    def clear(self) -> None:
        if self._terminal:
            self._out.write("\r\033[K")
            self._out.flush()


def retries(metrics: Metrics) -> float:
    """Attempts that made another one necessary. A late answer is one whose attempt has timed out already."""
    by_outcome = metrics.by_label("reseq_attempts_total", "outcome")
    return sum(count for outcome, count in by_outcome.items() if outcome not in ("done", "late"))


def final(proof: Proof, metrics: Metrics, seconds: float, sent_bytes: int) -> str:
    """The report over a finished run of `seconds` from the first submission to the last arrival."""
    rate = proof.messages / seconds
    alone = metrics.total("reseq_transform_seconds_sum")
    overhead = metrics.histogram("reseq_release_overhead_seconds")
    outcomes = metrics.by_label("reseq_attempts_total", "outcome")
    rows = [
        ("messages", f"{proof.messages:,} ({_size(sent_bytes)}) in {seconds:.1f} s"),
        ("arrivals", _arrivals(proof)),
        ("history", f"{proof.commits:,} commits rebuilt; {proof.same_ids:,} even have their original ids"),
        ("out of order", f"{metrics.total('reseq_out_of_order_total'):,.0f} were done before an earlier one was"),
        ("retries", f"{retries(metrics):,.0f} (attempts: {_counts(outcomes)})"),
        ("worker deaths", f"{metrics.total('reseq_worker_deaths_total'):,.0f}"),
        ("throughput", f"{rate:,.0f} messages/s{_comparison(proof.messages, seconds, alone)}"),
        ("added latency", _latency(overhead)),
    ]
    lines = [f"  {name:<14} {text}" for name, text in rows]
    return "\n".join(lines + verdict(proof))


DIFFERENCES_SHOWN = 10


def verdict(proof: Proof) -> list:
    """The lines that say whether anything differs, and what."""
    if not proof.differences:
        return ["nothing differs: every message once, in order, byte for byte; every commit with its tree and parents"]
    shown = [f"  DIFFERS: {difference}" for difference in proof.differences[:DIFFERENCES_SHOWN]]
    return [*shown, f"FAILED: {len(proof.differences):,} differences"]


def _arrivals(proof: Proof) -> str:
    again = f", and {proof.redelivered:,} once more under the same delivery id" if proof.redelivered else ""
    return f"{proof.messages:,} compared with what was sent{again}"


def _comparison(messages: int, seconds: float, alone: float) -> str:
    if not alone:
        return ""
    return f"; one at a time {messages / alone:,.1f}/s: {alone / seconds:.1f} times as fast"


_OUTCOMES = {"timed_out": "timed out", "orphaned": "lost with their worker", "crashed": "killed their worker"}


def _counts(outcomes: dict) -> str:
    return ", ".join(f"{n:,.0f} {_OUTCOMES.get(outcome, outcome)}" for outcome, n in outcomes.items()) or "none counted"


def _latency(overhead: Histogram) -> str:
    return f"mean {_milliseconds(overhead.mean())}, p99 at most {_milliseconds(overhead.quantile(0.99))}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2g} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def _size(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
