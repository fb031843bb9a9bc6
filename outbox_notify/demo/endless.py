"""The endless demo: what `make run` shows until Ctrl-C."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING

import anyio

from outbox_notify.demo.account import Ledger, Message, percentile_ms
from outbox_notify.demo.counted import wait_until_ready
from outbox_notify.demo.database import DemoDatabase, connected
from outbox_notify.demo.reader import StreamReader
from outbox_notify.demo.screen import Screen, live_line
from outbox_notify.demo.stage import STREAM, SUBJECTS, Stage
from outbox_notify.demo.warehouse import TENANTS
from outbox_notify.demo.watch import Watch
from outbox_notify.demo.writer import DemoWriter

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE = 0.5  # seconds between the transactions of one tenant
_LAST_EVENTS_TIMEOUT = 5.0

_HINT = """
Insert an event of your own, from a second terminal:

  {psql} <<'SQL'
  INSERT INTO event_outbox (tenant_id, event_type, payload)
  VALUES ('north', 'inventory.receipt.validated', '{{"document": "by hand"}}');
  SQL

Ctrl-C drains and stops everything.
"""


async def run_endless(stage: Stage, screen: Screen, psql: str) -> None:
    """Write events and show how they travel, until the first SIGINT or SIGTERM; the second does not drain.

    Args:
        stage: started.
        screen: where to show it.
        psql: the command that opens psql on the stage's database.

    Raises:
        EmbeddedServerError: a server or the relay ended by itself.
    """
    ledger = Ledger()
    watch = Watch(ledger, on_stranger=lambda message: screen.say(_arrival(message)))
    url = stage.servers.postgres.url
    async with AsyncExitStack() as opened:
        reader = await opened.enter_async_context(StreamReader.connected(stage.servers.nats.url))
        database = DemoDatabase(await opened.enter_async_context(connected(url)))
        writers = [
            DemoWriter(await opened.enter_async_context(connected(url)), ledger, tenant_id, Random())  # noqa: S311  # no secret
            for tenant_id in TENANTS
        ]
        await wait_until_ready(stage, database, reader)
        await reader.follow(watch.receive)
        screen.say(_addresses(stage, database) + _HINT.format(psql=psql))
        await _show_until_stopped(stage, screen, writers, watch, database)


async def _show_until_stopped(
    stage: Stage, screen: Screen, writers: list[DemoWriter], watch: Watch, database: DemoDatabase
) -> None:
    stopping = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_obey_signals, stage, screen, stopping)
        tasks.start_soon(_paint, stage, screen, watch, database, stopping.is_set)
        async with anyio.create_task_group() as writing:
            for writer in writers:
                writing.start_soon(writer.keep_writing, _PAUSE, stopping.is_set)
        await _drain(stage, watch)
        screen.end()
        screen.say(f"drained: {watch.messages:,} events published, {watch.missing} left")
        tasks.cancel_scope.cancel()


async def _drain(stage: Stage, watch: Watch) -> None:
    """Give the last events time to go, then let the relay settle and end."""
    with anyio.move_on_after(_LAST_EVENTS_TIMEOUT):
        # What we wait for happens in another process, which sets no event of ours.
        while watch.missing and stage.relay_running:  # noqa: ASYNC110  # see above
            await anyio.sleep(0.01)
    await anyio.to_thread.run_sync(stage.stop_relay)


async def _obey_signals(stage: Stage, screen: Screen, stopping: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if stopping.is_set():
                stage.kill_relay()
            else:
                screen.say("draining; once more to stop at once")
            stopping.set()


async def _paint(
    stage: Stage, screen: Screen, watch: Watch, database: DemoDatabase, stopping: Callable[[], bool]
) -> None:
    """Paint the live line again and again, and notice when something has ended that should not have."""
    while True:
        if not stopping():
            stage.check()
        recent = list(watch.latencies)
        p50, p99 = percentile_ms(recent, 0.50), percentile_ms(recent, 0.99)
        screen.show(live_line(watch, await database.backlog(), p50, p99))
        await anyio.sleep(screen.pause)


def _addresses(stage: Stage, database: DemoDatabase) -> str:
    postgres, nats = stage.servers.postgres, stage.servers.nats
    return (
        f"PostgreSQL {database.version}  127.0.0.1:{postgres.port}, database postgres, table event_outbox\n"
        f"NATS {nats.version}  {nats.url}, stream {STREAM}, subjects {SUBJECTS}\n"
        f"relay  its log is {stage.relay_log}\n"
    )


def _arrival(message: Message) -> str:
    return f"arrived: {message.subject} {message.body.decode(errors='replace')}"
