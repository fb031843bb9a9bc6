"""Drives txoutbox: https://github.com/OsmnvAslan/txoutbox (README.md is its whole documentation)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import nats
from txoutbox import OutboxMessage, Relay, RelayConfig
from txoutbox.adapters.postgres import PostgresStorage

from benchmarks.peers.task import SUBJECT, Task, obey

_FILL = """
INSERT INTO outbox (topic, key, payload)
SELECT $1::text, aggregate, convert_to(body, 'UTF8') FROM backlog ORDER BY n
"""


async def _prepare(task: Task) -> None:
    storage = await PostgresStorage.connect(task.database_url)
    await storage.create_schema()
    await storage.pool.execute(_FILL, SUBJECT)
    await storage.close()


async def _drain(task: Task) -> None:
    # "Quick start (Postgres)": a pool, the storage with its strict ordering, and a publisher of one function.
    pool = await asyncpg.create_pool(task.database_url)
    client = await nats.connect(task.nats_url)
    stream = client.jetstream()

    async def publish(message: OutboxMessage) -> None:
        # "A message's id is a natural deduplication key" (Delivery semantics).
        await stream.publish(message.topic, message.payload, headers={"Nats-Msg-Id": str(message.id)})

    settings = dict(task.settings)
    lease = timedelta(seconds=settings.pop("lease"))
    await Relay(PostgresStorage(pool), publish, config=RelayConfig(lease=lease, **settings)).run(
        handle_signals=True
    )


if __name__ == "__main__":
    obey(lambda task: asyncio.run(_prepare(task)), lambda task: asyncio.run(_drain(task)))
