"""The connections that a relay claims and settles on."""

from __future__ import annotations

import select
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
from psycopg import IsolationLevel
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.postgres.database import connection_parameters, translated
from outbox_notify.postgres.transaction import Link, run_whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from outbox_notify.config.settings import Settings
    from outbox_notify.postgres.transaction import Step

_CONNECTIONS = 4
_POOL_TIMEOUT = 5.0
# A little more than the statement_timeout of our transactions: past it, the server or the way to it is gone.
_ANSWER_TIMEOUT = 35.0
# Serialization failure, deadlock, lock not available, query canceled: the statement may simply be run again.
_RUN_AGAIN = {"40001", "40P01", "55P03", "57014"}
# Invalid or duplicate name of a prepared statement: a pooler between us and PostgreSQL that we were not told of.
_POOLER = {"26000", "42P05"}
_TRIES = 3
_VANISHED_HOST = {
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


class Pool:
    """A few connections in autocommit mode, READ COMMITTED whatever the role's default.

    Args:
        settings: the database, and whether there is a pooler before it.
    """

    def __init__(self, settings: Settings) -> None:
        self._schema = settings.schema
        # A pooler in between cannot be trusted with prepared statements.
        self._prepares = settings.listen_database_url is None
        self._pool: AsyncConnectionPool[Link] = AsyncConnectionPool(
            "",
            connection_class=Link,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 5 if self._prepares else None,
                **_VANISHED_HOST,
                **connection_parameters(settings, "relay"),
            },
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_POOL_TIMEOUT,
            reconnect_timeout=_POOL_TIMEOUT,
            configure=self._configure,
            open=False,
        )
        self._distrusted_before = 0.0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold the connections open; nothing is reached for until it is needed."""
        await self._pool.open(wait=False)
        try:
            yield
        finally:
            await self._pool.close(timeout=2.0)

    async def transaction(self, *steps: Step) -> list[Any]:
        """Run statements of `sql/` as one transaction in one message; return the row of each.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses; nothing was written.
        """

        async def statements(conn: Link) -> list[Any]:
            return await run_whole(conn, self._schema, list(steps), prepare=self._prepares)

        rows: list[Any] = await self.run(statements)
        return rows

    async def run(self, statements: Callable[[Link], Awaitable[Any]]) -> Any:
        """Run statements on one of the connections; again when the server says that this may help.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses.
        """
        tries = 0
        with translated():
            while True:
                tries += 1
                try:
                    return await self._run_once(statements)
                except (PoolTimeout, PoolClosed) as error:
                    raise DatabaseUnreachable(f"PostgreSQL: no connection: {error}") from None
                except psycopg.Error as error:
                    if error.sqlstate in _POOLER:
                        self._prepares = False
                    elif error.sqlstate not in _RUN_AGAIN:
                        raise
                    if tries == _TRIES:
                        raise

    async def _run_once(self, statements: Callable[[Link], Awaitable[Any]]) -> Any:
        async with self._connection() as conn:
            with anyio.move_on_after(_ANSWER_TIMEOUT):
                return await statements(conn)
        # The others lead to the same place: each would cost as long again.
        self._distrusted_before = time.monotonic()
        raise DatabaseUnreachable(f"PostgreSQL: no answer within {_ANSWER_TIMEOUT:g} s")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Link]:
        """Hold a connection, past those that the server has ended while idle, or that may be as dead as another."""
        conn = await self._pool.getconn()
        try:
            for _ in range(_CONNECTIONS):
                if conn.made_at >= self._distrusted_before and not _says_goodbye(conn):
                    break
                await conn.close()
                await self._pool.putconn(conn)
                conn = await self._pool.getconn()
            yield conn
        finally:
            await self._pool.putconn(conn)

    async def _configure(self, conn: Link) -> None:
        conn.made_at = time.monotonic()
        await conn.set_isolation_level(IsolationLevel.READ_COMMITTED)


def _says_goodbye(conn: Link) -> bool:
    """Return whether an idle connection is readable: it was asked nothing, so there is only this to say."""
    if conn.closed:
        return True
    readable = select.poll()
    readable.register(conn.fileno(), select.POLLIN)
    return bool(readable.poll(0))
