"""Whether the rate, and the relay's memory, stay the same however much is pending."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.backlog import Backlog
from benchmarks.drains import Drain, drain_some
from benchmarks.figures import Figure, Findings, Target, ratios

if TYPE_CHECKING:
    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

_PENDING = (50_000, 1_000_000, 5_000_000)
_MEGABYTE = 2**20


def run(stage: Stage, plan: Plan) -> Findings:
    """Publish as many events as the smallest backlog has, out of each backlog in turn."""
    pending = [plan.size(events) for events in _PENDING]
    drains: dict[int, list[Drain]] = {events: [] for events in pending}
    with ExitStack() as filled:
        templates = {}
        for events in pending:
            stage.say(f"{events:,} events are being written")
            templates[events] = filled.enter_context(stage.filled(Backlog(events).write))
        for turn in range(1, plan.runs + 1):
            for events in pending:
                stage.say(f"{events:,} pending, run {turn} of {plan.runs}")
                with stage.copy(templates[events]) as url:
                    stage.stream.renew()
                    drains[events].append(drain_some(stage, url, pending[0]))
    rates = {events: [done.rate for done in dones] for events, dones in drains.items()}
    raw = [done.as_json(f"{events} pending") for events, dones in drains.items() for done in dones]
    curve = [(float(events), median(values)) for events, values in rates.items()]
    return Findings(_figures(rates, drains[pending[-1]]), raw, {"relay": curve})


def _figures(rates: dict[int, list[float]], largest: list[Drain]) -> list[Figure]:
    least, *more = rates
    memory = [done.peak_memory / _MEGABYTE for done in largest]
    return [
        Figure(f"drain, {least:,} pending", rates[least], "events/s"),
        *(
            Figure(
                f"drain, {events:,} / {least:,} pending",
                ratios(rates[events], rates[least]),
                "x",
                Target(0.9),
            )
            for events in more
        ),
        Figure(f"relay memory, {more[-1]:,} pending", memory, "MB", Target(120, at_most=True)),
    ]
