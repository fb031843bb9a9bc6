"""Forgetting events that cannot arrive again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, Connection, ProgrammingError

from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from datetime import timedelta

# Rows of one transaction: few enough that nobody waits for it.
_ROWS = 1_000


def prune(connection: Connection[Any], *, older_than: timedelta, schema: str = "public") -> int:
    """Delete notes of events that were handled longer ago than this; return how many.

    An event that arrives after its note is gone is handled again. So keep notes for longer than the stream keeps
    messages, and for longer than the outbox keeps events that somebody could replay (`OUTBOX_RETENTION`).

    Args:
        connection: in autocommit mode: each batch of a thousand is a transaction.
        older_than: age by the clock of the database.
        schema: where the table is.

    Raises:
        psycopg.ProgrammingError: not in autocommit mode.
        psycopg.Error: whatever PostgreSQL refuses; batches before are done.
    """
    _require_autocommit(connection)
    total, deleted = 0, _ROWS
    while deleted == _ROWS:
        deleted = connection.execute(query("inbox_prune", schema), _batch(older_than)).rowcount
        total += deleted
    return total


async def prune_async(
    connection: AsyncConnection[Any], *, older_than: timedelta, schema: str = "public"
) -> int:
    """Do as `prune` does, on psycopg's asynchronous connections."""
    _require_autocommit(connection)
    total, deleted = 0, _ROWS
    while deleted == _ROWS:
        deleted = (await connection.execute(query("inbox_prune", schema), _batch(older_than))).rowcount
        total += deleted
    return total


def _batch(older_than: timedelta) -> dict[str, object]:
    return {"older_than": older_than, "rows": _ROWS}


def _require_autocommit(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    if not connection.autocommit:
        raise ProgrammingError("prune needs a connection in autocommit mode: each batch is a transaction")
