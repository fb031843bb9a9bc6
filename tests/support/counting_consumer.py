"""A consumer as a process of its own, which counts: one row for each effect, and a death where a test wants it."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import anyio
import psycopg

from outbox_notify.config.settings import Settings
from outbox_notify.consumer import consume
from outbox_notify.inbox import create_table_async, first_time_async
from outbox_notify.observability.logs import setup_logging

if TYPE_CHECKING:
    from outbox_notify.consumer import Message

COMMAND = (sys.executable, "-m", "tests.support.counting_consumer")
# No key: a repeat would be a second row.
_EFFECTS = """
    CREATE TABLE IF NOT EXISTS effects (place bigint GENERATED ALWAYS AS IDENTITY, event_id uuid, aggregate text, n int)
"""
_EFFECT = "INSERT INTO effects (event_id, aggregate, n) VALUES (%s, %s, %s)"


async def main() -> None:
    setup_logging(Settings(log_format="json"))
    url = os.environ["CONSUMER_DATABASE_URL"]
    die_in, die_after = (int(os.environ.get(name, "0")) for name in ("DIE_IN_HANDLER", "DIE_AFTER_COMMIT"))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await create_table_async(connection)
        await connection.execute(_EFFECTS)

    idle: list[psycopg.AsyncConnection] = []

    async def handle(message: Message) -> None:
        n = message.json()["n"]
        connection = idle.pop() if idle else await psycopg.AsyncConnection.connect(url, autocommit=True)
        async with connection.transaction():
            if await first_time_async(connection, "counting", message.event_id):
                await connection.execute(_EFFECT, [message.event_id, message.aggregate_id, n])
            _die_at(n, die_in)
        _die_at(n, die_after)
        idle.append(connection)

    await consume(
        os.environ["CONSUMER_NATS_URL"],
        "OUTBOX",
        "counting",
        handle,
        concurrency=int(os.environ.get("CONCURRENCY", "1")),
        ack_wait=float(os.environ.get("ACK_WAIT", "0.5")),
    )
    for connection in idle:
        await connection.close()


def _die_at(n: int, fatal: int) -> None:
    if n == fatal:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    anyio.run(main)
