"""What the fault cases watch with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.ages import Ages
from tests.support.command import CommandProcess
from tests.support.machine import watched_machine
from tests.support.proxy import Proxy
from tests.support.stream import spying
from tests.support.wake import WakeView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.faulty import Fault

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    """A connection of the test's own, in autocommit mode."""
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@pytest.fixture
def wake(conn: psycopg.Connection) -> WakeView:
    return WakeView(conn)


@pytest.fixture
def ages(database: str, nats_server: EmbeddedNats) -> Iterator[Ages]:
    """How old events are when they pass."""
    with watched_machine(database) as machine, spying(nats_server.url) as spy:
        yield Ages(spy, machine)


@pytest.fixture
def proxy(postgres_server: EmbeddedPostgres) -> Iterator[Proxy]:
    """The way to the session's PostgreSQL, for those who take it."""
    with Proxy(postgres_server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied_database(database: str, proxy: Proxy, postgres_server: EmbeddedPostgres) -> str:
    """URL of the test's database by way of the proxy."""
    return database.replace(f":{postgres_server.port}/", f":{proxy.port}/")


@pytest.fixture
def faulty_relay(
    tmp_path: Path, database: str, nats_server: EmbeddedNats
) -> Iterator[Callable[..., CommandProcess]]:
    """Start a relay with a fault built in, between the test's database and its nats-server."""
    started: list[CommandProcess] = []

    def start(fault: Fault, **settings: str) -> CommandProcess:
        defaults = {
            "OUTBOX_DATABASE_URL": database,
            "OUTBOX_NATS_URL": nats_server.url,
            "OUTBOX_HTTP": "off",
            "PYTHONPATH": str(_ROOT),
        }
        output = tmp_path / f"faulty-{len(started) + 1}.log"
        started.append(
            CommandProcess("relay", output=output, settings={**defaults, **settings}, command=fault.command)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        # Shown when the test fails.
        sys.stderr.write(f"--- {process.output.name}\n{process.text}\n")


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Write figures down, one line of JSON a call; `pytest -s` shows them, and so does a failure."""

    def write(**figures: object) -> None:
        sys.stderr.write(json.dumps({"test": request.node.name, **figures}) + "\n")

    return write
