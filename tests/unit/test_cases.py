"""The table of the numbered fault cases tells of each, of the ones that were not run too."""

from __future__ import annotations

import pytest

from tests.support.cases import NUMBERS, Case, Cases, number_of, table
from tests.support.checker import Verdict


def test_numbered_tests_are_told_by_their_names() -> None:
    assert number_of("test_t15_a_relay_that_was_overtaken_changes_nothing[18]") == "T15"
    assert number_of("test_writers_keep_their_order") is None


def test_every_case_has_a_line_also_when_it_was_not_run() -> None:
    lines = table([Case("test_t15_overtaken", "passed", 1.25, {"lost": 0, "reclaims": 3})])
    assert lines[1].split()[:4] == ["T15", "passed", "1.2", "0"]
    assert len(lines) == 1 + len(NUMBERS)


def test_figure_without_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="no column for"):
        Cases().account("test_t15", None, {"recovered": 1})


def test_verdict_fills_the_first_columns() -> None:
    cases = Cases()
    verdict = Verdict([], [], ["a"], [], [], [], [], [], ["b", "c"])
    cases.account("test_t15", verdict, {"fenced": 2})
    figures = cases.cases["test_t15"].figures
    assert figures == {
        "lost": 0,
        "phantom": 0,
        "duplicates": 1,
        "out_of_order": 0,
        "failed": 2,
        "fenced": 2,
    }
