"""Pauses: what operators want relays to leave alone for a while. Relays read them with every claim."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from outbox_notify.errors import InvalidEvent, OutboxError
from outbox_notify.operations.audit import Act
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.subjects import EVENT_TYPE_RULE, TOKEN_RULE, valid_event_type, valid_token

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg


@dataclass(frozen=True)
class Target:
    """What is paused: a tenant, a type of event, or a type of one tenant.

    Raises:
        InvalidEvent: neither is given, or one breaks the rule of its column.
    """

    tenant_id: str | None = None
    event_type: str | None = None

    def __post_init__(self) -> None:
        if self.tenant_id is not None and not valid_token(self.tenant_id):
            raise InvalidEvent("tenant_id", self.tenant_id, TOKEN_RULE)
        if self.event_type is not None and not valid_event_type(self.event_type):
            raise InvalidEvent("event_type", self.event_type, EVENT_TYPE_RULE)
        if self.tenant_id is None and self.event_type is None:
            raise InvalidEvent("tenant_id", None, "name a tenant, an event type, or both")

    def __str__(self) -> str:
        tenant = f"tenant {self.tenant_id}" if self.tenant_id is not None else ""
        event_type = f"type {self.event_type}" if self.event_type is not None else ""
        return f"{event_type} of {tenant}" if tenant and event_type else tenant or event_type

    def takes_in(self, tenant_id: str, event_type: str) -> bool:
        """Return whether an event is of it."""
        return self.tenant_id in {None, tenant_id} and self.event_type in {None, event_type}


@dataclass(frozen=True)
class Pause:
    """One pause that holds.

    Args:
        until: when it is over by itself; None: when somebody resumes.
        since: when it was made.
        by: the role that made it.
    """

    tenant_id: str | None
    event_type: str | None
    until: datetime | None
    since: datetime
    by: str
    reason: str | None

    @property
    def target(self) -> Target:
        """What is paused."""
        return Target(self.tenant_id, self.event_type)


def pauses(conn: psycopg.Connection, schema: str) -> list[Pause]:
    """Return the pauses that hold now, the oldest first."""
    with translated(), conn.cursor(row_factory=class_row(Pause)) as cursor:
        return cursor.execute(query("pause_list", schema)).fetchall()


def pause_of(conn: psycopg.Connection, schema: str, tenant_id: str, event_type: str) -> Pause | None:
    """Return the pause that holds events of a tenant and a type, the oldest where there are several."""
    holding = (found for found in pauses(conn, schema) if found.target.takes_in(tenant_id, event_type))
    return next(holding, None)


def pause(
    conn: psycopg.Connection,
    schema: str,
    target: Target,
    *,
    until: datetime | None = None,
    lasting: float | None = None,
    reason: str | None = None,
) -> Pause:
    """Let relays leave events alone from now on; a pause of the same target is replaced.

    Args:
        conn: in autocommit mode.
        schema: where the outbox is.
        target: which events.
        until: when it is over by itself.
        lasting: seconds until it is over by itself.
        reason: for those who ask why nothing moves.

    Raises:
        OutboxError: it would be over already.
    """
    values = {**asdict(target), "until": until, "lasting": lasting, "reason": reason}
    with translated(), conn.transaction(), conn.cursor(row_factory=class_row(_Made)) as cursor:
        conn.execute(query("pause_clear", schema), {**asdict(target), "everything": False})
        [made] = cursor.execute(query("pause_set", schema), values).fetchall()
        if made.over:
            raise OutboxError(f"{made.until:%Y-%m-%d %H:%M:%S%z} is past: nothing would be paused")
        Act(conn, schema, "pause", values).add(0)
        # For one that is over sooner than before: relays learn with their next claim how long to wait.
        conn.execute(query("notify_scan", schema))
    return made.pause


def resume(conn: psycopg.Connection, schema: str, target: Target | None) -> list[Pause]:
    """End a pause, or all of them, and wake the relays.

    Args:
        conn: in autocommit mode.
        schema: where the outbox is.
        target: exactly what was paused; None for all there is.

    Returns:
        the pauses that are over now.

    Raises:
        OutboxError: nothing of this is paused; the text says what is.
    """
    named = {"tenant_id": None, "event_type": None} if target is None else asdict(target)
    values = {**named, "everything": target is None}
    with translated(), conn.transaction(), conn.cursor(row_factory=class_row(Pause)) as cursor:
        over = cursor.execute(query("pause_clear", schema), values).fetchall()
        if over:
            Act(conn, schema, "resume", values).add(0)
            conn.execute(query("notify_scan", schema))
    if not over and target is not None:
        others = ", ".join(str(other.target) for other in pauses(conn, schema))
        raise OutboxError(f"{target} is not paused" + (f"; paused is {others}" if others else ""))
    return over


@dataclass(frozen=True)
class _Made(Pause):
    """A pause as it was written, and whether it is over already."""

    over: bool | None

    @property
    def pause(self) -> Pause:
        """The pause alone."""
        return Pause(self.tenant_id, self.event_type, self.until, self.since, self.by, self.reason)
