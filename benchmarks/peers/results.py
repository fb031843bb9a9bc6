"""What the runs say together: medians and spread, as a table and as JSON. No I/O."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from outbox_notify.cli.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.peers.contenders import Contender
    from benchmarks.peers.cost import Cost

_HEAD = (
    "relay", "version", "events/s", "lowest", "highest", "of bare loop", "ours", "relay us", "postgres us", "nats us",
    "keeps order", "out of order", "duplicates", "drained",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One run of one contender.

    Args:
        number: of the round, in which everybody ran once.
        rate: events a second, from the first message in the stream to the last.
        events: different ones in the stream.
        duplicates: messages beyond those.
        out_of_order: events that came after a later one of their aggregate.
        complete: whether the backlog was drained before the time was over.
        cost: of an event; None when the run was too short to tell.
    """

    number: int
    rate: float
    events: int
    duplicates: int
    out_of_order: int
    complete: bool
    cost: Cost | None


@dataclass(frozen=True)
class Result:
    """All runs of one contender.

    Args:
        contender: who.
        runs: that succeeded.
        failure: why runs are missing; empty when none is.
    """

    contender: Contender
    runs: tuple[Run, ...]
    failure: str = ""

    @property
    def rate(self) -> float | None:
        """Median of the runs in events a second; None without runs."""
        return _median(run.rate for run in self.runs)

    def as_json(self) -> dict[str, Any]:
        """Return everything that is known, every run included."""
        rates = [run.rate for run in self.runs]
        return {
            "relay": self.contender.name,
            "requirement": self.contender.requirement,
            "settings": self.contender.settings,
            "keeps_order": self.contender.order,
            "events_per_second": _rounded(self.rate),
            "lowest": _rounded(min(rates, default=None)),
            "highest": _rounded(max(rates, default=None)),
            "runs": [asdict(run) for run in self.runs],
            "failure": self.failure,
        }


def as_table(results: Sequence[Result], *, ours: Sequence[Run], bare_loop: Sequence[Run]) -> Iterator[str]:
    """Yield lines for people: the fastest first, those without a run last, then everybody's settings.

    Args:
        results: of each contender.
        ours: runs of our own relay.
        bare_loop: runs of the bare loop.
    """
    ranked = sorted(results, key=lambda result: -(result.rate or 0))
    yield from table(_HEAD, [_row(result, ours, bare_loop) for result in ranked])
    yield "settings:"
    yield from (f"  {result.contender.name}: {result.contender.configuration}" for result in ranked)


def ratio(runs: Sequence[Run], others: Sequence[Run]) -> float | None:
    """Return how many times as fast as others some runs were, None without rounds in which both ran.

    It is the median of the rounds, not the ratio of the medians: what runs within a minute meets the same machine.
    """
    beside = {other.number: other.rate for other in others if other.rate}
    return _median(run.rate / beside[run.number] for run in runs if run.number in beside)


def _row(result: Result, ours: Sequence[Run], bare_loop: Sequence[Run]) -> tuple[str, ...]:
    runs = result.runs
    rates = [run.rate for run in runs]
    costs = [run.cost for run in runs if run.cost]
    return (
        result.contender.name,
        result.contender.version or "-",
        _number(result.rate),
        _number(min(rates, default=None)),
        _number(max(rates, default=None)),
        _number(ratio(runs, bare_loop), ".3f"),
        _number(ratio(ours, runs), ".1f", " x"),
        *(_number(_median(getattr(cost, name) for cost in costs)) for name in ("relay", "postgres", "nats")),
        result.contender.order,
        _number(max((run.out_of_order for run in runs), default=None)),
        _number(max((run.duplicates for run in runs), default=None)),
        "; ".join(filter(None, (_drained(runs), result.failure))),
    )


def _drained(runs: Sequence[Run]) -> str:
    """Say how much of the backlog the runs got through; nothing without runs."""
    if all(run.complete for run in runs):
        return "all" if runs else ""
    return f"cut off at {min(run.events for run in runs):,}"


def _number(value: float | None, form: str = ",.0f", unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 1)
