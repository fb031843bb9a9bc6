"""What an event costs in processor time, which says more than a rate when others use the machine as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.proc import cpu_seconds

if TYPE_CHECKING:
    from benchmarks.stage import Stage


@dataclass(frozen=True)
class Used:
    """Processor time that was used until a moment, in seconds.

    Args:
        messages: that the stream held then.
        relay: by the contender's process.
        postgres: by PostgreSQL.
        nats: by nats-server.
    """

    messages: int
    relay: float
    postgres: float
    nats: float


@dataclass(frozen=True)
class Cost:
    """Processor time of one event in microseconds, by whom it was used."""

    relay: float
    postgres: float
    nats: float


def used(stage: Stage, relay: int, messages: int) -> Used:
    """Return what has been used until now.

    Args:
        stage: with the servers.
        relay: process id of the contender.
        messages: that the stream holds.
    """
    return Used(messages, cpu_seconds(relay), cpu_seconds(stage.postgres.pid), cpu_seconds(stage.nats.pid))


def cost(first: Used | None, last: Used) -> Cost | None:
    """Return what an event cost between two moments of a drain; None when they lie too close together.

    Args:
        first: when the contender was at work already, so that its start is not counted.
        last: when it was done.
    """
    if first is None or (events := last.messages - first.messages) <= 0:
        return None
    us = 1e6 / events
    return Cost(
        (last.relay - first.relay) * us, (last.postgres - first.postgres) * us, (last.nats - first.nats) * us
    )
