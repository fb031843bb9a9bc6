"""The writer's side: `emit` puts events into the outbox inside the caller's transaction.

It never commits, never opens a connection and never reads a result, so it needs no right but INSERT and works
in pipeline mode too. psycopg's errors pass through unchanged: they belong to the caller's transaction.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor, ProgrammingError
from psycopg.pq import TransactionStatus
from psycopg.rows import scalar_row

from outbox_notify.events import Event
from outbox_notify.ids import new_event_id
from outbox_notify.postgres.queries import query
from outbox_notify.trace_context import current_trace, headers_with

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from psycopg.sql import Composed

# The first of the two int keys of an aggregate's lock: "outk" in ASCII, next to the wake lock's "outb".
AGGREGATE_LOCK_CLASS = 0x6F75746B

AnyConnection: TypeAlias = Connection[Any] | AsyncConnection[Any]


class _Statement(NamedTuple):
    text: Composed
    parameters: dict[str, object]


def emit(
    connection: Connection[Any] | Cursor[Any],
    *events: Event,
    serialize: bool = False,
    schema: str = "public",
) -> list[UUID]:
    """Write events in the caller's transaction and return their ids, in the order of the arguments.

    An event whose id is in the outbox already is left out without an error. A cursor serves only to find its
    connection: results it still holds stay readable.

    Args:
        connection: psycopg's connection or cursor. In autocommit mode outside a transaction block the events
            are a transaction of their own.
        events: written by one statement; the order of their row ids is the order of the arguments.
        serialize: let other writers of the same aggregates that serialize too wait until this transaction
            ends, so that the order of ids is the order of commits. For writers that do not lock what they
            change. One call takes its locks in sorted order; several calls in one transaction may deadlock.
        schema: where the outbox is.

    Raises:
        TypeError: not a synchronous connection of psycopg, or not an `Event`.
        psycopg.ProgrammingError: `serialize` without a transaction that could hold the locks.
        psycopg.Error: whatever PostgreSQL refuses; the transaction is then aborted.
    """
    link = connection.connection if isinstance(connection, Cursor) else connection
    if not isinstance(link, Connection):
        raise _wrong_connection("emit", "Connection or Cursor", connection)
    if not events:
        return []
    event_ids = _event_ids(events)
    with Cursor(link) as cursor:
        for statement in _statements(events, event_ids, link, serialize=serialize, schema=schema):
            cursor.execute(statement.text, statement.parameters)
    return event_ids


async def emit_async(
    connection: AsyncConnection[Any] | AsyncCursor[Any],
    *events: Event,
    serialize: bool = False,
    schema: str = "public",
) -> list[UUID]:
    """Do as `emit` does, on psycopg's asynchronous connections and cursors."""
    link = connection.connection if isinstance(connection, AsyncCursor) else connection
    if not isinstance(link, AsyncConnection):
        raise _wrong_connection("emit_async", "AsyncConnection or AsyncCursor", connection)
    if not events:
        return []
    event_ids = _event_ids(events)
    async with AsyncCursor(link) as cursor:
        for statement in _statements(events, event_ids, link, serialize=serialize, schema=schema):
            await cursor.execute(statement.text, statement.parameters)
    return event_ids


def time_after(connection: Connection[Any], delay: timedelta) -> datetime:
    """Return the time after a delay by the clock of the database, the only one that decides what is due."""
    with Cursor(connection, row_factory=scalar_row) as cursor:
        time: datetime = cursor.execute(query("time_after", "public"), {"delay": delay}).fetchall()[0]
    return time


def _wrong_connection(function: str, accepted: str, given: object) -> TypeError:
    kind = type(given)
    return TypeError(f"{function} takes psycopg's {accepted}, not {kind.__module__}.{kind.__qualname__}")


def _event_ids(events: Sequence[Event]) -> list[UUID]:
    for event in events:
        if not isinstance(event, Event):
            raise TypeError(f"events must be outbox_notify.Event, not {type(event).__qualname__}")
    return [event.event_id if isinstance(event.event_id, UUID) else new_event_id() for event in events]


def _statements(
    events: Sequence[Event],
    event_ids: Sequence[UUID],
    connection: AnyConnection,
    *,
    serialize: bool,
    schema: str,
) -> list[_Statement]:
    insert = _Statement(query("emit", schema), _insert_parameters(events, event_ids))
    if not serialize:
        return [insert]
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise ProgrammingError(
            "serialize=True needs a transaction: its locks would be gone before the INSERT"
        )
    lock = _Statement(query("serialize", schema), _lock_parameters(events))
    return [lock, insert]


def _insert_parameters(events: Sequence[Event], event_ids: Sequence[UUID]) -> dict[str, object]:
    trace = current_trace()
    rows = [_row(event, event_id, trace) for event, event_id in zip(events, event_ids, strict=True)]
    bodies = [event.payload_bytes for event in events]
    return {
        "events": f"[{','.join(rows)}]",
        "bodies": bodies if any(body is not None for body in bodies) else None,
    }


def _row(event: Event, event_id: UUID, trace: dict[str, str]) -> str:
    """Return one event as a JSON object; payload and headers are JSON texts already and go in as they are."""
    fields = {
        "event_id": str(event_id),
        "tenant_id": event.tenant_id,
        "event_type": event.event_type,
        "aggregate_type": event.aggregate_type,
        "aggregate_id": event.aggregate_id,
        "content_type": event.content_type,
        "available_at": event.available_at and event.available_at.isoformat(),
    }
    opened = json.dumps(fields, ensure_ascii=False).removesuffix("}")
    return f'{opened}, "headers": {headers_with(event, trace)}, "payload": {event.payload_json or "null"}}}'


def _lock_parameters(events: Sequence[Event]) -> dict[str, object]:
    aggregates = [
        {
            "tenant_id": event.tenant_id,
            "aggregate_type": event.aggregate_type,
            "aggregate_id": event.aggregate_id,
        }
        for event in events
        if event.aggregate_id is not None
    ]
    return {"aggregates": json.dumps(aggregates, ensure_ascii=False), "lock_class": AGGREGATE_LOCK_CLASS}
