"""Whether the rate stays the same while somebody else holds a snapshot, so that no dead row can be cleaned up."""

from __future__ import annotations

from contextlib import contextmanager
from statistics import harmonic_mean
from typing import TYPE_CHECKING

import psycopg

from benchmarks.backlog import Backlog
from benchmarks.drains import course, drain
from benchmarks.figures import Figure, Findings, Target
from benchmarks.programs import BARE, DRAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Curve
    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

_EVENTS = 500_000
# The bare loop gets slower and slower: it is only to be seen how.
_BARE_EVENTS = 100_000


def run(stage: Stage, plan: Plan) -> Findings:
    """Drain while a snapshot is held, with the relay and with the bare loop in turn."""
    ours = Backlog(plan.size(_EVENTS))
    bare = Backlog(plan.size(_BARE_EVENTS), table="bare_outbox")
    runs: dict[str, list[Curve]] = {"relay": [], "bare loop": []}
    with stage.filled(ours.write, bare.write) as template:
        for turn in range(1, plan.runs + 1):
            for name, backlog, command in (("bare loop", bare, BARE), ("relay", ours, DRAIN)):
                stage.say(f"{name}, run {turn} of {plan.runs}")
                drain(stage, template, backlog.events, command, beside=holding_a_snapshot)
                runs[name].append(course(stage.stream, backlog.events))
    figures = [
        Figure("last fifth / first fifth under a snapshot", _fifths(runs["relay"]), "x", Target(0.9)),
        Figure("the same of the bare loop, a fifth as long", _fifths(runs["bare loop"]), "x"),
    ]
    raw = [{"what": name, "course": curve} for name, curves in runs.items() for curve in curves]
    return Findings(figures, raw, curves={name: curves[-1] for name, curves in runs.items()})


@contextmanager
def holding_a_snapshot(url: str) -> Iterator[None]:
    """Hold a transaction open in a database that still sees what was there when it began."""
    with psycopg.connect(url) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        conn.execute("SELECT count(*) FROM pg_class")
        yield


def _fifths(curves: list[Curve]) -> list[float]:
    """Return the rate of the last fifth over that of the first; the pieces of a course are of one length."""
    return [_rate(curve[-(len(curve) // 5) :]) / _rate(curve[: len(curve) // 5]) for curve in curves]


def _rate(pieces: Curve) -> float:
    return harmonic_mean([rate for _, rate in pieces])
