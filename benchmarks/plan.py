"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass

_QUICK = 20


@dataclass(frozen=True)
class Plan:
    """What the caller asked for.

    Args:
        runs: how often each figure is taken.
        quick: whether to see only that everything works, at a twentieth of the size.
    """

    runs: int = 3
    quick: bool = False

    def size(self, full: int) -> int:
        """Return how many events or rows to take, given how many a full run takes."""
        return full // _QUICK if self.quick else full

    def seconds(self, full: float) -> float:
        """Return how long to measure, given how long a full run does."""
        return max(0.5, full / _QUICK) if self.quick else full
