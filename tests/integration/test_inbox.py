"""The inbox: an event that arrives again is handled once, whichever library writes it down."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from uuid import UUID, uuid4

import anyio
import psycopg
import pytest
from psycopg import errors
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from outbox_notify import InvalidEvent, inbox
from outbox_notify.errors import ConfigError
from outbox_notify.inbox import sqlalchemy
from outbox_notify.postgres.queries import query
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Link


class Noting(Protocol):
    """Asks the inbox in a transaction of its own, and returns what it said."""

    def __call__(
        self, url: str, event_id: UUID | str, *, consumer: str = ..., commit: bool = ...
    ) -> bool: ...


def with_psycopg(url: str, event_id: UUID | str, *, consumer: str = "stock", commit: bool = True) -> bool:
    with psycopg.connect(url) as connection:
        answer = inbox.first_time(connection, consumer, event_id)
        if not commit:
            connection.rollback()
    return answer


def with_async_psycopg(
    url: str, event_id: UUID | str, *, consumer: str = "stock", commit: bool = True
) -> bool:
    async def ask() -> bool:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            answer = await inbox.first_time_async(connection, consumer, event_id)
            if not commit:
                await connection.rollback()
        return answer

    return anyio.run(ask)


def with_session(url: str, event_id: UUID | str, *, consumer: str = "stock", commit: bool = True) -> bool:
    with Session(create_engine(with_driver(url, "psycopg"), poolclass=NullPool)) as session:
        answer = sqlalchemy.first_time(session, consumer, event_id)
        if commit:
            session.commit()
    return answer


def with_connection(url: str, event_id: UUID | str, *, consumer: str = "stock", commit: bool = True) -> bool:
    with create_engine(with_driver(url, "psycopg"), poolclass=NullPool).connect() as connection:
        answer = sqlalchemy.first_time(connection, consumer, event_id)
        if commit:
            connection.commit()
    return answer


def with_async_session(
    url: str, event_id: UUID | str, *, consumer: str = "stock", commit: bool = True
) -> bool:
    async def ask() -> bool:
        engine = create_async_engine(with_driver(url, "asyncpg"), poolclass=NullPool)
        async with AsyncSession(engine) as session:
            answer = await sqlalchemy.first_time_async(session, consumer, event_id)
            if commit:
                await session.commit()
        return answer

    return anyio.run(ask)


def with_driver(url: str, driver: str) -> str:
    return url.replace("postgresql:", f"postgresql+{driver}:")


WAYS = [with_psycopg, with_async_psycopg, with_session, with_connection, with_async_session]


@pytest.fixture
def url(empty_database: str) -> str:
    """URL of a database with an inbox and nothing else."""
    with psycopg.connect(empty_database) as connection:
        inbox.create_table(connection)
    return empty_database


@pytest.fixture
def observer(url: str) -> Iterator[Link]:
    with psycopg.connect(url, autocommit=True) as link:
        yield link


@pytest.mark.parametrize("note", WAYS)
def test_an_event_is_new_once_for_each_consumer_unless_its_transaction_is_rolled_back(
    url: str, note: Noting
) -> None:
    event_id = uuid4()
    assert note(url, event_id, commit=False)
    assert note(url, event_id)
    assert not note(url, event_id)
    assert not note(url, str(event_id))
    assert note(url, event_id, consumer="labels")
    assert note(url, uuid4())


@pytest.mark.parametrize("note", [with_psycopg, with_async_session])
@pytest.mark.parametrize("first_commits", [True, False], ids=["commits", "rolls back"])
def test_a_second_delivery_waits_for_the_first_and_is_new_only_if_that_one_failed(
    url: str, observer: Link, note: Noting, *, first_commits: bool
) -> None:
    event_id = uuid4()
    answers: list[bool] = []
    with psycopg.connect(url) as first:
        assert inbox.first_time(first, "stock", event_id)
        second = threading.Thread(target=lambda: answers.append(note(url, event_id)))
        second.start()
        try:
            wait_for(lambda: waiting(observer) == 1, 20, "the second to wait for the first")
            assert answers == []
        finally:
            (first.commit if first_commits else first.rollback)()
            second.join(20)
    assert answers == [not first_commits]


def waiting(observer: Link) -> int:
    """Return how many statements wait for a lock of another transaction."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return int(observer.execute(asked).fetchall()[0][0])


@pytest.mark.parametrize(
    "level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE]
)
def test_under_stricter_isolation_a_repeat_that_is_not_visible_yet_is_a_serialization_failure(
    url: str, level: psycopg.IsolationLevel
) -> None:
    event_id = uuid4()
    with psycopg.connect(url) as late:
        late.isolation_level = level
        late.execute("SELECT 1")
        with_psycopg(url, event_id)
        with pytest.raises(errors.SerializationFailure):
            inbox.first_time(late, "stock", event_id)
        late.rollback()
        assert not inbox.first_time(late, "stock", event_id)


def test_without_a_transaction_that_holds_the_effect_nothing_is_noted(url: str, observer: Link) -> None:
    with pytest.raises(psycopg.ProgrammingError, match="needs the transaction"):
        inbox.first_time(observer, "stock", uuid4())
    engine = create_engine(with_driver(url, "psycopg"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, pytest.raises(InvalidRequestError, match="needs the transaction"):
        sqlalchemy.first_time(connection, "stock", uuid4())
    assert noted(observer) == 0
    with observer.transaction():
        assert inbox.first_time(observer, "stock", uuid4())
    assert noted(observer) == 1


def test_without_a_transaction_of_asyncpg_nothing_is_noted_either(url: str, observer: Link) -> None:
    async def ask() -> None:
        engine = create_async_engine(
            with_driver(url, "asyncpg"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        async with engine.connect() as connection:
            assert isinstance(connection, AsyncConnection)
            with pytest.raises(InvalidRequestError, match="needs the transaction"):
                await sqlalchemy.first_time_async(connection, "stock", uuid4())

    anyio.run(ask)
    assert noted(observer) == 0


def noted(observer: Link) -> int:
    return int(observer.execute("SELECT count(*) FROM event_inbox").fetchall()[0][0])


@pytest.mark.parametrize("event_id", ["", "no uuid", f"{uuid4()};r=12ab34cd"])
def test_what_is_no_event_id_is_refused_and_the_transaction_lives_on(url: str, event_id: str) -> None:
    with psycopg.connect(url) as connection:
        with pytest.raises(InvalidEvent, match=r"event_id.*must be a UUID, as the header ce-id holds it"):
            inbox.first_time(connection, "stock", event_id)
        with pytest.raises(InvalidEvent, match="consumer"):
            inbox.first_time(connection, "", uuid4())
        assert inbox.first_time(connection, "stock", uuid4())


def test_a_role_that_may_only_insert_can_consume(url: str, observer: Link) -> None:
    observer.execute("CREATE ROLE inbox_writer; GRANT INSERT ON event_inbox TO inbox_writer")
    event_id = uuid4()
    try:
        with psycopg.connect(url) as connection:
            connection.execute("SET ROLE inbox_writer")
            assert inbox.first_time(connection, "stock", event_id)
            assert not inbox.first_time(connection, "stock", event_id)
    finally:
        observer.execute("DROP OWNED BY inbox_writer; DROP ROLE inbox_writer")


def test_pruning_forgets_what_is_old_in_batches_and_nothing_else(url: str, observer: Link) -> None:
    observer.execute("""
        INSERT INTO event_inbox (consumer, event_id, received_at)
        SELECT 'stock', gen_random_uuid(), now() - n * interval '1 minute' FROM generate_series(1, 3000) AS n
    """)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.ProgrammingError, match="autocommit"):
        inbox.prune(connection, older_than=timedelta(0))
    assert inbox.prune(observer, older_than=timedelta(minutes=500, seconds=30)) == 2500

    async def prune() -> int:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            return await inbox.prune_async(connection, older_than=timedelta(minutes=100, seconds=30))

    assert anyio.run(prune) == 400
    assert noted(observer) == 100
    assert inbox.prune(observer, older_than=timedelta(0)) == 100


def test_the_oldest_are_found_by_their_index_in_a_large_table(observer: Link) -> None:
    observer.execute("""
        INSERT INTO event_inbox (consumer, event_id, received_at)
        SELECT 'stock', gen_random_uuid(), now() - n * interval '1 second' FROM generate_series(1, 20000) AS n
    """)
    observer.execute("ANALYZE event_inbox")
    parameters = {"older_than": timedelta(hours=5), "rows": 1000}
    plan = observer.execute(psycopg.sql.SQL("EXPLAIN {}").format(query("inbox_prune", "public")), parameters)
    assert "event_inbox_received_at" in "\n".join(row[0] for row in plan)


def test_the_table_can_be_created_by_several_at_once_in_any_schema_and_by_its_sql(
    empty_database: str,
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA service; CREATE SCHEMA migrated")
        with pytest.raises(ConfigError):
            inbox.create_table(connection, schema="no;schema")
        connection.execute(inbox.table_sql("migrated").encode())

    async def create() -> None:
        async with await psycopg.AsyncConnection.connect(empty_database) as connection:
            await inbox.create_table_async(connection, schema="service")

    threads = [threading.Thread(target=anyio.run, args=(create,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    with psycopg.connect(empty_database) as connection:
        for schema in ("service", "migrated"):
            assert inbox.first_time(connection, "stock", uuid4(), schema=schema)
            assert connection.execute(
                "SELECT count(*) FROM pg_indexes WHERE schemaname = %s AND tablename = 'event_inbox'",
                [schema],
            ).fetchall() == [(2,)]
