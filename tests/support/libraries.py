"""The libraries that services write with, each behind the same few verbs, so that one contract is tried on all."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import asyncpg
import django.db
import psycopg
import sqlalchemy
from anyio.from_thread import start_blocking_portal
from django.db.transaction import TransactionManagementError, atomic
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from outbox_notify import emit, emit_async
from outbox_notify.writers import asyncpg as on_asyncpg
from outbox_notify.writers import django as on_django
from outbox_notify.writers import sqlalchemy as on_sqlalchemy
from tests.support.django_database import django_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    from anyio.from_thread import BlockingPortal

    from outbox_notify import Event

AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}


class Library:
    """A library with one connection, outside of transactions until one is begun.

    Args:
        url: of the database.
        opened: what has to be closed in the end.
    """

    refused: ClassVar[type[Exception]]  # what it raises when PostgreSQL refuses
    misused: ClassVar[type[Exception]]  # what it raises when no transaction holds the locks
    link: Any

    def __init__(self, url: str, opened: ExitStack) -> None:
        self.url = url
        self.opened = opened

    def transaction(self) -> AbstractContextManager[object]:
        """Commit at the end of the context, or roll back what raises."""
        raise NotImplementedError

    def savepoint(self) -> AbstractContextManager[object]:
        """Do the same inside a transaction."""
        return self.transaction()

    def emit(self, *events: Event, **options: Any) -> list[UUID]:
        """Write events with the library's own function."""
        raise NotImplementedError

    def emit_alone(self, *events: Event, **options: Any) -> list[UUID]:
        """Write events where every statement is a transaction of its own."""
        return self.emit(*events, **options)


class Psycopg(Library):
    """psycopg, synchronous."""

    refused = psycopg.Error
    misused = psycopg.ProgrammingError

    def __init__(self, url: str, opened: ExitStack) -> None:
        super().__init__(url, opened)
        self.link = opened.enter_context(psycopg.connect(url, autocommit=True))

    def transaction(self) -> AbstractContextManager[object]:
        return self.link.transaction()  # type: ignore[no-any-return]  # one name for many kinds

    def emit(self, *events: Event, **options: Any) -> list[UUID]:
        return emit(self.link, *events, **options)


class SqlalchemyConnection(Library):
    """SQLAlchemy Core, on psycopg."""

    refused = sqlalchemy.exc.DBAPIError
    misused = sqlalchemy.exc.InvalidRequestError
    kind: ClassVar[Callable[..., Any]] = sqlalchemy.Engine.connect

    def __init__(self, url: str, opened: ExitStack) -> None:
        super().__init__(url, opened)
        self.engine = sqlalchemy.create_engine(with_driver(url, "psycopg"), poolclass=NullPool)
        self.link = opened.enter_context(type(self).kind(self.engine))

    def transaction(self) -> AbstractContextManager[object]:
        return self.link.begin()  # type: ignore[no-any-return]  # one name for many kinds

    def savepoint(self) -> AbstractContextManager[object]:
        return self.link.begin_nested()  # type: ignore[no-any-return]  # one name for many kinds

    def emit(self, *events: Event, **options: Any) -> list[UUID]:
        return on_sqlalchemy.emit(self.link, *events, **options)

    def emit_alone(self, *events: Event, **options: Any) -> list[UUID]:
        with type(self).kind(self.engine.execution_options(**AUTOCOMMIT)) as link:
            return on_sqlalchemy.emit(link, *events, **options)


class SqlalchemySession(SqlalchemyConnection):
    """SQLAlchemy's ORM, on psycopg."""

    kind = Session


class Django(Library):
    """Django's connections, on psycopg."""

    refused = django.db.Error
    misused = TransactionManagementError

    def __init__(self, url: str, opened: ExitStack) -> None:
        super().__init__(url, opened)
        self.alias = opened.enter_context(django_database(url))

    def transaction(self) -> AbstractContextManager[object]:
        return atomic(using=self.alias)  # type: ignore[no-any-return]  # Django is not annotated

    def emit(self, *events: Event, **options: Any) -> list[UUID]:
        return on_django.emit(*events, using=self.alias, **options)


class Asynchronous(Library):
    """A library whose coroutines run in a thread of their own, in the caller's context."""

    def __init__(self, url: str, opened: ExitStack) -> None:
        super().__init__(url, opened)
        self.portal: BlockingPortal = opened.enter_context(start_blocking_portal())

    def enter(self, context: AbstractAsyncContextManager[Any]) -> AbstractContextManager[Any]:
        """Return an asynchronous context for synchronous use."""
        return self.portal.wrap_async_context_manager(context)

    def transaction(self) -> AbstractContextManager[object]:
        return self.enter(self.link.transaction())


class PsycopgAsync(Asynchronous):
    """psycopg, asynchronous."""

    refused = psycopg.Error
    misused = psycopg.ProgrammingError

    def __init__(self, url: str, opened: ExitStack) -> None:
        super().__init__(url, opened)
        self.link = self.portal.call(partial(psycopg.AsyncConnection.connect, url, autocommit=True))
        opened.callback(self.portal.call, self.link.close)

    def emit(self, *events: Event, **options: Any) -> list[UUID]:
        return self.portal.call(partial(emit_async, self.link, *events, **options))


class Asyncpg(Asynchronous):
    """asyncpg."""

    refused = asyncpg.PostgresError
    misused = asyncpg.InterfaceError

    def __init__(self, url: str, opened: ExitStack) -> None:
        super().__init__(url, opened)
        self.link = self.portal.call(asyncpg.connect, url)
        opened.callback(self.portal.call, self.link.close)

    def emit(self, *events: Event, **options: Any) -> list[UUID]:
        return self.portal.call(partial(on_asyncpg.emit, self.link, *events, **options))


class SqlalchemyAsyncConnection(Asynchronous):
    """SQLAlchemy Core, asynchronous, on asyncpg."""

    refused = sqlalchemy.exc.DBAPIError
    misused = sqlalchemy.exc.InvalidRequestError
    driver: ClassVar[str] = "asyncpg"

    def __init__(self, url: str, opened: ExitStack) -> None:
        super().__init__(url, opened)
        self.engine = create_async_engine(with_driver(url, self.driver), poolclass=NullPool)
        self.link = opened.enter_context(self.enter(self.engine.connect()))

    def transaction(self) -> AbstractContextManager[object]:
        return self.enter(self.link.begin())

    def savepoint(self) -> AbstractContextManager[object]:
        return self.enter(self.link.begin_nested())

    def emit(self, *events: Event, **options: Any) -> list[UUID]:
        return self._emit(self.link, *events, **options)

    def emit_alone(self, *events: Event, **options: Any) -> list[UUID]:
        with self.enter(self.engine.execution_options(**AUTOCOMMIT).connect()) as link:
            return self._emit(link, *events, **options)

    def _emit(self, link: Any, *events: Event, **options: Any) -> list[UUID]:
        return self.portal.call(partial(on_sqlalchemy.emit_async, link, *events, **options))


class SqlalchemyAsyncSession(SqlalchemyAsyncConnection):
    """SQLAlchemy's ORM, asynchronous, on psycopg."""

    driver = "psycopg"

    def __init__(self, url: str, opened: ExitStack) -> None:
        super().__init__(url, opened)
        self.link = opened.enter_context(self.enter(AsyncSession(self.engine)))


LIBRARIES: tuple[type[Library], ...] = (
    Psycopg,
    PsycopgAsync,
    Asyncpg,
    SqlalchemyConnection,
    SqlalchemySession,
    SqlalchemyAsyncConnection,
    SqlalchemyAsyncSession,
    Django,
)


@contextmanager
def using(library: type[Library], url: str) -> Iterator[Library]:
    """Open a library's connection for the time of the context."""
    with ExitStack() as opened:
        yield library(url, opened)


def with_driver(url: str, driver: str) -> str:
    """Return the URL as SQLAlchemy has it."""
    return url.replace("postgresql:", f"postgresql+{driver}:")
