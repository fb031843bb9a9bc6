"""Falling asleep and being woken: one listener on a real table, its sleep so long that only a wake can end it."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.postgres import listener as module
from outbox_notify.postgres.listener import Listener
from outbox_notify.postgres.wake_connection import ask
from outbox_notify.relay.wakeup import LIGHT_BATCH, Arm
from tests.support.events import put
from tests.support.fakes import Notes, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio

NIGHT = 12.0
SOON = 5.0


@asynccontextmanager
async def listening(database: str, notes: Notes | None = None) -> AsyncIterator[Listener]:
    """Run a listener that hears."""
    listener = Listener(Settings(database_url=database), Random(1), notes or Notes())  # noqa: S311  # pauses, no secrets
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.run)
        await until(lambda: listener.listening)
        yield listener
        tasks.cancel_scope.cancel()


async def fall_asleep(listener: Listener) -> None:
    """Rest as a relay does that finds nothing, until writers notify."""
    while listener._lock.arm is not Arm.HELD:
        await listener.rest(0.01)
    # The grant was a wake.
    await listener.rest(0)


async def sleep_while(listener: Listener, happens: Callable[[], object]) -> float:
    """Sleep for the night, let something happen meanwhile, and return how long that sleep lasted."""
    began = time.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.rest, NIGHT)
        await anyio.sleep(0.1)
        happens()
    return time.monotonic() - began


@asynccontextmanager
async def waiting_for_the_lock(listener: Listener, database: str) -> AsyncIterator[psycopg.Connection]:
    """Hold the lock up with a writer that has skipped its NOTIFY; the listener will not look by itself meanwhile."""
    with psycopg.connect(database) as writer:
        put(writer)
        await listener.rest(0)
        await until(lambda: listener._lock.arm is Arm.ASKED)
        # What the beginning has stirred up.
        await listener.rest(0)
        listener._wakeup._look = NIGHT
        yield writer


async def test_insert_wakes_a_listener_that_sleeps(database: str, conn: psycopg.Connection) -> None:
    async with listening(database) as listener:
        await fall_asleep(listener)
        assert await sleep_while(listener, lambda: put(conn)) < SOON


async def test_end_of_a_sleep_tells_what_ended_it(database: str, conn: psycopg.Connection) -> None:
    notes = Notes()
    async with listening(database, notes) as listener:
        await fall_asleep(listener)
        await sleep_while(listener, lambda: put(conn))
        await sleep_while(listener, listener.stir)
        await listener.rest(0)
    assert [facts["by"] for facts in notes.of("relay.woken")][-3:] == ["notify", "work", "clock"]


async def test_wake_that_comes_before_the_sleep_counts(database: str, conn: psycopg.Connection) -> None:
    async with listening(database) as listener:
        await fall_asleep(listener)
        put(conn)
        await until(listener._stirred.is_set)
        with anyio.fail_after(SOON):
            await listener.rest(NIGHT)


async def test_lock_that_is_granted_is_a_reason_to_look_once_more(database: str) -> None:
    async with listening(database) as listener, waiting_for_the_lock(listener, database) as writer:
        assert await sleep_while(listener, writer.commit) < SOON
        assert listener._lock.arm is Arm.HELD


async def test_notification_wakes_also_while_the_lock_is_waited_for(
    database: str, conn: psycopg.Connection
) -> None:
    async with listening(database) as listener, waiting_for_the_lock(listener, database):
        assert await sleep_while(listener, lambda: put(conn)) < SOON
        assert listener._lock.arm is Arm.ASKED


async def test_writers_do_not_notify_a_listener_with_much_to_do(
    database: str, conn: psycopg.Connection
) -> None:
    async with listening(database) as listener:
        await fall_asleep(listener)
        await listener.looked(LIGHT_BATCH)
        assert not _free(conn)
        await listener.looked(LIGHT_BATCH + 1)
        assert _free(conn)


async def test_whole_look_asked_for_while_nobody_listens_is_taken_when_somebody_does(
    database: str, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener(Settings(database_url=database), Random(1), Notes())  # noqa: S311  # pauses, no secrets
    asked = []

    async def ask_late(link: psycopg.AsyncConnection[Any], statement: Any, *rest: Any, **more: Any) -> Any:
        """Let the relay take its look, and an operator requeue something, just before LISTEN."""
        if statement.as_string(None).startswith("LISTEN"):
            listener.scan_wanted()
            asked.append(conn.execute("SELECT pg_notify(channel, 'scan') FROM event_outbox_wake()"))
        return await ask(link, statement, *rest, **more)

    monkeypatch.setattr(module, "ask", ask_late)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.run)
        await until(lambda: listener.listening)
        with anyio.fail_after(SOON):
            await listener.rest(NIGHT)
        assert asked
        assert listener.scan_wanted()
        tasks.cancel_scope.cancel()


def _free(conn: psycopg.Connection) -> bool:
    """Return whether a writer would skip its NOTIFY now."""
    row = conn.execute("SELECT pg_try_advisory_xact_lock_shared(lock_k1, lock_k2) FROM event_outbox_wake()")
    return row.fetchone() == (True,)
