"""Writing events inside the caller's transaction, on real servers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from outbox_notify import Event, InvalidEvent, emit, emit_async
from tests.support.postgres import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Link: TypeAlias = psycopg.Connection[Any]

OWN_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
FULL = Event(
    "acme",
    "goods.received",
    {"sku": "A-1", "größe": [1, 2.5, None, True, "\U0001f600 \\u0000 \" '"]},
    aggregate_type="delivery",
    aggregate_id="5 % of {7}, Größe",
    content_type="application/cloudevents+json",
    headers={"traceparent": "00-é", "X": 'a"b\\c'},
    available_at=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    event_id=OWN_ID,
)


@pytest.fixture(params=[16, 18])
def postgres_version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


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


def test_event_appears_with_the_commit(connection: Link, observer: Link) -> None:
    ids = emit(connection, event())
    assert written(observer) == []

    connection.commit()
    assert written(observer) == ids


def test_event_of_a_rolled_back_transaction_never_was(connection: Link, observer: Link) -> None:
    emit(connection, event())
    connection.rollback()

    assert written(observer) == []


def test_event_of_a_rolled_back_savepoint_never_was(connection: Link, observer: Link) -> None:
    with connection.transaction():
        (kept,) = emit(connection, event())
        with connection.transaction(force_rollback=True):
            emit(connection, event())

    assert written(observer) == [kept]


def test_every_field_reaches_its_column(connection: Link, observer: Link) -> None:
    assert emit(connection, FULL) == [OWN_ID]
    connection.commit()

    assert columns(
        observer,
        "event_id, tenant_id, event_type, payload, payload_bytes, aggregate_type, aggregate_id,"
        " content_type, headers, available_at",
    ) == (
        OWN_ID,
        FULL.tenant_id,
        FULL.event_type,
        FULL.payload,
        None,
        FULL.aggregate_type,
        FULL.aggregate_id,
        FULL.content_type,
        FULL.headers,
        FULL.available_at,
    )


def test_defaults_come_from_the_database(connection: Link, observer: Link) -> None:
    emit(connection, event())
    connection.commit()

    assert columns(
        observer, "available_at = created_at, status, attempts, claims, headers, content_type"
    ) == (
        True,
        "pending",
        0,
        0,
        {},
        "application/json",
    )


@pytest.mark.parametrize("body", [b"", b"\0\xff\\x00", bytes(range(256)) * 4096])
def test_bytes_stay_byte_for_byte(connection: Link, observer: Link, body: bytes) -> None:
    emit(connection, event(payload=None, payload_bytes=body))
    connection.commit()

    assert columns(observer, "payload, payload_bytes") == (None, body)


def test_bodies_of_both_kinds_stay_with_their_events(connection: Link) -> None:
    emit(
        connection,
        event(payload=1),
        event(payload=None, payload_bytes=b"2"),
        event(payload=False),
        event(payload=None, payload_bytes=b""),
    )

    rows = connection.execute("SELECT payload, payload_bytes FROM event_outbox ORDER BY id").fetchall()
    assert rows == [(1, None), (None, b"2"), (False, None), (None, b"")]


def test_row_ids_follow_the_arguments(connection: Link, observer: Link) -> None:
    ids = emit(connection, *(event(payload=number) for number in range(5000)))
    connection.commit()

    assert written(observer) == ids
    rows = observer.execute("SELECT payload FROM event_outbox ORDER BY id").fetchall()
    assert [row[0] for row in rows] == list(range(5000))


def test_no_events_leave_the_connection_alone(connection: Link) -> None:
    assert emit(connection) == []
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_bad_event_never_reaches_the_transaction(connection: Link, observer: Link) -> None:
    (kept,) = emit(connection, event())
    with pytest.raises(InvalidEvent, match="aggregate_id"):
        emit(connection, event(), event(aggregate_type="order", aggregate_id="\n"))
    connection.commit()

    assert written(observer) == [kept]


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


def test_autocommit_writes_at_once(observer: Link) -> None:
    ids = emit(observer, event(), event())

    assert written(observer) == ids


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


def test_outbox_may_live_in_any_schema(connection: Link, database: str) -> None:
    connection.execute("CREATE SCHEMA shop")
    connection.commit()
    migrate(database, "shop")
    ids = emit(connection, event(aggregate_type="order", aggregate_id="1"), schema="shop", serialize=True)

    assert connection.execute("SELECT event_id FROM shop.event_outbox").fetchall() == [(ids[0],)]


def test_missing_outbox_is_the_drivers_error(connection: Link) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        emit(connection, event(), schema="nowhere")


@pytest.mark.parametrize("wrong", [None, "postgresql://localhost", 7])
def test_what_is_no_connection_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(
        TypeError, match=r"outbox_notify\.emit takes psycopg's Connection or Cursor, not builtins\."
    ):
        emit(wrong, event())


@pytest.mark.parametrize("wrong", [[event()], {"tenant_id": "acme"}, None])
def test_what_is_no_event_is_a_type_error(connection: Link, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"events must be outbox_notify\.Event, not"):
        emit(connection, wrong)


@pytest.mark.anyio
async def test_asynchronous_connections_and_cursors_write_too(database: str, observer: Link) -> None:
    async with await psycopg.AsyncConnection.connect(database) as link:
        ids = await emit_async(link, event(), FULL)
        async with link.cursor() as cursor:
            ids += await emit_async(cursor, event(aggregate_type="order", aggregate_id="1"), serialize=True)
        assert await emit_async(link) == []
        assert written(observer) == []

    assert written(observer) == ids


@pytest.mark.anyio
async def test_each_kind_of_connection_has_its_function(database: str, connection: Link) -> None:
    crossed: Any = connection
    with pytest.raises(
        TypeError,
        match=r"outbox_notify\.emit_async takes psycopg's AsyncConnection or AsyncCursor, not psycopg\.",
    ):
        await emit_async(crossed, event())
    async with await psycopg.AsyncConnection.connect(database) as link:
        crossed = link
        with pytest.raises(
            TypeError, match=r"outbox_notify\.emit takes psycopg's Connection or Cursor, not psycopg\."
        ):
            emit(crossed, event())


@pytest.fixture
def insert_only(connection: Link, database: str) -> Iterator[Callable[[], Link]]:
    """Connect as a role that may insert into the writer's columns and nothing else."""
    connection.execute("DROP ROLE IF EXISTS insert_only")
    connection.execute("CREATE ROLE insert_only LOGIN PASSWORD 'of the test'")
    connection.execute(
        "GRANT INSERT (event_id, tenant_id, event_type, aggregate_type, aggregate_id, payload, payload_bytes,"
        " content_type, headers, available_at) ON event_outbox TO insert_only"
    )
    connection.commit()
    opened: list[Link] = []

    def connect() -> Link:
        opened.append(psycopg.connect(database, user="insert_only", password="of the test"))  # noqa: S106  # no secret
        return opened[-1]

    yield connect
    for link in opened:
        link.close()
    connection.execute("DROP OWNED BY insert_only")
    connection.execute("DROP ROLE insert_only")
    connection.commit()


def test_insert_is_the_only_right_a_writer_needs(insert_only: Callable[[], Link], observer: Link) -> None:
    with insert_only() as writer:
        ids = emit(writer, FULL, FULL, event(), serialize=True)

    assert written(observer) == [ids[0], ids[2]]
    with insert_only() as writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute("SELECT event_id FROM event_outbox")
