"""What PostgreSQL is asked to explain one event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import class_row

from outbox_notify.errors import NotPermitted, OutboxError, SchemaError
from outbox_notify.operations.evidence import Event, Evidence, Lock, Missing, Reason, described
from outbox_notify.operations.pause import Pause, pause_of
from outbox_notify.operations.relays import read_relays
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.relay.retry import lets_route_rest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from outbox_notify.operations.relays import Relay

Row = TypeVar("Row")

_RELAYS = "outbox-notify relay "
_TIMEOUT = "10s"
# Past this share of the notification queue the trigger leaves the wake to the sweep.
_FULL = 0.5
# Seconds for which a transaction may be open before dead rows pile up behind it.
_LONG = 60.0


def gather(
    conn: psycopg.Connection, schema: str, name: int | UUID, *, ordered: bool, block: bool
) -> Evidence | Missing:
    """Return what PostgreSQL knows about one event.

    Args:
        conn: in autocommit mode.
        schema: where the outbox is.
        name: row id or event id.
        ordered: whether aggregates keep their order.
        block: whether a failed event holds back its aggregate.

    Raises:
        SchemaError: there is no outbox.
        NotPermitted: the role may not read it.
        OutboxError: somebody has locked the table; the text says who.
    """
    with translated():
        try:
            with conn.transaction():
                conn.execute(query("why_begin", schema), {"timeout": _TIMEOUT})
                found = _Questions(conn, schema).about(name, ordered=ordered, block=block)
        except psycopg.errors.LockNotAvailable:
            raise OutboxError(_locked(conn, schema)) from None
    return found


@dataclass(frozen=True)
class _Questions:
    conn: psycopg.Connection
    schema: str

    def about(self, name: int | UUID, *, ordered: bool, block: bool) -> Evidence | Missing:
        event = self._event(name)
        if event is None:
            [newest] = self._column("why_missing")
            return Missing(name, newest, self.locks("0", "writer"))
        relays = read_relays(self.conn, self.schema)
        if event.status != "pending" or event.waits:
            return Evidence(event, relays)
        keyed = ordered and event.ordering_key is not None
        ahead = self._ahead(event, relays, block=block) if keyed else None
        return self._due(event, relays, ahead)

    def _ahead(self, event: Event, relays: Sequence[Relay], *, block: bool) -> Evidence | None:
        values = {"key": event.ordering_key, "id": event.id, "block": block}
        first = next(iter(self._column("why_ahead", **values)), None)
        earlier = self._event(first) if first is not None else None
        if earlier is None:
            return None
        due = earlier.status == "pending" and not earlier.waits
        return self._due(earlier, relays, None) if due else Evidence(earlier, relays)

    def _due(self, event: Event, relays: Sequence[Relay], ahead: Evidence | None) -> Evidence:
        values = {"tenant": event.tenant_id, "event_type": event.event_type}
        reasons = self._rows(Reason, "why_route", **values)
        [before] = self._column("why_before", id=event.id)
        return Evidence(
            event,
            relays,
            ahead,
            paused=self._pause(event),
            resting=next((reason for reason in reasons if lets_route_rest(reason.reason)), None),
            locks=self.locks(event.locker, "table", "turn", "row"),
            wakes=self._wakes(),
            before=before,
            horizon=next(iter(self._rows(Lock, "why_horizon", long=_LONG)), None),
        )

    def _pause(self, event: Event) -> Pause | None:
        try:
            with self.conn.transaction():
                return pause_of(self.conn, self.schema, event.tenant_id, event.event_type)
        except (SchemaError, NotPermitted):
            return None  # the schema is older than pauses, or its roles are

    def _event(self, name: int | UUID) -> Event | None:
        is_id = isinstance(name, int)
        values = {"id": name if is_id else None, "event_id": None if is_id else name}
        return next(iter(self._rows(Event, "why_event", **values)), None)

    def locks(self, locker: str, *kinds: str) -> list[Lock]:
        """Return locks of these kinds; a relay's own work is not in its way, but a turn that it never gives back is."""
        found = self._rows(Lock, "why_locks", locker=locker)
        return [
            lock
            for lock in found
            if lock.kind in kinds and (lock.kind == "turn" or not lock.name.startswith(_RELAYS))
        ]

    def _wakes(self) -> bool:
        try:
            with translated(), self.conn.transaction():
                [share] = self._column("why_queue")
        except NotPermitted:
            share = 0.0
        [enabled] = self._column("why_wake")
        return bool(enabled) and share < _FULL

    def _rows(self, kind: type[Row], name: str, **values: object) -> list[Row]:
        with self.conn.cursor(row_factory=class_row(kind)) as cursor:
            return cursor.execute(query(name, self.schema), values).fetchall()

    def _column(self, name: str, **values: object) -> list[Any]:
        return [value for (value,) in self.conn.execute(query(name, self.schema), values)]


def _locked(conn: psycopg.Connection, schema: str) -> str:
    locks = _Questions(conn, schema).locks("0", "table")
    who = "; ".join(described(lock) for lock in locks) or "who has locked it is gone by now"
    return f"nobody gets at the outbox: {who}"
