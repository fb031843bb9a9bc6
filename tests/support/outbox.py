"""Looking at the outbox from outside the relay."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLUMNS = "id, event_id::text, ordering_key, status, attempts, claims, claimed_by, last_error"


@dataclass(frozen=True)
class Row:
    """What the relay keeps about one event."""

    id: int
    event_id: str
    ordering_key: int | None
    status: str
    attempts: int
    claims: int
    claimed_by: str | None
    last_error: str | None


class OutboxTable:
    """The table of one database, asked over one connection.

    Args:
        conn: in autocommit mode.
        schema: where the table is.
    """

    def __init__(self, conn: psycopg.Connection, schema: str = "public") -> None:
        self.conn = conn
        self._table = sql.Identifier(schema, "event_outbox")

    def rows(self) -> list[Row]:
        """Return all rows in the order of their ids."""
        query = sql.SQL("SELECT {} FROM {} ORDER BY id").format(sql.SQL(_COLUMNS), self._table)
        with self.conn.cursor(row_factory=class_row(Row)) as cursor:
            return cursor.execute(query).fetchall()

    def count(self) -> Counter[str]:
        """Return how many rows there are by status."""
        query = sql.SQL("SELECT status::text, count(*) FROM {} GROUP BY status").format(self._table)
        return Counter(dict(self.conn.execute(query).fetchall()))

    def in_hand(self, relay: str) -> int:
        """Return how many events a relay has under lease."""
        query = sql.SQL("SELECT count(*) FROM {} WHERE status = 'in_progress' AND claimed_by = %s")
        with self.conn.cursor(row_factory=scalar_row) as cursor:
            return int(cursor.execute(query.format(self._table), [relay]).fetchall()[0])

    def wait_until_settled(self, timeout: float = 30) -> None:
        """Return once nothing is pending or in progress."""
        try:
            wait_for(lambda: not self._unsettled(), timeout, "the backlog to be settled")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.count()}") from None

    def _unsettled(self) -> bool:
        query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE status IN ('pending', 'in_progress'))")
        with self.conn.cursor(row_factory=scalar_row) as cursor:
            return bool(cursor.execute(query.format(self._table)).fetchall()[0])


@contextmanager
def outbox_table(url: str, schema: str = "public") -> Iterator[OutboxTable]:
    """Open a connection for looking at the outbox, and for writing into it by hand."""
    with psycopg.connect(url, autocommit=True) as conn:
        yield OutboxTable(conn, schema)


def fill(
    conn: psycopg.Connection, events: int, *, aggregates: int = 40, tenant: str = "acme", size: int = 0
) -> None:
    """Insert a backlog in one statement: body `{"n": 1}` and so on, aggregates in turn.

    Args:
        aggregates: 0 for events without.
        size: bytes of padding in each body.
    """
    conn.execute(
        """
        INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
        SELECT %(tenant)s, 'stock.moved',
            CASE WHEN %(aggregates)s > 0 THEN 'article' END,
            CASE WHEN %(aggregates)s > 0 THEN 'article-' || n %% %(aggregates)s END,
            jsonb_build_object('n', n, 'padding', repeat('x', %(size)s))
        FROM generate_series(1, %(events)s) AS n
        """,
        {"tenant": tenant, "events": events, "aggregates": aggregates, "size": size},
    )
