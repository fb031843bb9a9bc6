"""Servers and processes for the tests. Real ones: what cannot start fails the test, nothing is skipped."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
from tests.support.cases import Cases
from tests.support.command import COMMAND, CommandProcess
from tests.support.postgres import TEMPLATE, PostgresServers, fresh_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.checker import Verdict
    from tests.support.command import Starter

# Started in the background of a shell, this process ignores SIGINT, and so would every command that is to be stopped.
signal.signal(signal.SIGINT, signal.default_int_handler)

MEMORY = Path("/dev/shm")  # noqa: S108  # it is what Linux calls it
# The largest of the tests write a few million events.
ROOM = 8 * 2**30

_CASES = pytest.StashKey[Cases]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make test-faults` asks for."""
    parser.addoption("--cases", action="store_true", help="print a table of the numbered fault cases")


def pytest_configure(config: pytest.Config) -> None:
    """Collect what numbered cases report."""
    config.stash[_CASES] = Cases()
    config.pluginmanager.register(config.stash[_CASES])


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Enter the figures of a numbered case into the table: `account(verdict, reclaims=3, recover_s=1.2)`."""
    cases = request.config.stash[_CASES]

    def enter(verdict: Verdict | None = None, **figures: object) -> None:
        cases.account(request.node.nodeid, verdict, figures)

    return enter


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the only backend that psycopg and nats-py know."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def servers_in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let servers keep their data in memory where there is room: a disk holds up every commit now and then."""
    tmp_path_factory.getbasetemp()  # what tests leave behind stays on the disk
    memory = os.statvfs(MEMORY) if MEMORY.is_dir() else None
    if memory and memory.f_bavail * memory.f_frsize >= ROOM and not memory.f_flag & os.ST_NOEXEC:
        tempfile.tempdir = str(MEMORY)
    yield
    tempfile.tempdir = None


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[PostgresServers]:
    servers = PostgresServers()
    try:
        yield servers
    finally:
        servers.close()


@pytest.fixture
def postgres_version() -> int:
    """The version the test runs on; parametrize "postgres_version" with [16, 18] to ask for both."""
    return 18


@pytest.fixture
def postgres_server(postgres_servers: PostgresServers, postgres_version: int) -> EmbeddedPostgres:
    """The session's server: for looking, not for stopping."""
    return postgres_servers.server(postgres_version)


@pytest.fixture
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of a fresh, migrated database."""
    with fresh_database(postgres_server, TEMPLATE) as url:
        yield url


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    """A connection of the test's own, in autocommit mode."""
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@pytest.fixture
def empty_database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of a fresh database without an outbox."""
    with fresh_database(postgres_server, "template1") as url:
        yield url


@pytest.fixture
def private_postgres(postgres_servers: PostgresServers, postgres_version: int) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, to be stopped, killed and frozen; its database `postgres` is migrated."""
    with postgres_servers.another(postgres_version) as server:
        yield server


@pytest.fixture
def nats_server() -> Iterator[EmbeddedNats]:
    """A nats-server of the test's own with an empty JetStream, to be stopped, killed and frozen."""
    with EmbeddedNats() as server:
        yield server


@pytest.fixture
def command_process(tmp_path: Path) -> Iterator[Starter]:
    """Start the command, or another, in the background: arguments first, settings as keywords; killed at the end."""
    started: list[CommandProcess] = []
    numbers = itertools.count(1)

    def start(*arguments: str, command: Sequence[str] = COMMAND, **settings: str) -> CommandProcess:
        output = tmp_path / f"command-{next(numbers)}.log"
        started.append(CommandProcess(*arguments, output=output, settings=settings, command=command))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        # Shown when the test fails.
        print(f"--- {process.output.name}\n{process.text}")  # noqa: T201


@pytest.fixture
def relay_process(command_process: Starter, database: str, nats_server: EmbeddedNats) -> Starter:
    """Start a relay between the test's database and its nats-server; more flags and settings as arguments."""

    def start(*flags: str, **settings: Any) -> CommandProcess:
        defaults = {"OUTBOX_DATABASE_URL": database, "OUTBOX_NATS_URL": nats_server.url}
        return command_process("relay", *flags, **{**defaults, **settings})

    return start
