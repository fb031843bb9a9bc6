"""Transactions that travel as one message, and so run whole or not at all.

Sent statement by statement, a transaction stays open between two of them: a relay that is frozen there keeps its
turn or its row locks until a timeout of the server fires. A statement longer than the buffer of libpq (8 kB) may
even leave it in pieces, and between two of those none fires. One simple-protocol message holds all of it, and saves
three round trips.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg import AsyncClientCursor
from psycopg.rows import namedtuple_row

from outbox_notify.postgres.queries import prepared, query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg.sql import SQL

Step: TypeAlias = "tuple[str, Mapping[str, object]]"


class Link(psycopg.AsyncConnection[Any]):
    """A connection that knows since when it exists, when it was used, and which statements are prepared on it."""

    made_at: float = 0.0
    used_at: float = 0.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.prepared: set[str] = set()


async def run_whole(conn: Link, schema: str, steps: list[Step], *, prepare: bool) -> list[list[Any]]:
    """Run statements of `sql/` in one READ COMMITTED transaction; each sees what was committed before it began.

    Args:
        conn: in autocommit mode.
        schema: of the outbox.
        steps: file name and parameters of each statement; each returns rows, or at least says which columns.
        prepare: have PostgreSQL parse and plan each once per connection; not through a pooler.

    Returns:
        The rows of each statement.

    Raises:
        psycopg.Error: what the server said; nothing was written.
    """
    cursor = AsyncClientCursor(conn, row_factory=namedtuple_row)
    for name, _ in steps if prepare else ():
        if name not in conn.prepared:
            await cursor.execute(prepared(name, schema).prepare)
            conn.prepared.add(name)
    statements = [
        cursor.mogrify(_statement(name, schema, prepare=prepare), parameters) for name, parameters in steps
    ]
    message = ";\n".join(["BEGIN ISOLATION LEVEL READ COMMITTED", *statements, "COMMIT"])
    try:
        await cursor.execute(message.encode())
    except psycopg.Error:
        with contextlib.suppress(psycopg.Error):
            await conn.rollback()
        raise
    rows = []
    while cursor.nextset():
        if cursor.description:
            rows.append(await cursor.fetchall())
    return rows


def _statement(name: str, schema: str, *, prepare: bool) -> SQL:
    return prepared(name, schema).execute if prepare else query(name, schema)
