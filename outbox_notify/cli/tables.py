"""Columns of text for people; programs ask for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_CELL = 100


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield aligned lines, the head first; what values hold stays inside their line."""
    cells = [list(head), *([one_line(str(value), LONGEST_CELL) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
