"""Which migrations a database has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.schema.migration import Applied, Migration, packaged, pending

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg


@dataclass(frozen=True)
class State:
    """One migration, and its row of the history once it was applied."""

    migration: Migration
    applied: Applied | None


@dataclass(frozen=True)
class Place:
    """What exists where the outbox goes, and what the role may do there."""

    has_schema: bool
    may_create_in_schema: bool
    may_create_schema: bool
    has_history: bool
    role: str
    database: str


def place(conn: psycopg.Connection, schema: str) -> Place:
    """Look where `schema` is, or would be."""
    with translated(), conn.cursor(row_factory=class_row(Place)) as cursor:
        return next(iter(cursor.execute(query("migrate_place", schema), {"schema": schema})))


def history(conn: psycopg.Connection, schema: str) -> dict[int, Applied]:
    """Return what was applied, by version; nothing where the history table is missing."""
    if not place(conn, schema).has_history:
        return {}
    with translated(), conn.cursor(row_factory=class_row(Applied)) as cursor:
        return {row.version: row for row in cursor.execute(query("migrate_history", schema))}


def schema_version(conn: psycopg.Connection, schema: str) -> int | None:
    """Return the newest applied version; None where nothing was ever applied."""
    return max(history(conn, schema), default=None)


def status(
    conn: psycopg.Connection, schema: str, migrations: Sequence[Migration] | None = None
) -> list[State]:
    """Return every migration with its row of the history, oldest first.

    Raises:
        SchemaError: the history was edited or is newer than the package.
    """
    known = migrations or packaged()
    rows = history(conn, schema)
    pending(known, rows)
    return [State(migration, rows.get(migration.version)) for migration in known]
