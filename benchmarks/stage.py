"""The servers of a run, with stock settings, and what is needed on them again and again."""

from __future__ import annotations

import itertools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import sql

from benchmarks.backlog import BARE_TABLE, settled_down
from benchmarks.programs import Program
from benchmarks.stream import Stream
from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
from outbox_notify.schema.migrate import migrate_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from benchmarks.progress import Progress

_EMPTY = "bench_empty"


class Stage:
    """Embedded servers; as a context manager they start, and leave nothing behind. From the main thread only.

    Args:
        version: of PostgreSQL.
        progress: shows what is done.
    """

    def __init__(self, version: int, progress: Progress) -> None:
        self.postgres = EmbeddedPostgres(version)
        self.nats = EmbeddedNats()
        self._progress = progress
        self._numbers = itertools.count(1)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(self.postgres)
            opening.enter_context(self.nats)
            self._make_empty()
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def stream(self) -> Stream:
        """The stream of its nats-server."""
        return Stream(self.nats.url)

    def say(self, what: str) -> None:
        """Tell what is done from now on."""
        self._progress.say(what)

    @contextmanager
    def filled(self, *fills: Callable[[psycopg.Connection], None]) -> Iterator[str]:
        """Make a database that copies are taken of, with an outbox and a bare table that are filled.

        Args:
            fills: write into it, one after the other.

        Yields:
            Its name.
        """
        with self.copy(_EMPTY) as url:
            with psycopg.connect(url, autocommit=True) as conn:
                for fill in fills:
                    fill(conn)
                settled_down(conn)
                name = conn.info.dbname
            yield name

    @contextmanager
    def copy(self, template: str = _EMPTY) -> Iterator[str]:
        """Yield the URL of a copy of a database; it is dropped afterwards, whoever is still connected.

        Files are copied as they are: each run finds what the one before it has found.
        """
        database = sql.Identifier(f"bench_{next(self._numbers)}")
        source = sql.Identifier(template)
        with psycopg.connect(self.postgres.url, autocommit=True) as conn:
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(database, source)
            )
        try:
            yield self.postgres.database_url(database.as_string().strip('"'))
        finally:
            with psycopg.connect(self.postgres.url, autocommit=True) as conn:
                conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))

    def start(self, arguments: tuple[str, ...], url: str, ready: str = "ready", **settings: str) -> Program:
        """Start one of our programs on a database and on NATS, with default settings but for those given."""
        environment = {"OUTBOX_DATABASE_URL": url, "OUTBOX_NATS_URL": self.nats.url, **settings}
        return Program(arguments, self.nats.folder, environment, ready)

    def _make_empty(self) -> None:
        with psycopg.connect(self.postgres.url, autocommit=True) as conn:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_EMPTY)))
        with psycopg.connect(self.postgres.database_url(_EMPTY), autocommit=True) as conn:
            migrate_up(conn, "public")
            conn.execute(BARE_TABLE)
            settled_down(conn)
