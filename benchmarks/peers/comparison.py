"""All runs of all contenders, in turn, so that a change of the machine's mood meets everybody."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from nats.errors import Error as NatsError

from benchmarks.errors import BenchmarkError
from benchmarks.machine import machine
from benchmarks.peers import environment
from benchmarks.peers.contenders import BARE_LOOP, OURS
from benchmarks.peers.results import Result, Run, as_table
from benchmarks.peers.run import Plan, run
from benchmarks.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.peers.contenders import Contender
    from benchmarks.progress import Progress

_POSTGRES = 18


@dataclass(frozen=True)
class Comparison:
    """What came of it.

    Args:
        plan: what every run had in common.
        about: the machine, and the versions of everything.
        results: of each contender.
    """

    plan: Plan
    about: dict[str, str | int | float]
    results: tuple[Result, ...]

    @property
    def complete(self) -> bool:
        """Whether our own have run every time; a peer that cannot be had, or fails, is a finding."""
        return not any(result.failure for result in self.results if not result.contender.requirement)

    def as_table(self) -> Iterator[str]:
        """Yield lines for people."""
        yield f"{self.plan.events:,} events of 200 bytes over {self.plan.aggregates:,} aggregates"
        yield "  ".join(f"{name} {value}" for name, value in self.about.items())
        if float(self.about["load"]) > float(self.about["cores"]) / 2:
            yield "others used this machine too: what an event costs says more than how many went in a second"
        yield from as_table(self.results, ours=self._runs_of(OURS), bare_loop=self._runs_of(BARE_LOOP))

    def as_json(self) -> dict[str, Any]:
        """Return everything that is known."""
        return {
            "about": self.about,
            "plan": asdict(self.plan),
            "results": [result.as_json() for result in self.results],
        }

    def _runs_of(self, contender: Contender) -> tuple[Run, ...]:
        return next((result.runs for result in self.results if result.contender == contender), ())


class Series:
    """Runs of several contenders that take turns.

    Args:
        contenders: who takes part.
        plan: of each run.
        progress: is told what happens.
    """

    def __init__(self, contenders: Sequence[Contender], plan: Plan, progress: Progress) -> None:
        self._contenders = contenders
        self._plan = plan
        self._progress = progress
        self._runs: dict[str, list[Run]] = defaultdict(list)
        self._failures: dict[str, str] = {}

    def take(self, times: int) -> Comparison:
        """Run everybody so many times. Who cannot be installed, or fails, says why and is out from then on."""
        self._install()
        with Stage(_POSTGRES, self._progress) as stage:
            about = machine(stage)
            for number in range(1, times + 1):
                for contender in self._contenders:
                    self._progress.case(f"run {number} of {times}, {contender.name}")
                    if contender.name not in self._failures:
                        self._run(contender, stage, number)
        return Comparison(self._plan, about, tuple(map(self._result, self._contenders)))

    def _install(self) -> None:
        self._progress.case("installing")
        wanted = [contender.requirement for contender in self._contenders if contender.requirement]
        # Their programs here speak to JetStream themselves, whatever the relay brings along.
        reasons = environment.install(["nats-py", *wanted], self._progress.say)
        for contender in self._contenders:
            if contender.requirement in reasons:
                self._failures[contender.name] = f"cannot be had: {reasons[contender.requirement]}"

    def _run(self, contender: Contender, stage: Stage, number: int) -> None:
        try:
            done = run(contender, self._plan, stage, number)
        except (BenchmarkError, OSError, NatsError, psycopg.Error) as error:
            self._failures[contender.name] = str(error) or type(error).__name__
            self._progress.say(self._failures[contender.name])
            return
        self._runs[contender.name].append(done)
        self._progress.say(f"{done.rate:,.0f} events/s, {done.events:,} drained")

    def _result(self, contender: Contender) -> Result:
        return Result(contender, tuple(self._runs[contender.name]), self._failures.get(contender.name, ""))
