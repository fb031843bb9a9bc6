"""How old events are: the quick way finds what the plain way finds."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox_notify.observability.latency import spread_of_ages

NOW = datetime(2026, 3, 1, 0, 0, 30, tzinfo=UTC)
BOUNDS = (0.01, 1.0, 60.0, 3600.0)


def written(age: float) -> str:
    return (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def spread(*ages: float) -> tuple[list[int], float]:
    return spread_of_ages(map(written, ages), NOW.timestamp(), BOUNDS)


# Microseconds that are on no bound, where the last digit of a float would decide.
AGES = st.integers(-(10**6), 10**10).map(lambda number: (10 * number + 7) / 1e6)


@given(st.lists(AGES, max_size=200))
def test_every_age_is_in_its_bucket_and_in_the_sum(ages: list[float]) -> None:
    counts = [0] * (len(BOUNDS) + 1)
    for age in ages:
        counts[bisect_left(BOUNDS, age)] += 1
    found, total = spread(*ages)
    assert found == counts
    assert total == pytest.approx(sum(max(0.0, age) for age in ages), abs=0.001)


def test_ages_over_the_turn_of_a_month_are_added_up() -> None:
    counts, total = spread(10, 40, 100_000)
    assert counts == [0, 0, 2, 0, 1]
    assert total == pytest.approx(100_050, abs=0.001)


def test_nothing_has_no_age() -> None:
    assert spread() == ([0, 0, 0, 0, 0], 0.0)


def test_what_is_from_the_future_is_as_young_as_can_be() -> None:
    assert spread(-5, -0.5) == ([2, 0, 0, 0, 0], 0.0)
