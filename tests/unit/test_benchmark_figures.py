"""What the figures of a benchmark say."""

from __future__ import annotations

import pytest

from benchmarks.figures import Figure, Target, percentile, ratios


def test_the_median_is_held_against_the_target() -> None:
    figure = Figure("drain, keyed / bare loop", [0.5, 0.7, 0.9], "x", Target(0.65))
    assert figure.median == 0.7
    assert figure.met is True
    assert figure.as_json()["target"] == "≥ 0.65"


def test_a_target_may_be_a_limit() -> None:
    limit = Target(50, at_most=True)
    assert Figure("latency", [51.0], "ms", limit).met is False
    assert Figure("latency", [50.0], "ms", limit).met is True


def test_a_figure_without_target_is_only_told() -> None:
    assert Figure("drain", [1.0], "events/s").met is None


def test_ratios_are_taken_run_by_run() -> None:
    assert ratios([2.0, 9.0], [4.0, 3.0]) == [0.5, 3.0]


def test_ratios_of_unlike_numbers_of_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("share", "value"), [(0.5, 51), (0.99, 100), (1.0, 100)])
def test_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == value
