from __future__ import annotations

from itertools import pairwise
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from outbox_notify.errors import OutboxError, SchemaError
from outbox_notify.operations.choice import BATCH, Filter, choose, find
from outbox_notify.operations.failed import discard, page, requeue, show
from outbox_notify.postgres.queries import query
from tests.support.events import age, put, put_failed
from tests.support.postgres import ON_BOTH

pytestmark = ON_BOTH
EVERYTHING = Filter()


def row(conn: psycopg.Connection, row_id: int) -> dict[str, object]:
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT * FROM event_outbox WHERE id = %s", [row_id]).fetchone()
    assert found is not None
    return found


def put_many_failed(conn: psycopg.Connection, count: int) -> None:
    conn.execute(
        "INSERT INTO event_outbox (tenant_id, event_type, payload, status, attempts, last_error)"
        " SELECT 'acme', 'stock.moved', '{}', 'failed', 1, 'no good' FROM generate_series(1, %s)",
        [count],
    )


def meant(conn: psycopg.Connection, which: Filter, limit: int | None = None) -> list[int]:
    return [row_id for batch in choose(conn, "public", [], which, limit).batches for row_id in batch]


def test_pages_show_the_newest_first_and_go_on_where_the_last_one_ended(conn: psycopg.Connection) -> None:
    ids = [put_failed(conn) for _ in range(5)]
    put(conn)
    first = page(conn, "public", EVERYTHING, rows=3)
    second = page(conn, "public", EVERYTHING, rows=3, before=first[-1].id)
    assert [event.id for event in first + second] == ids[::-1]


def test_filters_narrow_down_by_tenant_type_and_age(conn: psycopg.Connection) -> None:
    ours, theirs = put_failed(conn), put_failed(conn, tenant_id="globex")
    other_type, old = put_failed(conn, event_type="stock.counted"), put_failed(conn)
    age(conn, old, "2 hours")
    for which, ids in (
        (EVERYTHING, [ours, theirs, other_type, old]),
        (Filter(tenant="globex"), [theirs]),
        (Filter(event_type="stock.counted"), [other_type]),
        (Filter(older_than=3600), [old]),
        (Filter(newer_than=3600), [ours, theirs, other_type]),
        (Filter(tenant="acme", event_type="stock.moved", newer_than=3600), [ours]),
        (Filter(tenant="nobody"), []),
    ):
        assert [event.id for event in page(conn, "public", which, rows=10)] == ids[::-1]
        assert choose(conn, "public", [], which).events == len(ids)
        assert meant(conn, which) == ids


def test_requeued_event_takes_its_old_place_under_its_old_message_id(conn: psycopg.Connection) -> None:
    row_id = put_failed(conn, claims=3, aggregate_type="bin", aggregate_id="7")
    conn.execute("UPDATE event_outbox SET available_at = created_at + interval '5 minutes'")
    before = row(conn, row_id)
    assert requeue(conn, "public", [[row_id]]) == 1
    after = row(conn, row_id)
    assert after == {
        **before,
        "status": "pending",
        "attempts": 0,
        "claims": 0,
        "available_at": before["created_at"],
    }


def test_later_events_of_the_aggregate_see_that_a_requeued_one_comes_first(conn: psycopg.Connection) -> None:
    row_id = put_failed(conn, last_error=None, aggregate_type="bin", aggregate_id="7")
    requeue(conn, "public", [[row_id]])
    returned = conn.execute(
        "SELECT id FROM event_outbox"
        " WHERE status = 'pending' AND ordering_key IS NOT NULL AND (attempts > 0 OR last_error IS NOT NULL)"
    ).fetchall()
    assert returned == [(row_id,)]


def test_requeueing_under_new_ids_changes_nothing_but_the_id(conn: psycopg.Connection) -> None:
    kept, renewed = put_failed(conn), put_failed(conn)
    before = {row_id: row(conn, row_id)["event_id"] for row_id in (kept, renewed)}
    requeue(conn, "public", [[renewed]], new_ids=True)
    requeue(conn, "public", [[kept]])
    assert row(conn, kept)["event_id"] == before[kept]
    new_id = row(conn, renewed)["event_id"]
    assert isinstance(new_id, UUID)
    assert new_id != before[renewed]
    assert new_id.version == 7


def test_each_batch_asks_the_relays_to_look_at_once(conn: psycopg.Connection, database: str) -> None:
    put_many_failed(conn, BATCH + 1)
    with psycopg.connect(database, autocommit=True) as relay:
        relay.execute("LISTEN event_outbox_public")
        steps: list[int] = []
        assert (
            requeue(conn, "public", choose(conn, "public", [], EVERYTHING).batches, on_batch=steps.append)
            == BATCH + 1
        )
        assert steps == [BATCH, 1]
        assert [note.payload for note in relay.notifies(timeout=10, stop_after=2)] == ["scan", "scan"]


def test_limit_takes_the_oldest(conn: psycopg.Connection) -> None:
    put_many_failed(conn, BATCH + 5)
    ids = meant(conn, EVERYTHING, limit=BATCH + 2)
    assert len(ids) == BATCH + 2
    assert all(earlier < later for earlier, later in pairwise(ids))
    assert ids[0] == page(conn, "public", EVERYTHING, rows=BATCH + 5)[-1].id


def test_event_that_fails_after_the_count_is_not_meant(conn: psycopg.Connection) -> None:
    row_id = put_failed(conn)
    choice = choose(conn, "public", [], EVERYTHING)
    put_failed(conn)
    assert choice.events == 1
    assert list(choice.batches) == [[row_id]]


def test_only_failed_events_are_requeued_or_discarded(conn: psycopg.Connection) -> None:
    row_id = put(conn, status="published")
    assert requeue(conn, "public", [[row_id]]) == 0
    assert discard(conn, "public", [[row_id]]) == 0
    assert row(conn, row_id)["status"] == "published"


def test_discarded_events_are_gone_and_the_others_stay(conn: psycopg.Connection) -> None:
    dropped, kept, due = put_failed(conn), put_failed(conn), put(conn)
    assert discard(conn, "public", [[dropped]]) == 1
    assert conn.execute("SELECT id FROM event_outbox ORDER BY id").fetchall() == [(kept,), (due,)]


def test_events_are_found_by_row_id_and_by_event_id(conn: psycopg.Connection) -> None:
    event_id = uuid4()
    first, second = put_failed(conn), put_failed(conn, event_id=event_id)
    assert find(conn, "public", [event_id, first]) == [first, second]


def test_names_that_mean_no_failed_event_are_all_told(conn: psycopg.Connection) -> None:
    published, unknown = put(conn, status="published"), uuid4()
    with pytest.raises(OutboxError) as refusal:
        find(conn, "public", [put_failed(conn), published, unknown, 999])
    assert str(refusal.value) == (
        f"event {published} is published, not failed; there is no event {unknown}; there is no event 999"
    )


def test_showing_an_event_brings_its_body(conn: psycopg.Connection) -> None:
    raw = put_failed(conn, payload=None, payload_bytes=b"\x00\xff", headers='{"x": "y"}')
    assert show(conn, "public", raw).payload_bytes == b"\x00\xff"
    assert show(conn, "public", raw).headers == {"x": "y"}
    assert show(conn, "public", put_failed(conn)).payload == {"n": 1}


def test_pages_of_a_large_heap_of_failures_read_only_what_they_show(conn: psycopg.Connection) -> None:
    put_many_failed(conn, 20_000)
    conn.execute("ANALYZE event_outbox")
    values = {"tenant": None, "event_type": None, "older_than": None, "newer_than": None}
    explain = b"EXPLAIN (FORMAT TEXT) " + query("failed_list", "public").as_bytes(conn)
    plan = "\n".join(line for (line,) in conn.execute(explain, {**values, "before": 10_000, "rows": 50}))
    assert "Index Scan Backward using event_outbox_failed" in plan
    assert "Sort" not in plan


def test_database_without_outbox_says_what_to_do(empty_database: str) -> None:
    with (
        psycopg.connect(empty_database, autocommit=True) as conn,
        pytest.raises(SchemaError, match="migrate"),
    ):
        page(conn, "public", EVERYTHING, rows=1)
