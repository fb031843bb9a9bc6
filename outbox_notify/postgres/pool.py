"""Statements of a relay: run on one of its connections, and again when that may help."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.postgres.connections import Connections
from outbox_notify.postgres.database import KEEPALIVES, connection_parameters, translated
from outbox_notify.postgres.relay_names import relay_name
from outbox_notify.postgres.silence import ending_with_silence
from outbox_notify.postgres.transaction import run_whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from outbox_notify.config.settings import Settings
    from outbox_notify.postgres.transaction import Link, Step

# Half a lease, so that what was claimed can still be settled on another connection; not so short that a machine
# which is out of breath loses connections. Timeouts of the server end what runs long before that: sql/*_begin.sql.
_SHARE_OF_LEASE, _SHORTEST_SILENCE, _LONGEST_SILENCE = 0.5, 5.0, 35.0
# Serialization failure, deadlock, lock not available, query canceled: the statement may simply be run again.
_RUN_AGAIN = {"40001", "40P01", "55P03", "57014"}
# Invalid or duplicate name of a prepared statement: a pooler between us and PostgreSQL that we were not told of.
_POOLER = {"26000", "42P05"}
# The result of a prepared statement is not what it was: the table has been migrated meanwhile.
_MIGRATED = {"0A000"}
# This server takes no writes any more: another one does, and the address may lead there.
_READ_ONLY = {"25006"}
_TRIES = 3
_VANISHED_HOST = {**KEEPALIVES, "tcp_user_timeout": 15_000}


class Pool:
    """Runs statements on a few connections.

    Args:
        settings: the database, whether there is a pooler before it, and the length of a lease.
    """

    def __init__(self, settings: Settings) -> None:
        self._schema = settings.schema
        # A pooler in between cannot be trusted with prepared statements.
        self._prepares = settings.listen_database_url is None
        self._longest_silence = min(
            _LONGEST_SILENCE, max(_SHORTEST_SILENCE, settings.lease * _SHARE_OF_LEASE)
        )
        ours = {
            "application_name": relay_name(settings, "work"),
            "prepare_threshold": 5 if self._prepares else None,
        }
        self._connections = Connections({**_VANISHED_HOST, **connection_parameters(settings), **ours})

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold the connections open; nothing is reached for until it is needed."""
        try:
            yield
        finally:
            await self._connections.close()

    async def transaction(self, *steps: Step, on_try: Callable[[], object] = lambda: None) -> list[list[Any]]:
        """Run statements of `sql/` as one transaction in one message; return the rows of each.

        Args:
            steps: file name and parameters of each statement.
            on_try: called before each time that the message is sent.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses; nothing was written.
        """

        async def statements(conn: Link) -> list[list[Any]]:
            on_try()
            return await run_whole(conn, self._schema, list(steps), prepare=self._prepares)

        rows: list[list[Any]] = await self.run(statements)
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
                except psycopg.Error as error:
                    if not self._may_help(error.sqlstate) or tries == _TRIES:
                        raise

    def _may_help(self, sqlstate: str | None) -> bool:
        """Draw conclusions about the connections from an error; return whether running the same again may help."""
        if sqlstate in _POOLER:
            self._prepares = False
            self._connections.parameters["prepare_threshold"] = None
        if sqlstate in _POOLER | _MIGRATED | _READ_ONLY:
            self._connections.distrust()
        return sqlstate in _RUN_AGAIN | _POOLER | _MIGRATED

    async def _run_once(self, statements: Callable[[Link], Awaitable[Any]]) -> Any:
        async with self._connections.one() as conn:
            with ending_with_silence(conn, self._longest_silence) as silence:
                result = await statements(conn)
            if silence.cancelled_caught:
                # The others lead to the same place: each would cost as long again.
                self._connections.distrust()
                raise DatabaseUnreachable(f"PostgreSQL: no answer within {self._longest_silence:g} s")
            return result
