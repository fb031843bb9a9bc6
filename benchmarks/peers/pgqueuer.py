"""Drives pgqueuer: https://github.com/janbjorge/pgqueuer, whose documents are below docs/."""

from __future__ import annotations

import signal

import asyncpg
import nats
import uvloop
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries

from benchmarks.peers.task import SUBJECT, Task, obey

_ENTRYPOINT = "publish"
# Many at a time, as docs/guides/performance-tuning.md bids producers; the queue keeps the order of writing.
_CHUNK = 5000


async def _prepare(task: Task) -> None:
    connection = await asyncpg.connect(task.database_url)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    # "Run `pgq autovac` after installation" (docs/guides/performance-tuning.md, checklist). Its tables stay
    # durable, its default: the other two modes may lose jobs in a crash, which an outbox may not.
    await queries.optimize_autovacuum()
    rows = await connection.fetch("SELECT body FROM backlog ORDER BY n")
    bodies = [row["body"].encode() for row in rows]
    for start in range(0, len(bodies), _CHUNK):
        chunk = bodies[start : start + _CHUNK]
        await queries.enqueue([_ENTRYPOINT] * len(chunk), chunk, [0] * len(chunk))
    await connection.close()


async def _drain(task: Task) -> None:
    # "Always use a direct asyncpg connection for the QueueManager" (docs/guides/performance-tuning.md).
    queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect(task.database_url)))
    client = await nats.connect(task.nats_url)
    stream = client.jetstream()

    async def publish(job: Job) -> None:
        await stream.publish(SUBJECT, job.payload or b"", headers={"Nats-Msg-Id": str(job.id)})

    settings = dict(task.settings)
    limit = settings.pop("concurrency_limit", 0)
    queuer.entrypoint(_ENTRYPOINT, concurrency_limit=limit)(publish)
    signal.signal(signal.SIGTERM, lambda *_: queuer.shutdown.set())
    await queuer.run(**settings)


if __name__ == "__main__":
    # On uvloop, as its own command runs (pgqueuer/adapters/cli/cli.py).
    obey(lambda task: uvloop.run(_prepare(task)), lambda task: uvloop.run(_drain(task)))
