"""Reads the supervisor's /metrics: the few figures that the report shows."""

import re
from typing import NamedTuple

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Histogram(NamedTuple):
    count: float
    sum: float
    buckets: list  # (upper bound, how many are at or below it), by bound

    def mean(self) -> float:
        return self.sum / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The upper bound of the bucket in which that share of the values is reached."""
        reached = (bound for bound, below in self.buckets if below >= share * self.count)
        return next(reached, float("inf"))


class Metrics:
    """One reading of a Prometheus text exposition. What is not in it counts as 0."""

    def __init__(self, text: str):
        self._samples = []
        for line in text.splitlines():
            sample = _SAMPLE.match(line)
            if sample:
                labels = dict(_LABEL.findall(sample.group(2) or ""))
                self._samples.append((sample.group(1), labels, float(sample.group(3))))

    def total(self, name: str) -> float:
        """The sum over all labels."""
        return sum(value for sample, _, value in self._samples if sample == name)

    def by_label(self, name: str, label: str) -> dict:
        """The sums by one label's values, largest first."""
        sums = {}
        for sample, labels, value in self._samples:
            if sample == name and label in labels:
                sums[labels[label]] = sums.get(labels[label], 0.0) + value
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    def histogram(self, name: str) -> Histogram:
        bounds = {}
        for sample, labels, value in self._samples:
            if sample == f"{name}_bucket":
                bound = float(labels["le"].replace("+Inf", "inf"))
                bounds[bound] = bounds.get(bound, 0.0) + value
        return Histogram(self.total(f"{name}_count"), self.total(f"{name}_sum"), sorted(bounds.items()))
