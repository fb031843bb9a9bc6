"""Fixtures for pytest: real servers once a session, and a database, a connection and streams for each test.

Not loaded by itself: write `pytest_plugins = ["outbox_notify.testing.plugin"]` into the topmost conftest.py. With
pytest-xdist each worker has servers of its own. Needs the extra `embedded`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
from outbox_notify.testing.databases import SETTINGS, fresh_database, make_template, recover
from outbox_notify.testing.draining import drain
from outbox_notify.testing.stream import StreamMessage, delete_streams, read_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def outbox_postgres_version() -> int:
    """Version of PostgreSQL, 16 or 18; yours to override."""
    return 18


@pytest.fixture(scope="session")
def outbox_schema() -> str:
    """Schema of the outbox; yours to override."""
    return "public"


@pytest.fixture(scope="session")
def outbox_prepare() -> Callable[[str], None]:
    """What to do once with the URL of a database that has the outbox: your own migrations. Yours to override."""
    return lambda _url: None


@pytest.fixture(scope="session")
def outbox_session_postgres(
    outbox_postgres_version: int, outbox_schema: str, outbox_prepare: Callable[[str], None]
) -> Iterator[EmbeddedPostgres]:
    """The session's PostgreSQL, with the template of all databases; ask for `outbox_postgres` in tests."""
    with EmbeddedPostgres(outbox_postgres_version, SETTINGS) as server:
        outbox_prepare(make_template(server, outbox_schema))
        yield server


@pytest.fixture(scope="session")
def outbox_session_nats() -> Iterator[EmbeddedNats]:
    """The session's nats-server; ask for `outbox_nats` in tests."""
    with EmbeddedNats() as server:
        yield server


@pytest.fixture
def outbox_postgres(outbox_session_postgres: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """PostgreSQL: `stop()`, `kill()`, `freeze()`, `thaw()` and `start()` it; after the test it runs again."""
    yield outbox_session_postgres
    recover(outbox_session_postgres)


@pytest.fixture
def outbox_nats(outbox_session_nats: EmbeddedNats) -> Iterator[EmbeddedNats]:
    """NATS with an empty JetStream, at `.url`: to be stopped, killed and frozen as `outbox_postgres`."""
    yield outbox_session_nats
    recover(outbox_session_nats)
    delete_streams(outbox_session_nats.url)


@pytest.fixture
def outbox_database(outbox_postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of the test's own database, with the outbox and what `outbox_prepare` made."""
    with fresh_database(outbox_postgres) as url:
        yield url


@pytest.fixture
def outbox_connection(outbox_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the test's own database; what it has not committed is rolled back."""
    connection = psycopg.connect(outbox_database)
    yield connection
    connection.close()


@pytest.fixture
def outbox_drain(
    outbox_database: str, outbox_nats: EmbeddedNats, outbox_schema: str
) -> Callable[..., list[StreamMessage]]:
    """Run a relay until nothing is due: `outbox_drain()` returns the messages; settings of the relay as keywords."""
    return partial(drain, outbox_database, outbox_nats.url, schema=outbox_schema)


@pytest.fixture
def outbox_stream(outbox_nats: EmbeddedNats) -> Callable[..., list[StreamMessage]]:
    """Read back what a stream holds: `outbox_stream()`, or `outbox_stream("ORDERS")`."""
    return partial(read_stream, outbox_nats.url)
