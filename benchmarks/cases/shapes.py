"""Whether it matters how events are spread: over one aggregate, or over very many tenants."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.backlog import Backlog
from benchmarks.drains import Drain, drain
from benchmarks.figures import Figure, Findings, ratios
from benchmarks.programs import DRAIN

if TYPE_CHECKING:
    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

_EVENTS = 100_000
_USUAL = "10,000 aggregates of 5 tenants"
_SHAPES = {
    _USUAL: Backlog(_EVENTS),
    "one aggregate": Backlog(_EVENTS, aggregates=1, tenants=1),
    "10,000 tenants": Backlog(_EVENTS, tenants=10_000),
}


def run(stage: Stage, plan: Plan) -> Findings:
    """Drain backlogs of each shape in turn."""
    drains: dict[str, list[Drain]] = {name: [] for name in _SHAPES}
    for turn in range(1, plan.runs + 1):
        for name, shape in _SHAPES.items():
            stage.say(f"{name}, run {turn} of {plan.runs}")
            backlog = replace(shape, events=plan.size(_EVENTS))
            with stage.filled(backlog.write) as template:
                drains[name].append(drain(stage, template, backlog.events, DRAIN))
    rates = {name: [done.rate for done in dones] for name, dones in drains.items()}
    figures = [Figure(f"drain, {_USUAL}", rates[_USUAL], "events/s")]
    figures += [
        Figure(f"drain, {name} / {_USUAL}", ratios(values, rates[_USUAL]), "x")
        for name, values in rates.items()
        if name != _USUAL
    ]
    return Findings(figures, [done.as_json(name) for name, dones in drains.items() for done in dones])
