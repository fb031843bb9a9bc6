"""One look at the database: a transaction whose statements are short, whatever they find."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from psycopg.rows import class_row

from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

Row = TypeVar("Row")


class Look(NamedTuple):
    """Runs statements of `sql/` in one transaction."""

    conn: psycopg.Connection
    schema: str

    def rows(self, name: str, kind: type[Row]) -> list[Row]:
        """Return the rows of a statement, each as an object of a kind with the names of its columns."""
        with self.conn.cursor(row_factory=class_row(kind)) as cursor:
            # Without parameters psycopg would leave %% as it is.
            return cursor.execute(query(name, self.schema), {}).fetchall()


@contextmanager
def looking(conn: psycopg.Connection, schema: str) -> Iterator[Look]:
    """Begin a look.

    Raises:
        OutboxError: the server does not answer in time, or refuses.
    """
    with translated(), conn.transaction():
        conn.execute(query("doctor_begin", schema))
        yield Look(conn, schema)
