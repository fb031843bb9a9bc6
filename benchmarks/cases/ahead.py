"""Whether very many rows at the head of the table that may not go yet are in the way of those behind them."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.ahead import KINDS, put_ahead
from benchmarks.backlog import Backlog
from benchmarks.figures import Figure, Findings, Target, ratios
from benchmarks.latency import latencies
from benchmarks.programs import RELAY

if TYPE_CHECKING:
    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

_AHEAD = (500_000, 1_000_000)
_BEHIND = Backlog(100_000)
_SINGLES = 60
_PATIENCE = 120.0
# One kind of rows has no stream: everything else has.
_SUBJECTS = ["events.acme.>", *(f"events.tenant-{number}.>" for number in range(_BEHIND.tenants))]


@dataclass(frozen=True)
class _Run:
    """How a relay did.

    Args:
        rate: events a second from the first to the last of those behind.
        first: seconds from when the relay was ready to the first of them.
        idle: what single events took afterwards, median, ms.
        free: the same with nothing ahead, right before.
    """

    rate: float
    first: float
    idle: float
    free: _Run | None = None


def run(stage: Stage, plan: Plan) -> Findings:
    """Drain, and send single events, behind each kind of rows; each time right after doing so behind none."""
    behind = replace(_BEHIND, events=plan.size(_BEHIND.events))
    figures, raw = [], []
    with stage.filled(behind.write) as nothing:
        for rows, kind in itertools.product(map(plan.size, _AHEAD), KINDS):
            stage.say(f"{rows:,} rows are being written, {kind}")
            with stage.filled(partial(put_ahead, kind=kind, rows=rows), behind.write) as template:
                runs = []
                for turn in range(1, plan.runs + 1):
                    stage.say(f"{rows:,} rows ahead, {kind}, run {turn} of {plan.runs}")
                    free = _measure(stage, plan, nothing, behind.events)
                    runs.append(replace(_measure(stage, plan, template, behind.events), free=free))
            figures += _figures(f"{rows:,} ahead, {kind}", runs)
            raw += [{"what": kind, "ahead": rows, **asdict(done)} for done in runs]
    return Findings(figures, raw)


def _figures(what: str, runs: list[_Run]) -> list[Figure]:
    frees = [done.free for done in runs if done.free]
    rate = ratios([done.rate for done in runs], [free.rate for free in frees])
    idle = ratios([done.idle for done in runs], [free.idle for free in frees])
    return [
        Figure(f"drain, {what} / none", rate, "x", Target(0.8)),
        Figure(f"idle latency p50, {what} / none", idle, "x", Target(1.3, at_most=True)),
        Figure(f"first event after the start, {what}", [done.first for done in runs], "s"),
    ]


def _measure(stage: Stage, plan: Plan, template: str, events: int) -> _Run:
    stage.stream.renew(_SUBJECTS)
    with stage.copy(template) as url, stage.start(RELAY, url) as relay:
        relay.wait_until_ready()
        began = time.time()
        stage.stream.wait_for(events, _PATIENCE, relay.check)
        first, last = stage.stream.times((1, events))
        singles = latencies(url, stage.nats.url, plan.size(_SINGLES))
    return _Run((events - 1) / (last - first), first - began, median(singles))
