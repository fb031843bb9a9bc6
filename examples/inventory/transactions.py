"""Running a use case in a transaction, and again from its beginning when PostgreSQL asks for that."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import anyio
from psycopg.errors import DeadlockDetected, SerializationFailure
from psycopg_pool import AsyncConnectionPool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from psycopg import AsyncConnection

_PATIENCE = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_CONNECTIONS = 10

P = ParamSpec("P")
T = TypeVar("T")


def make_pool(database_url: str) -> AsyncConnectionPool:
    """Return a pool, still closed, that looks at a connection before it lends it: PostgreSQL may have restarted."""
    return AsyncConnectionPool(
        database_url,
        kwargs={"connect_timeout": 5},
        min_size=1,
        max_size=_CONNECTIONS,
        open=False,
        timeout=10,
        check=AsyncConnectionPool.check_connection,
        # Its pauses between two tries double until then; after it, whoever needs a connection makes it try at once.
        reconnect_timeout=3,
    )


async def in_transaction(
    pool: AsyncConnectionPool,
    use_case: Callable[Concatenate[AsyncConnection, P], Awaitable[T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Commit what the use case does, and return what it returns; roll back when it raises an error.

    A serialization failure or a deadlock undoes everything, events included, so all of it runs again. A lost
    connection is not repeated here: whether the commit was made before is not known.

    Raises:
        psycopg.OperationalError: the database is away, or too many wanted the same rows for too long.
    """
    deadline, longest = anyio.current_time() + _PATIENCE, _FIRST_PAUSE
    while True:
        try:
            async with pool.connection() as connection:
                return await use_case(connection, *args, **kwargs)
        except (SerializationFailure, DeadlockDetected):
            if anyio.current_time() > deadline:
                raise
        await anyio.sleep(random.uniform(0, longest))  # noqa: S311  # so that they do not meet again; no secret
        longest = min(2 * longest, _LONGEST_PAUSE)
