"""What is measured, one module for each row of the table, by the name that asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.cases import ahead, drain, idle, memory, pending, quiet, scale, shapes, snapshot, writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.figures import Findings
    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

CASES: dict[str, Callable[[Stage, Plan], Findings]] = {
    "drain": drain.run,
    "idle": idle.run,
    "writers": writers.run,
    "snapshot": snapshot.run,
    "pending": pending.run,
    "ahead": ahead.run,
    "quiet": quiet.run,
    "memory": memory.run,
    "scale": scale.run,
    "shapes": shapes.run,
}
