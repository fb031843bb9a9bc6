"""What is known about one event, as values: from it follows why the event is where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from outbox_notify.operations.pause import Pause
    from outbox_notify.operations.relays import Relay


@dataclass(frozen=True)
class Event:
    """What the outbox keeps about one event.

    Args:
        available_at: None for infinity.
        due_in: seconds until `available_at`; below zero when it has come, None for infinity.
        waits: whether `available_at` is still to come.
        lease_left: seconds until the lease expires; None when there is none.
        locker: the transaction that was the last to lock or change the row.
    """

    id: int
    event_id: UUID
    tenant_id: str
    event_type: str
    aggregate_type: str | None
    aggregate_id: str | None
    status: str
    attempts: int
    claims: int
    last_error: str | None
    created_at: datetime
    available_at: datetime | None
    published_at: datetime | None
    claimed_by: str | None
    lease_until: datetime | None
    ordering_key: int | None
    due_in: float | None
    waits: bool
    lease_left: float | None
    locker: str

    @property
    def route(self) -> str:
        """Its subject without the prefix."""
        return f"{self.tenant_id}.{self.event_type}"

    @property
    def aggregate(self) -> str:
        """Its aggregate, in one word."""
        return f"{self.aggregate_type}/{self.aggregate_id}"


@dataclass(frozen=True)
class Lock:
    """A transaction that is, or may be, in the way.

    Args:
        kind: `table`, `writer`, `turn` or `row`; what each means stands in `sql/why_locks.sql`. Or `horizon`, which is
            in nobody's way: it only makes claims pass by dead rows.
        pid: None for a prepared transaction.
        open_seconds: None when the role may not know.
    """

    kind: str
    pid: int | None
    mode: str | None
    name: str
    role: str | None
    open_seconds: float | None


@dataclass(frozen=True)
class Reason:
    """Why another event came back."""

    id: int
    reason: str


@dataclass(frozen=True)
class Evidence:
    """What is known about one event that exists.

    Args:
        ahead: what is known about the first unfinished event of its aggregate before it.
        paused: the pause that holds it; None when it is not due.
        resting: an event of the same route that came back since the route rests; None when it is not due.
        locks: who stands in the way of a claim.
        wakes: whether writers wake relays.
        before: how many events are due before it, 100,000 at most; None when it is not due.
        horizon: whose transaction has kept dead rows for long; None when nobody's has, or it is not due.
    """

    event: Event
    relays: Sequence[Relay] = ()
    ahead: Evidence | None = None
    paused: Pause | None = None
    resting: Reason | None = None
    locks: Sequence[Lock] = ()
    wakes: bool = True
    before: int | None = None
    horizon: Lock | None = None


@dataclass(frozen=True)
class Missing:
    """What is known when there is no such event.

    Args:
        newest: the highest row id that is there.
        writers: transactions that write to the outbox and are still open.
    """

    name: int | UUID
    newest: int
    writers: Sequence[Lock]


_WHAT = {
    "writer": "has written to the outbox and not committed",
    "turn": "holds the turn to claim",
    "row": "has the row of the event locked",
    "horizon": "keeps VACUUM from removing dead rows",
}


def described(lock: Lock) -> str:
    """Say who holds a lock, which, and for how long."""
    who = f"pid {lock.pid} ({lock.name or 'without a name'})" if lock.pid is not None else lock.name
    role = f" of role {lock.role}" if lock.role else ""
    what = _WHAT.get(lock.kind, f"holds {lock.mode} on the table")
    age = "" if lock.open_seconds is None else f", its transaction open for {lock.open_seconds:.0f} s"
    return f"{who}{role} {what}{age}"
