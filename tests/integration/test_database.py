"""Connecting to a real PostgreSQL, and what its refusals become."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from outbox_notify.errors import DatabaseUnreachable, NotPermitted, OutboxError, SchemaError
from outbox_notify.postgres.database import connect, translated

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedPostgres

CANARY = "c4nary-s3cret"


def test_a_connection_is_in_autocommit_and_says_what_it_is_for(database: str) -> None:
    with connect(database, "status") as connection:
        assert connection.autocommit
        assert connection.execute("SHOW application_name").fetchone() == ("outbox-notify status",)


@pytest.mark.parametrize(
    ("time", "year"), [("-infinity", 1), ("0044-03-15 BC", 1), ("294276-01-01", 9999), ("infinity", 9999)]
)
def test_times_that_python_does_not_know_are_read_as_the_last_that_it_knows(
    database: str, time: str, year: int
) -> None:
    with connect(database) as connection:
        found = connection.execute("SELECT %s::timestamptz", [time]).fetchall()
    assert [each.astimezone().year for (each,) in found] == [year]


def test_a_wrong_password_is_not_permitted_and_not_repeated(database: str) -> None:
    parts = urlsplit(database)
    url = parts._replace(netloc=f"postgres:{CANARY}@{parts.hostname}:{parts.port}").geturl()
    with pytest.raises(NotPermitted, match="password authentication failed") as caught:
        connect(url)
    assert CANARY not in str(caught.value)


def test_a_database_that_does_not_exist_is_told_from_a_server_that_does_not_answer(database: str) -> None:
    with pytest.raises(DatabaseUnreachable, match="create the database"):
        connect(urlsplit(database)._replace(path="/nowhere").geturl())


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with pytest.raises(DatabaseUnreachable, match=r"127\.0\.0\.1:1/d as u: Connection refused"):
        connect("postgresql://u@127.0.0.1:1/d")


def test_a_frozen_server_is_unreachable_within_the_connect_timeout(
    private_postgres: EmbeddedPostgres,
) -> None:
    private_postgres.freeze()
    with pytest.raises(DatabaseUnreachable, match="timeout"):
        connect(f"{private_postgres.url}?connect_timeout=2")


def test_a_database_without_an_outbox_says_to_migrate(empty_database: str) -> None:
    needed = pytest.raises(SchemaError, match="run `outbox-notify migrate`")
    with connect(empty_database) as connection, needed, translated():
        connection.execute("SELECT FROM event_outbox")


def test_a_missing_right_is_named(database: str) -> None:
    with connect(database) as connection:
        connection.execute("SET ROLE pg_monitor")
        named = pytest.raises(NotPermitted, match=r"permission denied for table event_outbox.*roles\.sql")
        with named, translated():
            connection.execute("SELECT FROM event_outbox")


def test_t56_a_refused_row_is_not_shown(database: str) -> None:
    refused = "INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('a', %s, '{}')"
    with connect(database) as connection, pytest.raises(OutboxError) as caught, translated():
        connection.execute(refused, [f"{CANARY}.."])
    assert "check constraint" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_killed_backend_is_unreachable(database: str) -> None:
    with connect(database) as victim, connect(database) as other:
        kill = threading.Thread(
            target=other.execute, args=("SELECT pg_terminate_backend(%s, 5000)", (victim.info.backend_pid,))
        )
        kill.start()
        with pytest.raises(DatabaseUnreachable), translated():
            victim.execute("SELECT pg_sleep(60)")
        kill.join()
        with pytest.raises(DatabaseUnreachable, match="connection is closed"), translated():
            victim.execute("SELECT 1")


@pytest.mark.anyio
async def test_awaited_calls_are_translated_too(empty_database: str) -> None:
    async with await psycopg.AsyncConnection.connect(empty_database) as connection:
        with pytest.raises(SchemaError), translated():
            await connection.execute("SELECT FROM event_outbox")
