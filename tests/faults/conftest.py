"""What the fault cases watch with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.ages import Ages
from tests.support.machine import watched_machine
from tests.support.proxy import Proxy
from tests.support.stream import spying
from tests.support.wake import WakeView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.command import CommandProcess, Starter
    from tests.support.faulty import Fault

_ROOT = Path(__file__).parents[2]


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
def faulty_relay(relay_process: Starter) -> Starter:
    """Start a relay with a fault built in, between the test's database and its nats-server."""

    def start(fault: Fault, **settings: str) -> CommandProcess:
        return relay_process(command=fault.command, PYTHONPATH=str(_ROOT), **settings)

    return start


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Write figures down, one line of JSON a call; `pytest -s` shows them, and so does a failure."""

    def write(**figures: object) -> None:
        sys.stderr.write(json.dumps({"test": request.node.name, **figures}) + "\n")

    return write
