from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify.operations.prune import old_events, prune
from tests.support.audit import acts
from tests.support.events import put, put_failed

if TYPE_CHECKING:
    import psycopg

HOUR = 3600.0


def put_published(conn: psycopg.Connection, age: str) -> int:
    row_id = put(conn, status="published")
    conn.execute("UPDATE event_outbox SET published_at = now() - %s::interval WHERE id = %s", [age, row_id])
    return row_id


def test_only_what_was_published_long_enough_ago_is_deleted(conn: psycopg.Connection) -> None:
    young = put_published(conn, "59 minutes")
    put_published(conn, "61 minutes")
    kept = [young, put(conn), put_failed(conn)]
    put_published(conn, "2 days")
    assert old_events(conn, "public", HOUR) == 2
    assert prune(conn, "public", HOUR) == 2
    assert [row_id for (row_id,) in conn.execute("SELECT id FROM event_outbox ORDER BY id")] == kept
    assert [(act["act"], act["arguments"], act["events"]) for act in acts(conn)] == [
        ("prune", {"older_than": HOUR}, 2)
    ]


def test_large_heap_goes_in_batches_past_what_must_stay(conn: psycopg.Connection) -> None:
    conn.execute(
        "INSERT INTO event_outbox (tenant_id, event_type, payload, status, published_at)"
        " SELECT 'acme', 'a', '1', 'published', now() - interval '1 h' * (n / 1500 % 2)"
        " FROM generate_series(0, 5999) AS n"
    )
    steps: list[int] = []
    assert prune(conn, "public", 60, on_batch=steps.append) == 3000
    assert sum(steps) == 3000
    assert len(steps) == 7
    assert max(steps) <= 1000
    assert [act["events"] for act in acts(conn)] == [3000]
