"""A program works off a backlog: how fast, and what it took."""

from __future__ import annotations

import itertools
import signal
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from benchmarks.errors import BenchmarkError
from benchmarks.proc import cpu_seconds
from benchmarks.programs import RELAY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from benchmarks.figures import Curve
    from benchmarks.programs import Program
    from benchmarks.stage import Stage
    from benchmarks.stream import Stream

_TIMEOUT = 900.0
_PATIENCE = 60.0
# A piece of a course has at least a few batches.
_PIECE = 2000
_PIECES = 50


@dataclass(frozen=True)
class Drain:
    """What it took.

    Args:
        events: that were published.
        rate: events a second from the first to the last, by the times at which JetStream stored them: the
            start of the process is not in it, nor the claim of the first batch and the mark of the last.
        program_us: processor time of the program, us per event, from when it was ready.
        postgres_us: processor time of PostgreSQL.
        nats_us: processor time of nats-server.
        peak_memory: of the program, bytes.
    """

    events: int
    rate: float
    program_us: float
    postgres_us: float
    nats_us: float
    peak_memory: int

    @property
    def all_us(self) -> float:
        """Processor time of everything that had to do with it, us per event."""
        return self.program_us + self.postgres_us + self.nats_us

    def as_json(self, what: str) -> dict[str, Any]:
        """Return it as a raw run of something."""
        return {"what": what, **asdict(self)}


def drain(
    stage: Stage,
    template: str,
    events: int,
    command: tuple[str, ...],
    settings: Mapping[str, str] = MappingProxyType({}),
    beside: Callable[[str], AbstractContextManager[object]] = nullcontext[str],
) -> Drain:
    """Let a program work off a copy of a database, and end.

    Args:
        stage: with the servers.
        template: name of the database.
        events: how many are due in it.
        command: what to run.
        settings: of the program, as variables of its environment.
        beside: what somebody else does in the database meanwhile, given its URL.

    Raises:
        BenchmarkError: the stream does not hold each event once.
    """
    with stage.copy(template) as url, beside(url):
        stage.stream.renew()
        with stage.start(command, url, **settings) as program:
            program.wait_until_ready()
            before = _used(stage, program)
            program.wait_until_done(_TIMEOUT)
            after = _used(stage, program)
        stored = stage.stream.stored()
    if stored.messages != events:
        raise BenchmarkError(f"the stream holds {stored.messages} messages of {events} events")
    us = {name: (after[name] - before[name]) / events * 1e6 for name in before}
    return Drain(events, stored.rate, us["program"], us["postgres"], us["nats"], program.peak_memory)


def drain_some(stage: Stage, url: str, events: int) -> Drain:
    """Let a relay publish so many events out of more, or out of some that may not go, and stop it.

    The stream is renewed by the caller. What the relay publishes until it has stopped is not in the rate.
    """
    with stage.start(RELAY, url) as relay:
        relay.wait_until_ready()
        before = _used(stage, relay)
        stage.stream.wait_for(events, _PATIENCE, relay.check)
        after, done = _used(stage, relay), stage.stream.stored().messages
        first, last = stage.stream.times((1, events))
        relay.stop(signal.SIGTERM)
    us = {name: (after[name] - before[name]) / done * 1e6 for name in before}
    rate = (events - 1) / (last - first)
    return Drain(events, rate, us["program"], us["postgres"], us["nats"], relay.peak_memory)


def course(stream: Stream, events: int) -> Curve:
    """Return the events a second of each piece of what the stream holds, with the number of events up to its end."""
    pieces = max(5, min(_PIECES, events // _PIECE))
    ends = [max(1, events * number // pieces) for number in range(pieces + 1)]
    times = zip(ends, stream.times(ends), strict=True)
    return [
        (float(end), (end - start) / max(ended - began, 1e-6))
        for (start, began), (end, ended) in itertools.pairwise(times)
    ]


def _used(stage: Stage, program: Program) -> dict[str, float]:
    program.note()
    servers = {"postgres": stage.postgres.pid, "nats": stage.nats.pid}
    return {"program": program.cpu_seconds, **{name: cpu_seconds(pid) for name, pid in servers.items()}}
