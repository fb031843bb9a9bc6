"""How old events are when they are through: all events of a batch at once, at a fifth of what one by one costs."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TO_THE_MINUTE = len("2026-01-01T00:00")
_SECONDS = itemgetter(slice(_TO_THE_MINUTE + 1, -1))


def spread_of_ages(created: Iterable[str], now: float, bounds: Sequence[float]) -> tuple[list[int], float]:
    """Return how many ages fall below each bound and above the one before, and all of them together, in seconds.

    Times of one form sort like texts, and events of a batch are nearly in order. So they are not read to be counted:
    the bounds between the youngest and the oldest are written as times instead, and found among them.

    Args:
        created: RFC 3339 in UTC with microseconds, as in `ClaimedEvent.created_at`.
        now: seconds since 1970; what is younger counts as 0.
        bounds: seconds, in order.
    """
    times, counts = sorted(created), [0] * (len(bounds) + 1)
    if not times:
        return counts, 0.0
    place, last = (bisect_left(bounds, now - _read(time)) for time in (times[-1], times[0]))
    behind = len(times)
    while place < last:
        first = bisect_left(times, _written(now - bounds[place]))
        counts[place], behind = behind - first, first
        place += 1
    counts[last] = behind
    past = times if times[-1] < _written(now) else times[: bisect_left(times, _written(now))]
    return counts, max(0.0, now * len(past) - _sum(past))


def _read(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _written(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _sum(times: list[str]) -> float:
    """Return times together, as seconds since 1970; those of one minute differ in their seconds only."""
    total, first = 0.0, 0
    while first < len(times):
        minute = times[first][:_TO_THE_MINUTE]
        # `;` is what follows the `:` that stands behind every minute.
        behind = bisect_left(times, minute + ";", first)
        total += _read(minute + ":00Z") * (behind - first) + sum(
            map(float, map(_SECONDS, times[first:behind]))
        )
        first = behind
    return total
