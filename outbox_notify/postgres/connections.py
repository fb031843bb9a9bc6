"""The connections of a relay: made when they are needed, held while they are good.

A pool that connects by itself, in its background, hides from who waits why there is no connection, and finds a server
that is back only at its own next try. Here who needs a connection makes it, and hears what the server says.
"""

from __future__ import annotations

import select
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from psycopg.pq import TransactionStatus

from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.postgres.transaction import Link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECTIONS = 4
_TURN_TIMEOUT = 5.0
# An address may lead elsewhere by then, and a server process has grown.
_LONGEST_LIFE = 3600.0
# All but one are let go of when they have not been needed for so long.
_LONGEST_IDLE = 600.0


class Connections:
    """At most `CONNECTIONS` at a time, in autocommit mode.

    Args:
        parameters: of psycopg's `connect`.
    """

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters
        self._free = anyio.Semaphore(CONNECTIONS)
        self._idle: list[Link] = []
        self._distrusted_before = 0.0

    async def close(self) -> None:
        """End those that are not in use."""
        while self._idle:
            await self._idle.pop().close()

    def distrust(self) -> None:
        """Use none of those that there are again: they lead to the same place as one that failed."""
        self._distrusted_before = time.monotonic()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Link]:
        """Hold a connection; one that is left in the middle of something is not used again.

        Raises:
            psycopg.Error: what the server, or the way to it, said to a new one.
            DatabaseUnreachable: all of them are in use for too long.
        """
        await self._wait_for_turn()
        try:
            conn = await self._held() or await self._made()
            try:
                yield conn
            finally:
                await self._take_back(conn)
        finally:
            self._free.release()

    async def _wait_for_turn(self) -> None:
        with anyio.move_on_after(_TURN_TIMEOUT):
            await self._free.acquire()
            return
        raise DatabaseUnreachable(
            f"PostgreSQL: all {CONNECTIONS} connections were busy for {_TURN_TIMEOUT:g} s"
        )

    async def _held(self) -> Link | None:
        """Return the one that was used last, past those that have ended or are not to be used any more."""
        while self._idle:
            conn = self._idle.pop()
            if self._is_good(conn) and not _says_goodbye(conn):
                return conn
            await conn.close()
        return None

    async def _made(self) -> Link:
        conn = await Link.connect("", autocommit=True, **self.parameters)
        conn.made_at = time.monotonic()
        return conn

    async def _take_back(self, conn: Link) -> None:
        conn.used_at = time.monotonic()
        if not self._is_good(conn) or conn.pgconn.transaction_status != TransactionStatus.IDLE:
            await conn.close()
            return
        self._idle.append(conn)
        while len(self._idle) > 1 and conn.used_at - self._idle[0].used_at > _LONGEST_IDLE:
            await self._idle.pop(0).close()

    def _is_good(self, conn: Link) -> bool:
        young = time.monotonic() - conn.made_at < _LONGEST_LIFE
        return not conn.closed and young and conn.made_at >= self._distrusted_before


def _says_goodbye(conn: Link) -> bool:
    """Return whether an idle connection is readable: it was asked nothing, so there is only this to say."""
    readable = select.poll()
    readable.register(conn.fileno(), select.POLLIN)
    return bool(readable.poll(0))
