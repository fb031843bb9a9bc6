"""How fast a backlog of 100,000 events is worked off by one relay with default settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.backlog import Backlog
from benchmarks.drains import Drain, drain
from benchmarks.figures import Figure, Findings, Target, ratios
from benchmarks.programs import BARE, DRAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

_EVENTS = 100_000
_BARE = "bare loop"


@dataclass(frozen=True)
class _Kind:
    """One way to work off a backlog.

    Args:
        aggregates: of its events.
        target: against the bare loop.
        command: what to run.
        table: what it works off.
        settings: of the relay.
    """

    aggregates: int = 10_000
    target: Target | None = None
    command: tuple[str, ...] = DRAIN
    table: str = "event_outbox"
    settings: dict[str, str] = field(default_factory=dict)


_KINDS = {
    _BARE: _Kind(command=BARE, table="bare_outbox"),
    "keyed": _Kind(target=Target(0.65)),
    "without aggregate": _Kind(aggregates=0, target=Target(0.7)),
    "keyed, retention 0": _Kind(target=Target(0.85), settings={"OUTBOX_RETENTION": "0"}),
}


def run(stage: Stage, plan: Plan) -> Findings:
    """Drain with the bare loop and with each kind of relay in turn, and compare those that ran in one turn."""
    events = plan.size(_EVENTS)
    drains: dict[str, list[Drain]] = {name: [] for name in _KINDS}
    for turn in range(1 if plan.quick else 0, plan.runs + 1):
        for name, kind in _KINDS.items():
            stage.say(f"{name}, {f'run {turn} of {plan.runs}' if turn else 'to warm up'}")
            backlog = Backlog(events if turn else events // 5, aggregates=kind.aggregates, table=kind.table)
            with stage.filled(backlog.write) as template:
                done = drain(stage, template, backlog.events, kind.command, kind.settings)
            if turn:
                drains[name].append(done)
    raw = [done.as_json(name) for name, dones in drains.items() for done in dones]
    return Findings(_figures(drains), raw)


def _figures(drains: dict[str, list[Drain]]) -> list[Figure]:
    bare = [done.rate for done in drains[_BARE]]
    figures = []
    for name, dones in drains.items():
        rates = [done.rate for done in dones]
        figures.append(Figure(f"drain, {name}", rates, "events/s"))
        if target := _KINDS[name].target:
            figures.append(Figure(f"drain, {name} / bare loop", ratios(rates, bare), "x", target))
        figures += _costs(name, dones)
        if name != _BARE:
            cost = ratios([done.all_us for done in dones], [done.all_us for done in drains[_BARE]])
            figures.append(Figure(f"drain, {name}: processor time of all / bare loop", cost, "x"))
    return figures


def _costs(name: str, dones: Sequence[Drain]) -> list[Figure]:
    parts = {"itself": "program_us", "PostgreSQL": "postgres_us", "NATS": "nats_us"}
    return [
        Figure(
            f"drain, {name}: processor time of {part}", [getattr(done, what) for done in dones], "us/event"
        )
        for part, what in parts.items()
    ]
