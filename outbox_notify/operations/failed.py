"""Failed events: what an operator sees of them, and the two ways out, requeue and discard."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from outbox_notify.errors import OutboxError
from outbox_notify.operations.audit import Act
from outbox_notify.operations.choice import Filter, find
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.writers.ids import new_event_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    import psycopg

_BEHIND_ALL = 2**63 - 1


@dataclass(frozen=True)
class FailedEvent:
    """One failed event without its body."""

    id: int
    event_id: UUID
    tenant_id: str
    event_type: str
    aggregate_type: str | None
    aggregate_id: str | None
    content_type: str
    headers: dict[str, str]
    created_at: datetime
    available_at: datetime
    attempts: int
    claims: int
    last_error: str | None


@dataclass(frozen=True)
class WholeEvent(FailedEvent):
    """One failed event with its body, in one of the two fields."""

    payload: Any
    payload_bytes: bytes | None


def page(
    conn: psycopg.Connection, schema: str, which: Filter, rows: int, before: int | None = None
) -> list[FailedEvent]:
    """Return failed events, newest first: `rows` at most, all with ids below `before`."""
    values = {**asdict(which), "rows": rows, "before": _BEHIND_ALL if before is None else before}
    with translated(), conn.cursor(row_factory=class_row(FailedEvent)) as cursor:
        return cursor.execute(query("failed_list", schema), values).fetchall()


def show(conn: psycopg.Connection, schema: str, name: int | UUID) -> WholeEvent:
    """Return one failed event.

    Raises:
        OutboxError: there is no such event, or it has not failed.
    """
    [row_id] = find(conn, schema, [name])
    with translated(), conn.cursor(row_factory=class_row(WholeEvent)) as cursor:
        event = cursor.execute(query("failed_show", schema), {"id": row_id}).fetchone()
    if event is None:
        raise OutboxError(f"event {name} has not failed any more")
    return event


def requeue(
    conn: psycopg.Connection,
    schema: str,
    ids: Iterable[Sequence[int]],
    *,
    new_ids: bool = False,
    on_batch: Callable[[int], None] | None = None,
    arguments: Mapping[str, object] | None = None,
) -> int:
    """Make failed events pending again, at their old place in the order, and wake the relays.

    Args:
        conn: in autocommit mode; each batch is a transaction.
        schema: where the outbox is.
        ids: batches of row ids; ids of events that have not failed are passed over.
        new_ids: give them new message ids, for messages that were purged from the stream. Without, an attempt
            that timed out and was stored all the same makes the new one a duplicate, as it should.
        on_batch: told how many events each batch has requeued.
        arguments: how the operator said which events; kept with the act.

    Returns:
        how many events were requeued.
    """

    def step(batch: Sequence[int]) -> int:
        event_ids = [new_event_id() if new_ids else None for _ in batch]
        values = {"ids": list(batch), "event_ids": event_ids}
        count = conn.execute(query("failed_requeue", schema), values).rowcount
        conn.execute(query("notify_scan", schema))
        return count

    act = Act(conn, schema, "failed requeue", {**(arguments or {}), "new_ids": new_ids})
    return _by_batches(conn, ids, step, act, on_batch)


def discard(
    conn: psycopg.Connection,
    schema: str,
    ids: Iterable[Sequence[int]],
    *,
    on_batch: Callable[[int], None] | None = None,
    arguments: Mapping[str, object] | None = None,
) -> int:
    """Delete failed events for good, and wake the relays: they may have held back an aggregate.

    Arguments and result as for `requeue`.
    """

    def step(batch: Sequence[int]) -> int:
        count = conn.execute(query("failed_discard", schema), {"ids": list(batch)}).rowcount
        conn.execute(query("notify_scan", schema))
        return count

    act = Act(conn, schema, "failed discard", arguments or {})
    return _by_batches(conn, ids, step, act, on_batch)


def _by_batches(
    conn: psycopg.Connection,
    ids: Iterable[Sequence[int]],
    step: Callable[[Sequence[int]], int],
    act: Act,
    on_batch: Callable[[int], None] | None,
) -> int:
    total = 0
    for batch in ids:
        with translated(), conn.transaction():
            count = step(batch)
            act.add(count)
        total += count
        if on_batch:
            on_batch(count)
    return total
