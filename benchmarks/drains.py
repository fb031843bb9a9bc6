"""One drain: a program works off a backlog, and what it took."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.errors import BenchmarkError
from benchmarks.proc import cpu_seconds

if TYPE_CHECKING:
    from benchmarks.stage import Stage

_TIMEOUT = 900.0


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

    def as_json(self, what: str) -> dict[str, Any]:
        """Return it as a raw run of something."""
        return {"what": what, **asdict(self)}


def drain(stage: Stage, template: str, events: int, command: tuple[str, ...], **settings: str) -> Drain:
    """Let a program work off a copy of a database, and end.

    Args:
        stage: with the servers.
        template: name of the database.
        events: how many are due in it.
        command: what to run.
        settings: of the program, as variables of its environment.

    Raises:
        BenchmarkError: the stream does not hold each event once.
    """
    with stage.copy(template) as url:
        stage.stream.renew()
        with stage.start(command, url, **settings) as program:
            program.wait_until_ready()
            before = _used(stage, program.pid)
            program.wait_until_done(_TIMEOUT)
            after = _used(stage, program.pid)
            after["program"] = program.cpu_seconds
        stored = stage.stream.stored()
    if stored.messages != events:
        raise BenchmarkError(f"the stream holds {stored.messages} messages of {events} events")
    us = {name: (after[name] - before[name]) / events * 1e6 for name in before}
    return Drain(events, stored.rate, us["program"], us["postgres"], us["nats"], program.peak_memory)


def _used(stage: Stage, pid: int) -> dict[str, float]:
    pids = {"program": pid, "postgres": stage.postgres.pid, "nats": stage.nats.pid}
    return {name: cpu_seconds(pid) for name, pid in pids.items()}
