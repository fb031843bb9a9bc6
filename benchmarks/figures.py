"""Figures, each with what it was in every run, and what it has to be."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class Target:
    """What a figure has to reach.

    Args:
        bound: the value that just does.
        at_most: whether it must not be passed; otherwise it must be reached.
    """

    bound: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        """Return whether a value is good enough."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        what: it is, in words.
        values: one of each run.
        unit: of the values; `x` for a ratio.
        target: for their median; None when it is only told.
    """

    what: str
    values: Sequence[float]
    unit: str
    target: Target | None = None

    @property
    def median(self) -> float:
        """What the run in the middle gave."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None without one."""
        return None if self.target is None else self.target.met(self.median)

    def as_json(self) -> dict[str, Any]:
        """Return it with everything that the table shows."""
        return {
            "what": self.what,
            "unit": self.unit,
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
            "target": None if self.target is None else str(self.target),
            "met": self.met,
        }


@dataclass(frozen=True)
class Findings:
    """What a case has found out.

    Args:
        figures: lines of the table.
        runs: every run as it was measured.
        curves: what changes in the course of something, for plots, by name.
        samples: single measurements whose distribution matters, for plots, by name.
    """

    figures: list[Figure]
    runs: list[dict[str, Any]]
    curves: dict[str, Curve] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)


def ratios(values: Sequence[float], against: Sequence[float]) -> list[float]:
    """Return how many times the value beside it each value is."""
    return [value / other for value, other in zip(values, against, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
