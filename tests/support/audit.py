"""What the audit table says of an act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

if TYPE_CHECKING:
    import psycopg


def acts(conn: psycopg.Connection) -> list[dict[str, Any]]:
    """Return all acts, the first one first."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM event_outbox_audit ORDER BY id").fetchall()
