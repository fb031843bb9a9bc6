"""Rows at the head of the table that may not go yet, in great number, for reasons of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

_AGGREGATES = 1000

# The statements of each kind, in order.
_STATEMENTS = {
    "scheduled": [
        """
        INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload, available_at)
        SELECT 'acme', 'stock.moved', 'scheduled', n %% %(aggregates)s, '{}', now() + interval '1 day'
        FROM generate_series(1, %(rows)s) AS n
        """
    ],
    "retrying": [
        """
        INSERT INTO event_outbox (
            tenant_id, event_type, aggregate_type, aggregate_id, payload,
            available_at, attempts, last_error)
        SELECT 'acme', 'stock.moved', 'retrying', n %% %(aggregates)s, '{}', now() + interval '1 day', 3, 'no'
        FROM generate_series(1, %(rows)s) AS n
        """
    ],
    "behind a retry": [
        """
        INSERT INTO event_outbox (
            tenant_id, event_type, aggregate_type, aggregate_id, payload,
            available_at, attempts, last_error)
        SELECT 'acme', 'stock.moved', 'behind', n, '{}', now() + interval '1 day', 3, 'no'
        FROM generate_series(0, %(aggregates)s - 1) AS n
        """,
        """
        INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
        SELECT 'acme', 'stock.moved', 'behind', n %% %(aggregates)s, '{}' FROM generate_series(1, %(rows)s) AS n
        """,
    ],
    "behind a lease": [
        """
        INSERT INTO event_outbox (
            tenant_id, event_type, aggregate_type, aggregate_id, payload,
            status, claims, lease_token, lease_until, claimed_by)
        SELECT 'acme', 'stock.moved', 'leased', n, '{}', 'in_progress', 1,
            '00000000-0000-0001-8000-000000000001', now() + interval '1 day', 'dead'
        FROM generate_series(0, %(aggregates)s - 1) AS n
        """,
        """
        INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
        SELECT 'acme', 'stock.moved', 'leased', n %% %(aggregates)s, '{}' FROM generate_series(1, %(rows)s) AS n
        """,
    ],
    # No stream takes this tenant's subjects.
    "resting": [
        """
        INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
        SELECT 'nowhere', 'stock.moved', 'resting', n %% %(aggregates)s, '{}' FROM generate_series(1, %(rows)s) AS n
        """
    ],
    "paused": [
        "INSERT INTO event_outbox_pause (tenant_id) VALUES ('paused')",
        """
        INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
        SELECT 'paused', 'stock.moved', 'paused', n %% %(aggregates)s, '{}' FROM generate_series(1, %(rows)s) AS n
        """,
    ],
    "paused type": [
        "INSERT INTO event_outbox_pause (event_type) VALUES ('stock.paused')",
        """
        INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
        SELECT 'acme', 'stock.paused', 'paused', n %% %(aggregates)s, '{}' FROM generate_series(1, %(rows)s) AS n
        """,
    ],
}
KINDS = list(_STATEMENTS)


def put_ahead(conn: psycopg.Connection, kind: str, rows: int) -> None:
    """Insert rows of one of `KINDS`, over a thousand aggregates."""
    for statement in _STATEMENTS[kind]:
        conn.execute(statement.encode(), {"rows": rows, "aggregates": _AGGREGATES})
