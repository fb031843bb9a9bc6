"""The wake lock: held, or asked for, while the relay sleeps. On a connection of its own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
from psycopg import sql

from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.postgres.wake_connection import ANSWER_TIMEOUT, HEARTBEAT, ask
from outbox_notify.relay.wakeup import Arm

if TYPE_CHECKING:
    from collections.abc import Callable

_RELEASE_TIMEOUT = 2.0
_CANCEL_AGAIN_AFTER = 0.1
# lock_timeout of the connection, and the time of an answer.
_LONGEST_WAIT = 5.0 + ANSWER_TIMEOUT
_LOCK_NOT_AVAILABLE, _QUERY_CANCELED = "55P03", "57014"


class WakeLock:
    """Asks for the lock when it is wanted, and lets go of it when it is not.

    One task runs it and alone uses the connection; the others only say what they want.

    Args:
        schema: of the outbox.
        keep: hold it for ever once granted, for OUTBOX_WAKE=always.
        on_change: called when the lock was granted, lost, or found taken.
    """

    def __init__(self, schema: str, *, keep: bool, on_change: Callable[[Arm], None]) -> None:
        self._schema = schema
        self._keep = keep
        self._on_change = on_change
        self._wanted = keep
        self._changed = anyio.Event()
        self._free = anyio.Event()
        self._conn: psycopg.AsyncConnection[Any] | None = None
        self.arm = Arm.OFF

    def want(self) -> None:
        """Ask for the lock: the relay is about to sleep."""
        if not self._wanted:
            self._wanted = True
            self._changed.set()

    async def release(self) -> None:
        """Let go of the lock, or withdraw the request: the relay has work. Returns when writers are free of it."""
        if self._keep or not self._wanted:
            return
        self._wanted = False
        if self.arm in (Arm.OFF, Arm.SPARE) or self._conn is None:
            return
        self._free = anyio.Event()
        self._changed.set()
        with anyio.move_on_after(_RELEASE_TIMEOUT):
            while not self._free.is_set():
                await self._cancel_wait(self._conn)
                with anyio.move_on_after(_CANCEL_AGAIN_AFTER):
                    await self._free.wait()

    def try_again(self) -> None:
        """Ask once more now, rather than at the next heartbeat: the lock may have become free."""
        self._changed.set()

    async def run(self, conn: psycopg.AsyncConnection[Any], keys: dict[str, int]) -> None:
        """Serve requests on a connection until it breaks.

        Args:
            conn: direct, in autocommit mode, with the settings of `wake_connection`.
            keys: `k1` and `k2` of the lock.

        Raises:
            OutboxError: the connection is lost, and the lock with it.
        """
        self._conn = conn
        try:
            with translated("PostgreSQL (wake lock)"):
                while True:
                    await self._step(conn, keys)
        finally:
            self._conn = None
            self._become(Arm.OFF)
            self._free.set()

    async def _step(self, conn: psycopg.AsyncConnection[Any], keys: dict[str, int]) -> None:
        self._changed = anyio.Event()
        if self._wanted and self.arm is not Arm.HELD:
            if await self._ask(conn, keys):
                self._become(Arm.HELD)
            if self.arm is not Arm.SPARE:
                return
        elif not self._wanted and self.arm is not Arm.OFF:
            await self._persist(conn, self._query("wake_release"))
            self._become(Arm.OFF)
            self._free.set()
            return
        if not await self._idle(conn) and self.arm is not Arm.SPARE:
            await self._persist(conn, sql.SQL("SELECT 1"))

    async def _cancel_wait(self, conn: psycopg.AsyncConnection[Any]) -> None:
        """End a wait for the lock. A cancellation that reaches the server before the wait does is lost there."""
        if self.arm is Arm.ASKED:
            # When the connection is breaking, the lock is free without us.
            with contextlib.suppress(psycopg.Error, OSError):
                await conn.cancel_safe(timeout=_RELEASE_TIMEOUT)

    async def _ask(self, conn: psycopg.AsyncConnection[Any], keys: dict[str, int]) -> bool:
        cursor = await self._persist(conn, self._query("wake_try"), keys)
        granted, taken = await cursor.fetchone() or (False, False)
        if taken:
            self._become(Arm.SPARE)
        if granted or taken or not self._wanted:
            return bool(granted)
        self._become(Arm.ASKED)
        try:
            await ask(conn, self._query("wake_wait"), keys, within=_LONGEST_WAIT)
        except psycopg.Error as error:
            if error.sqlstate not in (_LOCK_NOT_AVAILABLE, _QUERY_CANCELED):
                raise
            return False
        return True

    async def _idle(self, conn: psycopg.AsyncConnection[Any]) -> bool:
        """Wait for a change of mind, or something unasked on the socket; return whether it was the first."""
        with anyio.move_on_after(HEARTBEAT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_when_readable, conn.fileno(), tasks.cancel_scope)
                await self._changed.wait()
                tasks.cancel_scope.cancel()
        return self._changed.is_set()

    async def _persist(
        self,
        conn: psycopg.AsyncConnection[Any],
        statement: sql.SQL,
        parameters: dict[str, int] | None = None,
    ) -> psycopg.AsyncCursor[Any]:
        """Run a statement, again when a cancellation that was meant for the wait before it comes late."""
        try:
            return await ask(conn, statement, parameters)
        except psycopg.errors.QueryCanceled:
            return await ask(conn, statement, parameters)

    def _become(self, arm: Arm) -> None:
        if arm is not self.arm:
            self.arm = arm
            self._on_change(arm)

    def _query(self, name: str) -> sql.SQL:
        return query(name, self._schema)


async def _cancel_when_readable(socket: int, scope: anyio.CancelScope) -> None:
    """End the idle wait early: an idle connection becomes readable when it breaks."""
    await anyio.wait_readable(socket)
    scope.cancel()
