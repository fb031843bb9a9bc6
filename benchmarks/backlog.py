"""Backlogs, written by the server itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

if TYPE_CHECKING:
    import psycopg

# What the bare loop works on: the same columns, but no rule, no order, no lease; one index beside the key.
BARE_TABLE = """
    CREATE TABLE bare_outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        available_at timestamptz NOT NULL DEFAULT now(),
        created_at timestamptz NOT NULL DEFAULT now(),
        published_at timestamptz,
        event_id uuid NOT NULL DEFAULT gen_random_uuid(),
        tenant_id text NOT NULL,
        event_type text NOT NULL,
        aggregate_type text,
        aggregate_id text,
        status text NOT NULL DEFAULT 'pending',
        content_type text NOT NULL DEFAULT 'application/json',
        headers jsonb NOT NULL DEFAULT '{}',
        payload jsonb
    );
    CREATE INDEX bare_outbox_pending ON bare_outbox (id) WHERE status = 'pending';
"""

# Aggregates come in no order: some meet again within a batch, as they do in a service.
_COLUMNS = "(tenant_id, event_type, aggregate_type, aggregate_id, payload)"
_ROWS = """
    SELECT
        'tenant-' || n %% %(tenants)s,
        (ARRAY['stock.moved', 'stock.counted', 'receipt.validated', 'order.delivered'])[1 + n %% 4],
        CASE WHEN %(aggregates)s > 0 THEN 'article' END,
        CASE WHEN %(aggregates)s > 0
             THEN 'article-' || abs(hashint8(n)::bigint) %% greatest(1, %(aggregates)s / %(tenants)s) END,
        jsonb_build_object('n', n, 'padding', repeat('x', %(size)s - 30))
    FROM generate_series(1, %(events)s::bigint) AS n
"""
_FILL: dict[str, LiteralString] = {
    "event_outbox": f"INSERT INTO event_outbox {_COLUMNS} {_ROWS}",
    "bare_outbox": f"INSERT INTO bare_outbox {_COLUMNS} {_ROWS}",
}


@dataclass(frozen=True)
class Backlog:
    """Events that wait to be published.

    Args:
        events: how many.
        aggregates: how many they are about; 0 for events that are about none.
        tenants: how many they belong to.
        size: of a payload, bytes.
        table: where they are.
    """

    events: int
    aggregates: int = 10_000
    tenants: int = 5
    size: int = 200
    table: str = "event_outbox"

    def write(self, conn: psycopg.Connection) -> None:
        """Insert them in one statement."""
        conn.execute(_FILL[self.table], vars(self))


def settled_down(conn: psycopg.Connection) -> None:
    """Leave nothing for autovacuum and the checkpointer to do about what was written so far."""
    conn.execute("VACUUM ANALYZE")
    conn.execute("CHECKPOINT")
