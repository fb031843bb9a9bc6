"""How long an event takes from its commit to a subscriber while nothing else happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from benchmarks.bare_listen import TRIGGER
from benchmarks.figures import Figure, Findings, Target, percentile, ratios
from benchmarks.latency import latencies
from benchmarks.programs import ASLEEP, BARE_LISTEN, RELAY

if TYPE_CHECKING:
    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

_EVENTS = 300
_BARE, _OURS = "bare LISTEN loop", "relay"
_PERCENTILES = {"p50": (0.5, Target(1.3, at_most=True)), "p99": (0.99, Target(1.5, at_most=True))}


def run(stage: Stage, plan: Plan) -> Findings:
    """Send single events through the bare loop and through the relay in turn."""
    events = plan.size(_EVENTS)
    taken: dict[str, list[list[float]]] = {_BARE: [], _OURS: []}
    for turn in range(1, plan.runs + 1):
        stage.say(f"run {turn} of {plan.runs}")
        taken[_BARE].append(_bare(stage, events))
        taken[_OURS].append(_ours(stage, events))
    raw = [{"what": name, "ms": run} for name, runs in taken.items() for run in runs]
    samples = {name: [ms for run in runs for ms in run] for name, runs in taken.items()}
    return Findings(_figures(taken), raw, samples=samples)


def _figures(taken: dict[str, list[list[float]]]) -> list[Figure]:
    figures = []
    for name, (share, target) in _PERCENTILES.items():
        bare, ours = ([percentile(run, share) for run in taken[which]] for which in (_BARE, _OURS))
        figures += [
            Figure(f"idle latency {name}, bare LISTEN loop", bare, "ms"),
            Figure(f"idle latency {name}", ours, "ms"),
            Figure(f"idle latency {name} / bare LISTEN loop", ratios(ours, bare), "x", target),
        ]
    return figures


def _bare(stage: Stage, events: int) -> list[float]:
    stage.stream.renew()
    with stage.copy() as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(TRIGGER)
        with stage.start(BARE_LISTEN, url) as program:
            program.wait_until_ready()
            return latencies(url, stage.nats.url, events, "bare_outbox")


def _ours(stage: Stage, events: int) -> list[float]:
    stage.stream.renew()
    with stage.copy() as url, stage.start(RELAY, url, ASLEEP) as program:
        program.wait_until_ready()
        return latencies(url, stage.nats.url, events)
