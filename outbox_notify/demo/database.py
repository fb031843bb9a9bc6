"""The demo's connections to its PostgreSQL, and what it asks there."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from outbox_notify.demo.stage import SCHEMA
from outbox_notify.postgres.database import connection_parameters, translated
from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Backlog(NamedTuple):
    """Events that wait: how many, the age of the oldest in seconds, and how many have failed."""

    waiting: int
    oldest: float
    failed: int


class DemoDatabase:
    """What the demo asks its database.

    Args:
        connection: in autocommit mode.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    @property
    def version(self) -> str:
        """Version of the server."""
        return self._connection.info.parameter_status("server_version") or "of unknown version"

    async def armed(self) -> bool:
        """Return whether a relay sleeps and will be woken by the next commit."""
        row = await self._one("demo_armed")
        return bool(row[0])

    async def backlog(self) -> Backlog:
        """Return what waits in the outbox now."""
        waiting, oldest, failed = await self._one("demo_backlog")
        return Backlog(waiting, oldest or 0.0, failed)

    async def _one(self, name: str) -> tuple[Any, ...]:
        cursor = await self._connection.execute(query(name, SCHEMA))
        row = await cursor.fetchone()
        return row or ()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Open a connection in autocommit mode for the time of the context.

    Raises:
        OutboxError: as `outbox_notify.postgres.database.translated`, for everything done on the connection.
    """
    with translated():
        connection = await psycopg.AsyncConnection.connect(
            "", autocommit=True, **connection_parameters(url, "demo")
        )
        async with connection:
            yield connection
