"""Rows of the outbox in every state, put there as nobody but a test would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    import psycopg

_DEFAULTS = {"tenant_id": "acme", "event_type": "stock.moved", "payload": '{"n": 1}'}
_FAILED = {"status": "failed", "attempts": 10, "last_error": "no good"}


def put(conn: psycopg.Connection, **columns: object) -> int:
    """Insert one event, due unless its columns say otherwise, and return its row id."""
    values = {**_DEFAULTS, **columns}
    statement = sql.SQL("INSERT INTO event_outbox ({}) VALUES ({}) RETURNING id").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
    )
    row = conn.execute(statement, values).fetchone()
    assert row is not None
    return int(row[0])


def put_failed(conn: psycopg.Connection, **columns: object) -> int:
    """Insert one event that a relay has given up on, and return its row id."""
    return put(conn, **{**_FAILED, **columns})


def age(conn: psycopg.Connection, row_id: int, age: str) -> None:
    """Make an event as old as the interval `age` says."""
    conn.execute(
        "UPDATE event_outbox SET created_at = now() - %(age)s::interval, available_at = now() - %(age)s::interval"
        " WHERE id = %(id)s",
        {"age": age, "id": row_id},
    )
