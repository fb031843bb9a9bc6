"""Looks at the outbox beside the relay: on a connection and a thread of its own, one look at a time.

A thread, because a look may wait for a server that says nothing, and must hold up neither the event loop nor the end
of the process: so it is a daemon, and who waits for it may leave.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import psycopg
from psycopg.rows import dict_row

from outbox_notify.errors import DatabaseUnreachable, OutboxError, Unreachable
from outbox_notify.observability.look import Look
from outbox_notify.operations.overall import read_overall
from outbox_notify.postgres.database import connect, translated
from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.config.settings import Settings
    from outbox_notify.relay.ports import Report

T = TypeVar("T")

_INTERVAL, _INTERVAL_OF_OUTAGE = 15.0, 2.0
# A look is repeated after so many times what it took: however many events wait, looking is a small share of the work.
# One that took too long counts less the next time, which may come sooner.
_REST, _REST_IN_VAIN = 50, 10
# A look that took less may count more the next time.
_QUICK = 0.1
_MOST, _LEAST = 1_000_000, 10_000
_TIMEOUT = 3.0
_PATIENCE = 5.0


class Lookout:
    """Looks for metrics and readiness by itself, and for status when asked.

    Args:
        settings: the database and its schema.
        report: takes notes.
    """

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._conn: psycopg.Connection | None = None
        self._turn = anyio.Lock()
        self._last: _Errand[Any] | None = None
        self._most = _MOST
        self._status: dict[str, Any] = {}
        self._status_until = 0.0

    async def run(self) -> None:
        """Look at an interval, until cancelled."""
        try:
            while True:
                rest = await self._look_once()
                await anyio.sleep(rest)
        finally:
            self.close()

    async def _look_once(self) -> float:
        """Look, and return for how long to rest."""
        began, error = time.monotonic(), None
        try:
            look = await self._in_turn(self._look)
        except OutboxError as raised:
            error = raised
        took = time.monotonic() - began
        self._report("database.asked", operation="look", seconds=took, error=error)
        if error is None:
            self._report("database.looked", look=look)
            return max(_INTERVAL, took * _REST)
        return _INTERVAL_OF_OUTAGE if isinstance(error, Unreachable) else max(_INTERVAL, took * _REST_IN_VAIN)

    async def status(self) -> dict[str, Any]:
        """Return the document of `status --json`; one that was read a moment ago will do.

        Raises:
            OutboxError: PostgreSQL cannot be reached, refuses, or takes too long.
        """
        if time.monotonic() >= self._status_until:
            began = time.monotonic()
            self._status = await self._in_turn(self._read_status)
            ended = time.monotonic()
            self._status_until = ended + max(1.0, (ended - began) * _REST)
        return self._status

    def close(self) -> None:
        """End the connection, and whoever waits on it."""
        if self._last is not None and not self._last.done.is_set():
            self._cut()
        elif self._conn is not None:
            self._conn.close()

    async def _in_turn(self, work: Callable[[psycopg.Connection], T]) -> T:
        """Let a thread work on the connection when no other does; wait for all of it together not for long."""
        with anyio.move_on_after(_PATIENCE):
            async with self._turn:
                if self._last is not None:
                    await self._last.done.wait()
                errand = self._last = _Errand(lambda: self._connected(work))
                await errand.done.wait()
                found: T = errand.result()
                return found
        self._cut()
        raise DatabaseUnreachable(f"PostgreSQL: no answer within {_PATIENCE:g} s")

    def _cut(self) -> None:
        """End a connection under the thread that waits on it: a server that hangs would keep it for ever."""
        if self._conn is None:
            return
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._conn.fileno())) as link:
            link.shutdown(socket.SHUT_RDWR)

    def _connected(self, work: Callable[[psycopg.Connection], T]) -> T:
        was_open = self._conn is not None and not self._conn.closed
        try:
            return self._work(work)
        except DatabaseUnreachable:
            # The server may have ended it since the last look: that says nothing of how the server is now.
            if not was_open:
                raise
        return self._work(work)

    def _work(self, work: Callable[[psycopg.Connection], T]) -> T:
        if self._conn is None or self._conn.closed:
            self._conn = connect(self._settings, "watch")
            # The way may lead through a pooler, which keeps nothing for us.
            self._conn.prepare_threshold = None
        try:
            return work(self._conn)
        except BaseException:
            self._conn.close()
            raise

    def _look(self, conn: psycopg.Connection) -> Look:
        schema, most, began = self._settings.schema, self._most, time.monotonic()
        with translated(), conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
            before = time.time()
            [now] = cursor.execute(query("look_begin", schema), {"timeout": f"{_TIMEOUT:g}s"}).fetchall()
            ahead = now["clock"] - (before + time.time()) / 2
            try:
                [found] = cursor.execute(query("look", schema), {"most": most}).fetchall()
            except psycopg.errors.QueryCanceled:
                self._most = max(_LEAST, most // 10)
                raise
        if time.monotonic() - began < _QUICK:
            self._most = min(_MOST, most * 2)
        return Look(**found, counted_to=most, clock_ahead=ahead)

    def _read_status(self, conn: psycopg.Connection) -> dict[str, Any]:
        return read_overall(conn, self._settings, timeout=_TIMEOUT).document()


class _Errand(Generic[T]):
    """Something that a thread does; nobody has to wait for it.

    Args:
        work: what it does.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self.done = anyio.Event()
        self._work = work
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="lookout", daemon=True).start()

    def result(self) -> T:
        """Return what was found, or raise what went wrong, once it is done."""
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:  # noqa: BLE001  # raised again where its result is asked for
            self._error = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self.done.set)
