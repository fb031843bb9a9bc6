"""The numbers behind the metrics: plain ones, so that counting costs next to nothing and needs no library."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outbox_notify.observability.catalog import METRICS, MOST_VALUES, OTHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outbox_notify.observability.catalog import Metric


@dataclass(slots=True)
class Spread:
    """How often something took how long.

    Args:
        counts: by bucket, not added up; the last is for what is beyond every bound.
        total: seconds together.
    """

    counts: list[int]
    total: float = 0.0

    def add(self, counts: Sequence[int], total: float) -> None:
        """Take in many at once."""
        self.counts = [before + more for before, more in zip(self.counts, counts, strict=True)]
        self.total += total


@dataclass(slots=True)
class Tally:
    """Values by metric and by the value of its label, which is empty where it has none.

    Whatever is known beforehand stands at zero from the start: a rate needs to see where a counter began.
    """

    values: dict[Metric, dict[str, float]] = field(default_factory=dict)
    spreads: dict[Metric, dict[str, Spread]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for metric in METRICS:
            known = metric.values if metric.labels else ("",)
            if metric.kind == "histogram":
                self.spreads[metric] = {value: Spread([0] * (len(metric.bounds) + 1)) for value in known}
            elif metric.kind == "counter":
                self.values[metric] = dict.fromkeys(known, 0.0)
            else:
                self.values[metric] = {}

    def add(self, metric: Metric, value: str = "", by: float = 1.0) -> None:
        """Count up."""
        values = self.values[metric]
        value = _bounded(values, value)
        values[value] = values.get(value, 0.0) + by

    def set(self, metric: Metric, number: float, value: str = "") -> None:
        """Set a gauge."""
        self.values[metric][_bounded(self.values[metric], value)] = number

    def forget(self, metric: Metric) -> None:
        """Show nothing for a gauge until it is set again."""
        self.values[metric].clear()

    def observe(self, metric: Metric, seconds: float, value: str = "") -> None:
        """Take in how long something took."""
        spread = self.spreads[metric][value]
        spread.counts[bisect_left(metric.bounds, seconds)] += 1
        spread.total += seconds


def _bounded(known: dict[str, float], value: str) -> str:
    return value if value in known or len(known) < MOST_VALUES else OTHER
