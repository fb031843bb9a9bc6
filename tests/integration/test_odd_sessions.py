"""Sessions and databases that are set to what few people think of change no event and stop no relay."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import errors, sql

from outbox_notify import Event, emit
from outbox_notify.relay.outcomes import Retry
from tests.support.arrivals import moved, numbers
from tests.support.claiming import claiming
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.embedded import EmbeddedPostgres
    from tests.support.arrivals import Drain
    from tests.support.postgres import Link

pytestmark = pytest.mark.anyio

# What a session, or a whole database, may be set to.
ODD_SETTINGS = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "<+14>-14",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "search_path": "pg_temp",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "session_replication_role": "replica",
    "row_security": "off",
    "plan_cache_mode": "force_generic_plan",
    "enable_indexscan": "off",
    "work_mem": "64kB",
    "lc_messages": "C",
    "idle_in_transaction_session_timeout": "2s",
    "client_min_messages": "debug1",
}
PAYLOADS = [{"text": "back\\slash 'quote' \"double\" ü"}, [None, 1e-300, 12345678901234567890]]
BYTES = b"\\x00\x00\xff'\\"


@pytest.fixture
def odd_database(conn: Link, database: str) -> str:
    """URL of a database in which every session begins with odd settings."""
    for name, value in ODD_SETTINGS.items():
        statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
        parts = sql.Identifier(conn.info.dbname), sql.Identifier(name), sql.Literal(value)
        conn.execute(statement.format(*parts))
    return database


@contextmanager
def set_to(url: str, settings: dict[str, str]) -> Iterator[Link]:
    """Open a session with settings of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        yield connection


def write_in_turn(connection: Link, place: int) -> None:
    """Write one event by `emit` and one by hand, about one aggregate."""
    emit(connection, moved(2 * place))
    connection.execute(
        "INSERT INTO public.event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)"
        " VALUES ('acme', 'stock.moved', 'article', 'A-1', jsonb_build_object('n', %s::int))",
        [2 * place + 1],
    )


def test_no_setting_of_a_session_changes_what_is_written(conn: Link, database: str, arrive: Drain) -> None:
    for place, (name, value) in enumerate(ODD_SETTINGS.items()):
        with set_to(database, {name: value}) as connection:
            write_in_turn(connection, place)

    assert numbers(arrive()) == list(range(2 * len(ODD_SETTINGS)))


def test_bodies_are_what_they_were_whatever_the_session_is_set_to(database: str, arrive: Drain) -> None:
    with set_to(database, ODD_SETTINGS) as connection:
        for payload in PAYLOADS:
            emit(connection, Event("acme", "stock.moved", payload, headers={"X-Note": "a\\'b"}))
        emit(connection, Event("acme", "stock.moved", payload_bytes=BYTES))

    *messages, in_bytes = arrive()
    assert [message.json for message in messages] == PAYLOADS
    assert {message.headers["X-Note"] for message in messages} == {"a\\'b"}
    assert in_bytes.body == BYTES


async def test_what_a_relay_notes_is_what_it_was_told_whatever_the_database_is_set_to(
    odd_database: str,
) -> None:
    reason = "it's \\'; a \\\\ back\\slash"
    with psycopg.connect(odd_database, autocommit=True) as connection:
        write_in_turn(connection, 0)

    async with claiming(odd_database) as desk:
        assert len(await desk.settle(Retry(reason))) == 2
        noted = desk.conn.execute("SELECT last_error FROM public.event_outbox").fetchall()
    assert noted == [(reason,), (reason,)]


@pytest.mark.parametrize("setting", ["statement_timeout", "transaction_timeout"])
async def test_a_timeout_that_is_meant_for_other_work_ends_no_read(
    conn: Link, database: str, postgres_server: EmbeddedPostgres, setting: str
) -> None:
    conn.execute(
        "INSERT INTO event_outbox (tenant_id, event_type, payload_bytes)"
        " SELECT 'acme', 'image.stored', convert_to(repeat('x', 100000), 'UTF8') FROM generate_series(1, 300)"
    )
    statement = sql.SQL("ALTER DATABASE {} SET {} = '250ms'")
    conn.execute(statement.format(sql.Identifier(conn.info.dbname), sql.Identifier(setting)))
    with Proxy(postgres_server.port) as proxy:
        url = database.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        async with claiming(url, batch_size=300) as desk:
            claim = await desk.claim(bytes=10**9)
            [connection] = desk.storage._pool._connections._idle
            proxy.slow(rate=40_000_000)
            assert claim.token is not None
            assert len(await desk.storage.read(claim.token)) == 300
            # Who is ended in the middle may try each event alone, on another connection.
            assert desk.storage._pool._connections._idle == [connection]


def test_a_relay_works_whatever_the_database_is_set_to(odd_database: str, arrive: Drain) -> None:
    with psycopg.connect(odd_database, autocommit=True) as connection:
        for place in range(20):
            write_in_turn(connection, place)

    assert numbers(arrive(batch_size=7)) == list(range(40))


def test_a_statement_that_is_cancelled_leaves_no_event(conn: Link, arrive: Drain) -> None:
    many = [moved(n) for n in range(5000)]
    conn.execute("SET statement_timeout = '1ms'")
    with pytest.raises(errors.QueryCanceled):
        emit(conn, *many)
    conn.execute("RESET statement_timeout")
    emit(conn, moved(-1))

    assert numbers(arrive()) == [-1]
