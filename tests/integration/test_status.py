from __future__ import annotations

import re
from uuid import uuid4

import psycopg
import pytest

from outbox_notify.errors import OutboxError, SchemaError
from outbox_notify.operations.status import read_status
from outbox_notify.postgres.queries import query
from outbox_notify.schema.migrate import LATEST
from tests.support.events import age, put, put_failed
from tests.support.postgres import ON_BOTH

pytestmark = ON_BOTH


def schedule(conn: psycopg.Connection, row_id: int, delay: str) -> None:
    conn.execute("UPDATE event_outbox SET available_at = now() + %s::interval WHERE id = %s", [delay, row_id])


def claim(conn: psycopg.Connection, row_id: int, relay: str, lease: str = "30 seconds") -> None:
    conn.execute(
        "UPDATE event_outbox SET status = 'in_progress', lease_token = %s,"
        " lease_until = now() + %s::interval, claimed_by = %s WHERE id = %s",
        [uuid4(), lease, relay, row_id],
    )


def test_empty_outbox_has_no_backlog_and_no_age(conn: psycopg.Connection) -> None:
    status = read_status(conn, "public")
    counts = status.counts
    assert (counts.pending, counts.scheduled, counts.in_progress, counts.failed) == (0, 0, 0, 0)
    assert counts.oldest_pending_age_seconds == 0
    assert status.relays == []
    assert status.schema_version == status.latest_version == LATEST
    assert status.table.bytes > 0


def test_each_event_is_counted_in_its_state(conn: psycopg.Connection) -> None:
    put(conn)
    put(conn, status="published")
    put_failed(conn)
    claim(conn, put(conn), "relay-1")
    schedule(conn, put(conn), "1 hour")
    put(conn, available_at="infinity")
    schedule(conn, put(conn, attempts=1, last_error="no good"), "1 minute")
    late = put(conn)
    age(conn, late, "1 hour")
    schedule(conn, late, "-1 minute")
    counts = read_status(conn, "public").counts
    assert (counts.pending, counts.scheduled, counts.retrying) == (2, 3, 1)
    assert (counts.in_progress, counts.failed) == (1, 1)


def test_age_counts_from_when_the_oldest_could_have_gone(conn: psycopg.Connection) -> None:
    age(conn, put(conn), "1 minute")
    assert read_status(conn, "public").counts.oldest_pending_age_seconds == pytest.approx(60, abs=5)
    scheduled = put(conn)
    age(conn, scheduled, "1 day")
    schedule(conn, scheduled, "-1 hour")
    assert read_status(conn, "public").counts.oldest_pending_age_seconds == pytest.approx(3600, abs=5)


def test_events_that_may_not_go_yet_have_no_age(conn: psycopg.Connection) -> None:
    scheduled, failed = put(conn), put_failed(conn)
    age(conn, scheduled, "1 day")
    schedule(conn, scheduled, "1 hour")
    age(conn, failed, "1 day")
    assert read_status(conn, "public").counts.oldest_pending_age_seconds == 0


def test_relays_are_listed_with_what_they_hold(conn: psycopg.Connection) -> None:
    claim(conn, put(conn), "relay-1")
    claim(conn, put(conn), "relay-1", "20 seconds")
    claim(conn, put(conn), "relay-2", "-5 seconds")
    first, second = read_status(conn, "public").relays
    assert (first.relay, first.in_progress, second.relay, second.in_progress) == ("relay-1", 2, "relay-2", 1)
    assert first.lease_left_seconds == pytest.approx(20, abs=5)
    assert second.lease_left_seconds is not None
    assert second.lease_left_seconds < 0
    assert {relay.state for relay in (first, second)} == {"gone"}


def test_reasons_of_what_came_back_are_told_by_route(conn: psycopg.Connection) -> None:
    put(conn)
    for number in range(3):
        aggregate = {"aggregate_type": "item", "aggregate_id": str(number)} if number else {}
        put(conn, last_error="maximum bytes exceeded (10077)", **aggregate)
    put(conn, event_type="stock.counted", last_error="no stream takes the subject")
    schedule(conn, put(conn, attempts=1, last_error="not today (19999)"), "1 hour")
    put(conn, last_error="waits for event 7 of its aggregate", aggregate_type="item", aggregate_id="1")
    put_failed(conn)
    returned = read_status(conn, "public").returned
    assert [(each.route, each.reason, each.events) for each in returned] == [
        ("acme.stock.moved", "maximum bytes exceeded (10077)", 3),
        ("acme.stock.counted", "no stream takes the subject", 1),
        ("acme.stock.moved", "not today (19999)", 1),
    ]
    assert all(0 <= each.oldest_age_seconds < 60 for each in returned)


def plan_of(conn: psycopg.Connection, name: str, how: bytes = b"FORMAT TEXT") -> str:
    """Return the plan of a statement under the settings with which it runs."""
    with conn.transaction():
        conn.execute(query("status_begin", "public"), {"timeout": "10s"})
        explain = b"EXPLAIN (" + how + b") " + query(name, "public").as_bytes(conn)
        return "\n".join(line for (line,) in conn.execute(explain, {"within": 10}))


def test_looking_for_reasons_is_bounded_whatever_waits(conn: psycopg.Connection) -> None:
    conn.execute(
        "INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload, available_at)"
        " SELECT 'acme', 'stock.moved', 'item', n, '{}', CASE WHEN n % 2 = 0 THEN now() ELSE 'infinity' END"
        " FROM generate_series(1, 40000) AS n"
    )
    conn.execute("VACUUM ANALYZE event_outbox")
    plan = plan_of(conn, "status_returned", b"ANALYZE")
    assert "Seq Scan" not in plan
    for index in ("due", "waiting", "returned"):
        assert f"using event_outbox_{index} on" in plan
    rows = [float(found) for found in re.findall(r"Index Scan.*actual .*rows=([\d.]+)", plan)]
    assert len(rows) == 3
    assert max(rows) <= 5000


def test_counting_reads_indexes_only(conn: psycopg.Connection) -> None:
    conn.execute(
        "INSERT INTO event_outbox (tenant_id, event_type, payload, status, available_at)"
        " SELECT 'acme', 'stock.moved', '{}', CASE WHEN n % 2 = 0 THEN 'failed' ELSE 'pending' END,"
        " CASE WHEN n % 3 = 0 THEN 'infinity' ELSE now() END FROM generate_series(1, 20000) AS n"
    )
    conn.execute("VACUUM ANALYZE event_outbox")
    for index in ("due", "waiting", "failed"):
        plan = plan_of(conn, f"status_{index}")
        assert f"Index Only Scan using event_outbox_{index} on" in plan
        assert "Seq Scan" not in plan
    assert "Index Only Scan using event_outbox_leased on" in plan_of(conn, "status")


def test_many_events_are_counted_to_the_end_while_there_is_time(
    conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn.execute(
        "INSERT INTO event_outbox (tenant_id, event_type, payload, status, available_at)"
        " SELECT 'acme', 'stock.moved', '{}', CASE WHEN n <= 25000 THEN 'failed' ELSE 'pending' END,"
        " now() + CASE WHEN n <= 50000 THEN interval '0' WHEN n <= 75000 THEN '-1 day' ELSE '1 day' END * (n % 7)"
        " FROM generate_series(1, 100000) AS n"
    )
    monkeypatch.setattr("outbox_notify.operations.backlog._COUNTING", 60)
    states = conn.execute(
        "SELECT count(*) FILTER (WHERE available_at <= now()), count(*) FILTER (WHERE available_at > now())"
        " FROM event_outbox WHERE status = 'pending'"
    ).fetchone()
    counts = read_status(conn, "public").counts
    assert (counts.pending, counts.scheduled) == states
    assert (counts.failed, counts.at_least) == (25_000, [])

    # Once around is always counted: ten thousand of each.
    monkeypatch.setattr("outbox_notify.operations.backlog._COUNTING", 1e-6)
    counts = read_status(conn, "public").counts
    assert counts.at_least == ["pending", "scheduled", "failed"]
    assert 0 < counts.failed < 25_000


def publish(
    conn: psycopg.Connection, age: str, latency: str, events: int = 1, *, scheduled_after: str = "0"
) -> None:
    """Put events there that were published so long ago, so long after they were written."""
    conn.execute(
        "INSERT INTO event_outbox (tenant_id, event_type, payload, status, published_at, created_at, available_at)"
        " SELECT 'acme', 'stock.moved', '{}', 'published', published_at, published_at - %(latency)s::interval,"
        " published_at - %(latency)s::interval + %(scheduled_after)s::interval"
        " FROM generate_series(1, %(events)s), LATERAL (SELECT now() - %(age)s::interval AS published_at) AS time",
        {"age": age, "latency": latency, "events": events, "scheduled_after": scheduled_after},
    )


def test_last_minute_tells_rate_and_latency(conn: psycopg.Connection) -> None:
    assert read_status(conn, "public").last_minute is None
    publish(conn, "2 minutes", "1 hour", 100)
    idle = read_status(conn, "public").last_minute
    assert idle is not None
    assert (idle.published, idle.p50_seconds) == (0, None)
    publish(conn, "10 seconds", "5 ms", 98)
    publish(conn, "10 seconds", "2 seconds", 22)
    put(conn)
    minute = read_status(conn, "public").last_minute
    assert minute is not None
    assert (minute.published, minute.window_seconds, minute.per_second) == (120, 60, 2)
    assert minute.p50_seconds == pytest.approx(0.005)
    assert minute.p99_seconds == pytest.approx(2)


def test_last_minute_counts_what_was_scheduled_from_its_time(conn: psycopg.Connection) -> None:
    publish(conn, "10 seconds", "1 hour", scheduled_after="3599 seconds")
    minute = read_status(conn, "public").last_minute
    assert minute is not None
    assert minute.p50_seconds == pytest.approx(1, abs=0.1)


def test_last_minute_is_found_before_a_long_backlog(conn: psycopg.Connection) -> None:
    publish(conn, "10 seconds", "5 ms", 60)
    conn.execute(
        "INSERT INTO event_outbox (tenant_id, event_type, payload)"
        " SELECT 'acme', 'stock.moved', '{}' FROM generate_series(1, 30000)"
    )
    minute = read_status(conn, "public").last_minute
    assert minute is not None
    assert (minute.published, minute.window_seconds) == (60, 60)


def test_where_very_many_were_published_the_rate_is_that_of_the_latest(conn: psycopg.Connection) -> None:
    publish(conn, "40 seconds", "5 ms", 10_000)
    publish(conn, "20 seconds", "5 ms", 10_000)
    publish(conn, "10 seconds", "5 ms", 10_000)
    minute = read_status(conn, "public").last_minute
    assert minute is not None
    assert minute.published < 20_001
    assert minute.window_seconds == pytest.approx(20, abs=5)
    assert minute.per_second == pytest.approx(1000, rel=0.2)


def test_table_tells_what_vacuum_has_to_do(conn: psycopg.Connection) -> None:
    assert read_status(conn, "public").table.vacuumed_seconds_ago is None
    conn.execute("VACUUM event_outbox")
    ago = read_status(conn, "public").table.vacuumed_seconds_ago
    assert ago is not None
    assert 0 <= ago < 60


def test_looking_leaves_the_session_as_it_was(conn: psycopg.Connection) -> None:
    read_status(conn, "public")
    assert conn.execute("SHOW statement_timeout").fetchone() == ("0",)
    assert conn.execute("SHOW enable_seqscan").fetchone() == ("on",)


def test_look_that_takes_too_long_says_what_to_see_to(conn: psycopg.Connection, database: str) -> None:
    put(conn)
    with psycopg.connect(database) as blocker:
        blocker.execute("LOCK TABLE event_outbox")
        with pytest.raises(OutboxError, match="autovacuum"):
            read_status(conn, "public", timeout=0.05)


def test_database_without_outbox_says_what_to_do(empty_database: str) -> None:
    with (
        psycopg.connect(empty_database, autocommit=True) as conn,
        pytest.raises(SchemaError, match="migrate"),
    ):
        read_status(conn, "public")
