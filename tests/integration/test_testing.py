"""What `outbox_notify.testing` sees on the connections that people have, and what its relay does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.rows import dict_row

from outbox_notify import Event, emit, emit_async
from outbox_notify.errors import SchemaError, Unreachable
from outbox_notify.testing import (
    assert_emitted,
    assert_emitted_async,
    drain,
    emitted,
    emitted_async,
    migrate,
    order_violations,
    read_stream,
    refute_emitted,
    refute_emitted_async,
)
from outbox_notify.testing.databases import recover
from tests.support.events import put
from tests.support.outbox import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.postgres import Link

pytestmark = pytest.mark.anyio
RECEIVED = Event("acme", "goods.received", {"n": 1}, aggregate_type="article", aggregate_id="Ä 1")


@pytest.fixture
def conn(database: str) -> Iterator[Link]:
    with psycopg.connect(database) as connection:
        yield connection


def test_an_event_is_seen_before_it_is_committed_and_by_nobody_else(conn: Link, database: str) -> None:
    [event_id] = emit(conn, RECEIVED)

    event = assert_emitted(conn, "goods.received", aggregate=("article", "Ä 1"), payload={"n": 1})
    assert event.event_id == event_id
    with psycopg.connect(database) as other:
        refute_emitted(other)
        with pytest.raises(AssertionError, match=r"1 event of goods\.received expected, none found"):
            assert_emitted(other, "goods.received")
    conn.rollback()
    refute_emitted(conn)


def test_what_is_misspelt_is_refused_even_where_nothing_was_emitted(conn: Link) -> None:
    with pytest.raises(TypeError, match="'tenant'"):
        refute_emitted(conn, tenant="acme")  # type: ignore[call-arg]  # what is tried
    with pytest.raises(TypeError, match="'data'"):
        assert_emitted(conn, "goods.received", data=1)  # type: ignore[call-overload]  # what is tried


def test_rows_of_any_kind_and_results_that_wait_do_not_disturb(conn: Link) -> None:
    conn.row_factory = dict_row
    cursor = conn.execute("SELECT 1 AS one")
    emit(conn, RECEIVED)

    assert_emitted(cursor, "goods.received")
    assert cursor.fetchall() == [{"one": 1}]


def test_everything_that_a_row_may_hold_is_read(conn: Link) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    conn.execute(
        "SET TIME ZONE 'America/St_Johns'; SET DateStyle TO 'SQL, DMY'; SET bytea_output TO 'escape'"
    )
    put(conn, payload="null")
    put(conn, payload=None, payload_bytes=b"\x00\xff", content_type="image/png", headers='{"trace": "ü"}')
    put(conn, available_at=later)
    put(conn, available_at="infinity")
    put(conn, available_at="-infinity")

    nothing, in_bytes, tomorrow, never, always = emitted(conn)
    assert (nothing.body, nothing.aggregate) == (None, None)
    assert (in_bytes.body, in_bytes.content_type, in_bytes.headers) == (
        b"\x00\xff",
        "image/png",
        {"trace": "ü"},
    )
    assert (nothing.available_at, tomorrow.available_at, always.available_at) == (None, later, None)
    assert never.available_at is not None
    assert never.available_at.year == 9999


def test_the_outbox_may_be_in_a_schema_of_its_own(database: str, conn: Link) -> None:
    migrate(database, "shop")
    emit(conn, RECEIVED, schema="shop")

    assert_emitted(conn, "goods.received", schema="shop")
    refute_emitted(conn, "goods.received")


async def test_asynchronous_connections_see_the_same(database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await emit_async(connection, RECEIVED, RECEIVED)
        cursor = connection.cursor()

        await assert_emitted_async(connection, "goods.received", times=2, tenant_id="acme")
        assert len(await emitted_async(cursor)) == 2
        with pytest.raises(AssertionError, match="expected, 2 found"):
            await assert_emitted_async(connection, "goods.received")
        await refute_emitted_async(connection, "goods.received", payload={"n": 2})
        with pytest.raises(AssertionError, match="no event of any type expected"):
            await refute_emitted_async(connection)


async def test_what_is_no_connection_or_of_the_other_kind_is_named(conn: Link, database: str) -> None:
    with pytest.raises(TypeError, match=r"not builtins\.str"):
        emitted(database)
    with pytest.raises(TypeError, match=r"not psycopg\.Connection"):
        await emitted_async(conn)
    async with await psycopg.AsyncConnection.connect(database) as connection:
        with pytest.raises(TypeError, match=r"not psycopg\.AsyncConnection"):
            emitted(connection)


def test_drain_returns_what_it_has_brought_and_not_what_was_there(
    conn: Link, database: str, nats_server: EmbeddedNats
) -> None:
    fill(conn, 50, aggregates=7)
    assert drain(database, nats_server.url) == []
    conn.commit()

    brought = drain(database, nats_server.url)
    assert len(brought) == 50
    assert order_violations(brought, emitted(conn)) == []
    assert order_violations(reversed(brought), emitted(conn)) != []
    put(conn, available_at=datetime.now(UTC) + timedelta(hours=1))
    put(conn, event_type="goods.counted")
    conn.commit()
    assert [message.event_type for message in drain(database, nats_server.url)] == ["goods.counted"]
    assert len(read_stream(nats_server.url)) == 51


async def test_drain_runs_also_where_a_loop_is_running(
    conn: Link, database: str, nats_server: EmbeddedNats
) -> None:
    emit(conn, RECEIVED)
    conn.commit()

    [message] = drain(database, nats_server.url, stream="SHOP", subject_prefix="shop")
    assert (message.subject, message.partition_key) == ("shop.acme.goods.received", "article/Ä 1")


def test_drain_tells_what_is_wrong(empty_database: str, database: str, nats_server: EmbeddedNats) -> None:
    with pytest.raises(SchemaError, match="migrate"):
        drain(empty_database, nats_server.url)
    with pytest.raises(TypeError, match="no_such_setting"):
        drain(database, nats_server.url, no_such_setting=1)
    nats_server.stop()
    with pytest.raises(Unreachable, match=r"no answer within 0\.1 s"):
        drain(database, nats_server.url, shutdown_timeout=0.1)


def test_a_server_that_a_test_has_ended_or_frozen_runs_again(nats_server: EmbeddedNats) -> None:
    for harm in (nats_server.stop, nats_server.kill, nats_server.freeze):
        harm()
        recover(nats_server)
        assert read_stream(nats_server.url) == []
