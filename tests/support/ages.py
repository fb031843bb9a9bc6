"""How old events are when they pass: from the answer to their commit until somebody hears them.

Time in which the machine itself stood still does not count.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outbox_notify import Event
from tests.support.processes import wait_for
from tests.support.writers import insert

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from tests.support.machine import Machine
    from tests.support.stream import Spy


@dataclass
class Ages:
    """Notes when events were committed, and asks a spy when they passed.

    Args:
        spy: hears what the relay publishes.
        machine: knows when it stood still.
        committed: monotonic time of the commit, by event id.
    """

    spy: Spy
    machine: Machine
    committed: dict[str, float] = field(default_factory=dict)

    def insert(self, conn: psycopg.Connection, events: int = 1, aggregate: str | None = None) -> list[str]:
        """Insert events in a transaction of their own and return their ids."""
        ids = insert(conn, *[about(aggregate) for _ in range(events)])
        self.commit(conn, ids)
        return ids

    def commit(self, conn: psycopg.Connection, ids: Iterable[str]) -> None:
        """Commit the transaction that wrote these events."""
        conn.commit()
        self.note(ids)

    def note(self, ids: Iterable[str]) -> None:
        """Take these events for committed just now."""
        self.committed |= dict.fromkeys(ids, time.monotonic())

    def of(self, ids: Iterable[str], timeout: float = 10) -> list[float]:
        """Return the ages of events, once all of them have passed, in seconds."""
        wanted = list(ids)
        wait_for(lambda: not set(wanted) - self._passed().keys(), timeout, f"{len(wanted)} events to pass")
        passed = self._passed()
        return [self._age(self.committed[event_id], passed[event_id]) for event_id in wanted]

    def all(self, timeout: float = 10) -> list[float]:
        """Return the ages of all events, once all of them have passed, in the order of their commits."""
        return self.of(self.committed, timeout)

    def _age(self, committed: float, passed: float) -> float:
        return passed - committed - self.machine.stalled(committed, passed)

    def _passed(self) -> dict[str, float]:
        return {event_id: when for event_id, _, when in reversed(self.spy.heard)}


def about(aggregate: str | None = None) -> Event:
    """Return an event about an aggregate, or about none."""
    kind = None if aggregate is None else "article"
    return Event("acme", "stock.moved", {"n": 1}, aggregate_type=kind, aggregate_id=aggregate)
