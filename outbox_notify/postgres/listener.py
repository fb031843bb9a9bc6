"""What wakes the relay: LISTEN on one connection, the wake lock on another, and a clock behind both."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
from psycopg import sql

from outbox_notify.errors import DatabaseUnreachable, OutboxError
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.postgres.wake_connection import ANSWER_TIMEOUT, HEARTBEAT, ask, wake_connection
from outbox_notify.postgres.wake_lock import WakeLock
from outbox_notify.relay.retry import Backoff
from outbox_notify.relay.wakeup import Arm, Wakeup

if TYPE_CHECKING:
    from random import Random

    from outbox_notify.config.settings import Settings
    from outbox_notify.relay.ports import Report

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0
_SPARE_DELAY = 0.02
_PROBE = "probe "
SCAN = "scan"


class Listener:
    """Puts the relay to sleep and wakes it.

    Args:
        settings: direct database URL, schema, mode of the wake.
        random: spreads the looks of relays that do not hold the lock.
        report: takes notes for logs and metrics.
    """

    def __init__(self, settings: Settings, random: Random, report: Report) -> None:
        self._settings = settings
        self._schema = settings.schema
        self._random = random
        self._report = report
        self._wakeup = Wakeup(listens=settings.wake != "poll")
        self._lock = WakeLock(self._schema, keep=settings.wake == "always", on_change=self._on_lock)
        self._stirred = anyio.Event()
        self._stirred_by = "clock"
        self._probes: dict[str, anyio.Event] = {}
        self._scan_wanted = False
        self._server = ""
        self._elsewhere = anyio.Event()
        self.listening = False

    async def run(self) -> None:
        """Keep both connections until cancelled; return at once when the mode is `poll`."""
        if self._settings.wake == "poll":
            return
        backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        while True:
            try:
                async with (
                    wake_connection(self._settings, "listen") as listen,
                    wake_connection(self._settings, "lock") as lock,
                ):
                    await self._serve(listen, lock)
            except* (OutboxError, psycopg.Error, OSError) as errors:
                if self.listening:
                    backoff.reset()
                self._lost(_first(errors))
            await anyio.sleep(backoff.next())

    async def rest(self, wanted: float) -> None:
        """Sleep until there may be work, at most `wanted` seconds; a wake that came before counts."""
        if self.listening and not self._wakeup.heavy:
            self._lock.want()
        with anyio.move_on_after(self._wakeup.rest(wanted, self._lock.arm, listening=self.listening)):
            if self._wakeup.heavy:
                # The next look is near: what is settled meanwhile need not bring it on, so claims stay few and large.
                await anyio.sleep_forever()
            await self._stirred.wait()
            if self._lock.arm is Arm.SPARE:
                # Who holds the lock looks at once, and mostly leaves nothing; a frozen one leaves everything.
                await anyio.sleep(self._random.uniform(0, _SPARE_DELAY))
        self._report("relay.woken", by=self._stirred_by)
        self._stirred, self._stirred_by = anyio.Event(), "clock"

    async def looked(self, claimed: int) -> None:
        """Take in how many events a claim found: unless traffic is light, let go of the lock before publishing."""
        if self._wakeup.looked(claimed):
            await self._lock.release()

    async def let_go(self) -> None:
        """Let go of the lock: while the relay waits for NATS, or leaves, writers need not notify it."""
        await self._lock.release()

    def stir(self) -> None:
        """Wake the relay; when it is not asleep, it will not sleep next time."""
        self._stir("work")

    def follow(self, server: str) -> None:
        """Listen to this server: where writers are, when the one that is listened to lives on."""
        if self.listening and server != self._server:
            self._elsewhere.set()

    def scan_wanted(self) -> bool:
        """Return, once, whether somebody asked for a look at the whole table."""
        wanted, self._scan_wanted = self._scan_wanted, False
        return wanted

    async def _serve(self, listen: psycopg.AsyncConnection[Any], lock: psycopg.AsyncConnection[Any]) -> None:
        with translated("PostgreSQL (listen)"):
            cursor = await ask(lock, query("wake_keys", self._schema))
            channel, k1, k2 = await cursor.fetchone() or ("", 0, 0)
            await ask(listen, sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            await self._check(listen, channel)
        self._elsewhere = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hear, listen, channel)
            tasks.start_soon(self._leave_when_elsewhere)
            await self._prove(lock, channel)
            self.listening = True
            self._report("wake.ready", channel=channel)
            # LISTEN first, then look: what was committed in between is found by one of the two.
            self._scan_wanted = True
            self.stir()
            await self._lock.run(lock, {"k1": k1, "k2": k2})

    async def _hear(self, conn: psycopg.AsyncConnection[Any], channel: str) -> None:
        with translated("PostgreSQL (listen)"):
            while True:
                async for notify in conn.notifies(timeout=HEARTBEAT):
                    self._on_notify(notify.payload)
                await self._check(conn, channel)

    async def _check(self, conn: psycopg.AsyncConnection[Any], channel: str) -> None:
        """Ask the connection whether it still listens, and where writers are: a dead link may say nothing for minutes.

        A server that was a primary and lives on would keep the relay asleep: whoever writes does so elsewhere.
        """
        cursor = await ask(conn, query("wake_check", self._schema))
        channels, read_only, self._server = await cursor.fetchone() or ([], False, "")
        if read_only:
            raise DatabaseUnreachable("PostgreSQL (listen): this server has become read-only")
        if channel not in channels:
            raise DatabaseUnreachable("PostgreSQL (listen): the connection does not listen any more")

    async def _leave_when_elsewhere(self) -> None:
        await self._elsewhere.wait()
        raise DatabaseUnreachable("PostgreSQL (listen): another server takes the writes now")

    async def _prove(self, conn: psycopg.AsyncConnection[Any], channel: str) -> None:
        """Send ourselves a NOTIFY and wait for it.

        Raises:
            DatabaseUnreachable: it did not arrive.
        """
        probe = f"{_PROBE}{secrets.token_hex(8)}"
        heard = self._probes[probe] = anyio.Event()
        try:
            with translated("PostgreSQL (wake lock)"):
                await ask(conn, query("wake_probe", self._schema), {"channel": channel, "payload": probe})
            with anyio.move_on_after(ANSWER_TIMEOUT):
                await heard.wait()
        finally:
            del self._probes[probe]
        if not heard.is_set():
            raise DatabaseUnreachable(
                "LISTEN hears nothing through this connection: is a pooler in between?"
                " set OUTBOX_LISTEN_DATABASE_URL to a direct one"
            )

    def _on_notify(self, payload: str) -> None:
        if payload.startswith(_PROBE):
            if payload in self._probes:
                self._probes[payload].set()
            return
        if payload == SCAN:
            # Sent by a relay that leaves: what it gave back is due, and the lock may be free.
            self._scan_wanted = True
            self._lock.try_again()
        self._stir("notify")

    def _on_lock(self, arm: Arm) -> None:
        # Granted: one last look before sleep, for what was committed without a NOTIFY.
        if arm is Arm.HELD:
            self.stir()

    def _stir(self, by: str) -> None:
        if not self._stirred.is_set():
            self._stirred_by = by
        self._stirred.set()

    def _lost(self, reason: BaseException) -> None:
        self._report("wake.lost", reason=str(reason))
        self.listening = False
        self.stir()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
