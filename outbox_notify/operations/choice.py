"""Which events an operator means: named one by one, or failed ones by a filter."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from psycopg.rows import scalar_row

from outbox_notify.errors import OutboxError
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import psycopg

# Rows of one transaction: short enough to hold nobody up, long enough that flushes do not count.
BATCH = 1_000


@dataclass(frozen=True)
class Filter:
    """Which failed events are meant; what is None does not matter.

    Args:
        older_than: seconds since the event was written, at least.
        newer_than: seconds since the event was written, less than.
    """

    tenant: str | None = None
    event_type: str | None = None
    older_than: float | None = None
    newer_than: float | None = None


class Choice(NamedTuple):
    """The failed events that were meant when they were counted.

    Args:
        batches: their row ids, oldest first; read from the database as they are asked for.
    """

    events: int
    batches: Iterable[list[int]]


def choose(
    conn: psycopg.Connection,
    schema: str,
    names: Sequence[int | UUID],
    which: Filter,
    limit: int | None = None,
) -> Choice:
    """Return the events with these names, or where none are given, those that the filter means.

    Events that fail after this are not among them.

    Args:
        conn: in autocommit mode.
        schema: where the outbox is.
        names: row ids or event ids.
        which: not looked at when there are names.
        limit: that many at most, the oldest.

    Raises:
        OutboxError: a named event does not exist, or has not failed.
    """
    if names:
        ids = find(conn, schema, names)[:limit]
        return Choice(len(ids), [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)])
    with translated():
        row = conn.execute(query("failed_extent", schema), asdict(which)).fetchone()
    events, last_id = row or (0, 0)
    events = min(events, limit or events)
    return Choice(events, _batches(conn, schema, which, last_id, events))


def find(
    conn: psycopg.Connection, schema: str, names: Sequence[int | UUID], status: str = "failed"
) -> list[int]:
    """Return the row ids of events, oldest first; `names` are row ids or event ids.

    Raises:
        OutboxError: some do not exist, or are in another status; the text names them.
    """
    values = {
        "ids": [name for name in names if isinstance(name, int)],
        "event_ids": [name for name in names if isinstance(name, UUID)],
    }
    with translated():
        rows = conn.execute(query("failed_find", schema), values).fetchall()
    states = {name: state for row_id, event_id, state in rows for name in (row_id, event_id)}
    problems = [_problem(name, states.get(name), status) for name in names if states.get(name) != status]
    if problems:
        raise OutboxError("; ".join(problems))
    return [row_id for row_id, _, _ in rows]


def _batches(
    conn: psycopg.Connection, schema: str, which: Filter, last_id: int, left: int
) -> Iterator[list[int]]:
    after = 0
    while left > 0 and (ids := _batch(conn, schema, which, after, last_id)[:left]):
        yield ids
        after, left = ids[-1], left - len(ids)


def _batch(conn: psycopg.Connection, schema: str, which: Filter, after: int, last_id: int) -> list[int]:
    values = {**asdict(which), "after": after, "last_id": last_id, "rows": BATCH}
    with translated(), conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(query("failed_batch", schema), values).fetchall()


def _problem(name: int | UUID, status: str | None, wanted: str) -> str:
    return f"there is no event {name}" if status is None else f"event {name} is {status}, not {wanted}"
