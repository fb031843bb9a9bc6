"""The finite demo: a number of events the whole way, and an account of every one of them."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import anyio

from outbox_notify.demo.account import Account, Ledger, Message, balance, never_committed
from outbox_notify.demo.database import DemoDatabase, connected
from outbox_notify.demo.reader import StreamReader
from outbox_notify.demo.stage import Stage
from outbox_notify.demo.warehouse import TENANTS
from outbox_notify.demo.watch import Watch
from outbox_notify.demo.writer import DemoWriter
from outbox_notify.embedded import EmbeddedServerError, log_tail

if TYPE_CHECKING:
    from collections.abc import Callable

_READY_TIMEOUT = 30.0
_STALLED_AFTER = 30.0
_SEED = 7


@dataclass(frozen=True)
class Verdict:
    """The account, and ids of events that were published although their transaction was rolled back."""

    account: Account
    never_committed: list[str]

    @property
    def good(self) -> bool:
        """Whether every event arrived once and in order, and none that never was."""
        return self.account.balanced and not self.never_committed


def run_counted(events: int, say: Callable[[str], None]) -> Verdict:
    """Write so many events on embedded servers, let a relay publish them, and account for each.

    Args:
        events: to be committed; transactions that roll back come on top.
        say: is told what happens, a line a time.

    Raises:
        EmbeddedServerError: a server or the relay did not start, or ended before its time.
    """
    ledger = Ledger()
    watch = Watch(ledger, recent=None)
    with Stage() as stage:
        say(f"writing {events} events, and some that are rolled back")
        anyio.run(_write_and_wait, stage, events, ledger, watch)
        stage.stop_relay()
        say("the relay has ended; reading the stream back from its first message")
        stream = anyio.run(_read_back, stage)
    return Verdict(balance(ledger, stream, watch.latencies), never_committed(ledger, stream))


async def wait_until_ready(stage: Stage, database: DemoDatabase, reader: StreamReader) -> None:
    """Return when the relay has its stream and sleeps, so that the next commit shows what it can do.

    Raises:
        EmbeddedServerError: that took too long, or something ended.
    """
    deadline = time.monotonic() + _READY_TIMEOUT
    while not (await reader.stream_exists() and await database.armed()):
        stage.check()
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"the relay does not get ready: {log_tail(stage.relay_log)}")
        await anyio.sleep(0.01)


async def _write_and_wait(stage: Stage, events: int, ledger: Ledger, watch: Watch) -> None:
    url = stage.servers.postgres.url
    async with AsyncExitStack() as opened:
        reader = await opened.enter_async_context(StreamReader.connected(stage.servers.nats.url))
        database = DemoDatabase(await opened.enter_async_context(connected(url)))
        connections = [await opened.enter_async_context(connected(url)) for _ in TENANTS]
        await wait_until_ready(stage, database, reader)
        await reader.follow(watch.receive)
        async with anyio.create_task_group() as writing:
            for number, (tenant_id, connection) in enumerate(zip(TENANTS, connections, strict=True)):
                writer = DemoWriter(connection, ledger, tenant_id, Random(_SEED + number))  # noqa: S311  # no secret
                writing.start_soon(writer.write, _share(events, number))
        await _wait_for_arrivals(stage, watch)


async def _wait_for_arrivals(stage: Stage, watch: Watch) -> None:
    """Return when nothing is missing, or when nothing has arrived for a while: the account will tell."""
    arrivals, since = watch.messages, time.monotonic()
    while watch.missing and time.monotonic() - since < _STALLED_AFTER:
        stage.check()
        await anyio.sleep(0.01)
        if watch.messages > arrivals:
            arrivals, since = watch.messages, time.monotonic()


async def _read_back(stage: Stage) -> list[Message]:
    async with StreamReader.connected(stage.servers.nats.url) as reader:
        return await reader.read_all()


def _share(events: int, number: int) -> int:
    """Return how many of the events one of the writers writes."""
    return (events + number) // len(TENANTS)
