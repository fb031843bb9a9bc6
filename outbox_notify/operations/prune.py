"""Delete published events now, rather than in the relay's own time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import class_row

from outbox_notify.operations.audit import Act
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

# Rows that one transaction looks at: few enough that neither writers nor relays notice.
_ROWS = 1_000


class _Step(NamedTuple):
    """What `sql/prune.sql` says of one batch."""

    pruned: int
    go_on_after: int | None
    met_young: bool


def old_events(conn: psycopg.Connection, schema: str, older_than: float) -> int:
    """Return how many events were published longer ago than so many seconds."""
    with translated():
        [(old,)] = conn.execute(query("prune_extent", schema), {"older_than": older_than}).fetchall()
    return int(old)


def prune(
    conn: psycopg.Connection,
    schema: str,
    older_than: float,
    *,
    on_batch: Callable[[int], None] | None = None,
) -> int:
    """Delete events that were published longer ago than so many seconds; nothing else is touched.

    Args:
        conn: in autocommit mode; each batch is a transaction.
        schema: where the outbox is.
        older_than: seconds since they were published.
        on_batch: told how many events each batch has deleted.

    Returns:
        how many events were deleted.
    """
    act = Act(conn, schema, "prune", {"older_than": older_than})
    after: int | None = 0
    total = 0
    while after is not None:
        step = _step(conn, schema, after, older_than, act)
        after, total = step.go_on_after, total + step.pruned
        if on_batch:
            on_batch(step.pruned)
    return total


def _step(conn: psycopg.Connection, schema: str, after: int, older_than: float, act: Act) -> _Step:
    values = {"after": after, "rows": _ROWS, "retention": older_than}
    with translated(), conn.transaction(), conn.cursor(row_factory=class_row(_Step)) as cursor:
        conn.execute(query("settle_begin", schema))
        [step] = cursor.execute(query("prune", schema), values).fetchall()
        act.add(step.pruned)
    return step
