"""What psycopg has and the other libraries have not: cursors, pipelines, two kinds of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from outbox_notify import Event, emit, emit_async
from tests.support.postgres import ON_BOTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Link

pytestmark = ON_BOTH

OWN_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


@pytest.fixture
def connection(database: str) -> Iterator[Link]:
    with psycopg.connect(database) as link:
        yield link


@pytest.fixture
def observer(database: str) -> Iterator[Link]:
    with psycopg.connect(database, autocommit=True) as link:
        yield link


def event(**changes: Any) -> Event:
    return Event("acme", "goods.received", **{"payload": {"sku": "A-1"}, **changes})


def written(observer: Link) -> list[UUID]:
    """Return the ids of all committed events in write order."""
    return [row[0] for row in observer.execute("SELECT event_id FROM event_outbox ORDER BY id")]


def columns(observer: Link, names: str) -> tuple[Any, ...]:
    """Return columns of the only event."""
    (row,) = observer.execute(f"SELECT {names} FROM event_outbox").fetchall()  # noqa: S608  # the test's own text
    return tuple(row)


def test_no_events_leave_the_connection_alone(connection: Link) -> None:
    assert emit(connection) == []
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_t70_repeated_own_id_does_nothing(connection: Link, observer: Link) -> None:
    assert (
        emit(connection, event(event_id=OWN_ID, payload=1), event(event_id=OWN_ID, payload=2)) == [OWN_ID] * 2
    )
    connection.commit()
    assert emit(connection, event(event_id=OWN_ID, payload=3)) == [OWN_ID]
    connection.commit()

    assert columns(observer, "event_id, payload") == (OWN_ID, 1)


def test_t70_repeated_own_id_breaks_a_plain_insert(connection: Link) -> None:
    insert = (
        "INSERT INTO event_outbox (event_id, tenant_id, event_type, payload) VALUES (%s, 'acme', 'a', '1')"
    )
    connection.execute(insert, [OWN_ID])
    connection.execute(f"{insert} ON CONFLICT DO NOTHING", [OWN_ID])

    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(insert, [OWN_ID])


def test_one_event_emitted_twice_is_two_events(connection: Link, observer: Link) -> None:
    once = event()
    ids = emit(connection, once, once)
    connection.commit()

    assert len(set(ids)) == 2
    assert written(observer) == ids


@pytest.mark.parametrize(
    "factory", [psycopg.Cursor, psycopg.ClientCursor, psycopg.RawCursor], ids=lambda kind: kind.__name__
)
def test_cursor_of_any_kind_serves_and_keeps_its_results(database: str, factory: type[Any]) -> None:
    with (
        psycopg.connect(database, cursor_factory=factory, row_factory=dict_row) as link,
        link.cursor() as cursor,
    ):
        cursor.execute("SELECT 1 AS one")
        ids = emit(cursor, event(aggregate_type="order", aggregate_id="1"), serialize=True)
        assert cursor.fetchall() == [{"one": 1}]
        cursor.execute("SELECT event_id FROM event_outbox")
        assert [row["event_id"] for row in cursor] == ids


def test_statement_is_prepared_like_any_other(connection: Link) -> None:
    for number in range(12):
        emit(connection, event(payload=number))
        emit(connection, event(payload=None, payload_bytes=b"x"), event(payload=number))

    prepared = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert prepared is not None
    assert prepared[0] > 0


def test_pipeline_takes_events_along(connection: Link, observer: Link) -> None:
    with connection.pipeline(), connection.transaction():
        first = emit(connection, event())
        second = emit(connection, event(aggregate_type="order", aggregate_id="1"), serialize=True)

    assert written(observer) == first + second


@pytest.mark.anyio
async def test_asynchronous_connections_and_cursors_write_too(database: str, observer: Link) -> None:
    async with await psycopg.AsyncConnection.connect(database) as link:
        ids = await emit_async(link, event(), event(event_id=OWN_ID))
        async with link.cursor() as cursor:
            ids += await emit_async(cursor, event(aggregate_type="order", aggregate_id="1"), serialize=True)
        assert await emit_async(link) == []
        assert written(observer) == []

    assert written(observer) == ids
