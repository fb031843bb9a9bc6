"""Drives faststream-outbox: https://github.com/modern-python/faststream-outbox, whose documents are below docs/."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import asyncpg
from faststream import FastStream
from faststream.nats import JStream, NatsBroker
from faststream_outbox import OutboxBroker, make_outbox_table, outbox_autovacuum_ddl
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.peers.task import STREAM, SUBJECT, Task, obey

_QUEUE = "relay"
_METADATA = MetaData()
_TABLE = make_outbox_table(_METADATA, table_name="outbox")
_FILL = """
INSERT INTO outbox (queue, payload, headers)
SELECT $1::text, convert_to(body, 'UTF8'),
       jsonb_build_object('content-type', 'application/json', 'correlation_id', gen_random_uuid())
FROM backlog ORDER BY n
"""


def _engine(task: Task, connections: int = 5) -> AsyncEngine:
    # README.md, "Optional extras": with asyncpg, which it needs for LISTEN.
    url = task.database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    return create_async_engine(url, pool_size=connections)


async def _prepare(task: Task) -> None:
    engine = _engine(task)
    async with engine.begin() as connection:
        await connection.run_sync(_METADATA.create_all)
        # docs/concepts/performance.md: "Autovacuum tuning (recommended)", once, in a migration.
        await connection.exec_driver_sql(outbox_autovacuum_ddl("outbox"))
    await engine.dispose()
    filling = await asyncpg.connect(task.database_url)
    await filling.execute(_FILL, _QUEUE)
    await filling.close()


async def _drain(task: Task) -> None:
    # docs/usage/subscriber.md, "Connection budget": one per worker and one that fetches; some to spare.
    engine = _engine(task, task.settings["max_workers"] + 4)
    # It logs two lines for each message at INFO, which its users would not pay for.
    outbox = OutboxBroker(engine, outbox_table=_TABLE, log_level=logging.DEBUG)
    broker = NatsBroker(task.nats_url, logger=None)

    async def relay(body: dict[str, Any]) -> dict[str, Any]:
        return body

    # docs/usage/relay.md: a publisher of the other broker, stacked on a subscriber. `stream` makes it
    # JetStream, whose answer is waited for; not declared again, or FastStream would change it.
    publish = broker.publisher(SUBJECT, stream=JStream(STREAM, declare=False))
    publish(outbox.subscriber(_QUEUE, **task.settings)(relay))
    await FastStream(outbox, on_startup=[broker.start]).run()


if __name__ == "__main__":
    obey(lambda task: asyncio.run(_prepare(task)), lambda task: asyncio.run(_drain(task)))
