"""Prune a consumer's inbox, as an operator does."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg

from outbox_notify import inbox
from outbox_notify.errors import SchemaError
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import Iterator


def old_notes(conn: psycopg.Connection, schema: str, older_than: float) -> int:
    """Return how many events were handled longer ago than so many seconds."""
    values = {"older_than": timedelta(seconds=older_than)}
    with _translated(schema):
        [(old,)] = conn.execute(query("inbox_extent", schema), values).fetchall()
    return int(old)


def prune(conn: psycopg.Connection, schema: str, older_than: float) -> int:
    """Delete notes of events that were handled longer ago than so many seconds; return how many.

    Args:
        conn: in autocommit mode, to the consumer's database.
        schema: where the inbox is.
        older_than: seconds.
    """
    with _translated(schema):
        return inbox.prune(conn, older_than=timedelta(seconds=older_than), schema=schema)


@contextmanager
def _translated(schema: str) -> Iterator[None]:
    """Raise errors of psycopg as errors of ours; the inbox is not what `migrate` creates."""
    try:
        with translated():
            yield
    except SchemaError as error:
        if isinstance(error.__context__, psycopg.errors.UndefinedTable):
            raise SchemaError(
                f"this database has no table {schema}.event_inbox: is it the consumer's?"
                " `outbox-notify inbox sql` prints what creates it"
            ) from None
        raise
