"""The numbered fault cases: which there are, how each went, and one table of it all."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.checker import Verdict

_NUMBERED = re.compile(r"test_(t\d\d)_")

_GAPS = {11, 12, 31, 37, 43, 48, 52, 54, 55, 60, 61}
NUMBERS = [f"T{number:02}" for number in range(1, 71) if number not in _GAPS]
# What `make test-faults` does not run, and why.
LEFT_OUT: dict[str, str] = {"T05": "needs pgbouncer: runs with `make test-system`"}

_COLUMNS = (
    "lost",
    "phantom",
    "duplicates",
    "out_of_order",
    "duplicate_acks",
    "reclaims",
    "fenced",
    "failed",
    "recover_s",
    "seed",
)


@dataclass
class Case:
    """How one test of a numbered case went.

    Args:
        test: its name.
        outcome: `passed` or `failed`.
        seconds: that it took.
        figures: what it counted, by column.
    """

    test: str
    outcome: str = "not run"
    seconds: float = 0.0
    figures: dict[str, object] = field(default_factory=dict)


class Cases:
    """Collects what the tests of a run report; a pytest plugin."""

    def __init__(self) -> None:
        self.cases: defaultdict[str, Case] = defaultdict(lambda: Case(""))

    def account(self, test: str, verdict: Verdict | None, figures: dict[str, object]) -> None:
        """Take in what a test counted.

        Args:
            test: its node id.
            verdict: of the checker, for the first columns.
            figures: for the other columns: duplicate_acks, reclaims, fenced, recover_s, seed.

        Raises:
            ValueError: a figure has no column.
        """
        if unknown := figures.keys() - set(_COLUMNS):
            raise ValueError(f"no column for {sorted(unknown)}: there are {_COLUMNS}")
        known = {} if verdict is None else _counted(verdict)
        self.cases[test].figures |= known | figures

    @pytest.hookimpl
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark every numbered test as a fault case, wherever it stands."""
        for item in items:
            if number_of(item.name):
                item.add_marker(pytest.mark.fault)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a numbered test ended."""
        name = report.nodeid.rpartition("::")[2]
        if number_of(name) and (report.when == "call" or report.failed):
            case = self.cases[report.nodeid]
            case.test, case.outcome, case.seconds = name, report.outcome, report.duration

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, when it was asked for."""
        if terminalreporter.config.getoption("--cases"):
            terminalreporter.section("fault cases")
            for line in table(self.cases.values()):
                terminalreporter.write_line(line)


def number_of(test_name: str) -> str | None:
    """Return the number of the case that a test is about."""
    found = _NUMBERED.search(test_name)
    return found[1].upper() if found else None


def table(cases: Iterable[Case]) -> list[str]:
    """Return one line a test, by number, then the cases that were left out or had no test in this run."""
    rows = sorted(((number_of(case.test) or "", case) for case in cases if case.test), key=lambda row: row[0])
    lines = [_line("case", "outcome", "s", dict(zip(_COLUMNS, _COLUMNS, strict=True)), "test")]
    lines += [
        _line(number, case.outcome, f"{case.seconds:.1f}", case.figures, case.test) for number, case in rows
    ]
    run = {number for number, _ in rows}
    lines += [
        f"{number}  {LEFT_OUT.get(number, 'not in this run')}" for number in NUMBERS if number not in run
    ]
    return lines


def _counted(verdict: Verdict) -> dict[str, object]:
    columns = ("lost", "phantom", "duplicates", "out_of_order", "failed")
    return {column: len(getattr(verdict, column)) for column in columns}


def _line(number: str, outcome: str, seconds: str, figures: dict[str, object], test: str) -> str:
    cells = [str(figures.get(column, "-")).rjust(max(len(column), 6)) for column in _COLUMNS]
    return f"{number:<5}{outcome:<8}{seconds:>6}  {' '.join(cells)}  {test}"
