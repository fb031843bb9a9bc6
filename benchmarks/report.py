"""What comes out: a table for people, JSON for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.figures import Figure, Findings

_WIDTH = 120
_MET = {True: "yes", False: "NO", None: ""}


def print_table(findings: Mapping[str, Findings], machine: Mapping[str, object]) -> None:
    """Write all figures to stdout, each with its target."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    table = Table(box=box.MARKDOWN)
    for column in ("what", "median", "spread", "unit", "target", "met"):
        table.add_column(column, justify="right" if column in {"median", "spread", "target"} else "left")
    for found in findings.values():
        for figure in found.figures:
            table.add_row(*_row(figure), style="red" if figure.met is False else None)
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), soft_wrap=True)


def as_json(findings: Mapping[str, Findings], machine: Mapping[str, object]) -> dict[str, Any]:
    """Return everything that was measured."""
    return {
        "machine": dict(machine),
        "cases": {
            name: {
                "figures": [figure.as_json() for figure in found.figures],
                "runs": found.runs,
                "curves": found.curves,
                "samples": found.samples,
            }
            for name, found in findings.items()
        },
    }


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.what,
        _number(figure.median),
        f"{_number(min(figure.values))} .. {_number(max(figure.values))}",
        figure.unit,
        "" if figure.target is None else str(figure.target),
        _MET[figure.met],
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
