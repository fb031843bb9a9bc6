"""The yardstick: a loop that does nothing but claim, publish and mark, and so can hardly be beaten.

It claims 500 at a time with `FOR UPDATE SKIP LOCKED`, publishes them with an ack inbox of its own and one header, and
marks them when all acks are there; three batches in flight. It keeps no order, knows no leases, repeats nothing that
fails, gives back nothing when it is stopped, and waits for no commit to be on disk.

Run as `python -m benchmarks.bare`, with the servers' addresses in the environment; ends when nothing is pending.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

import nats
import psycopg

from benchmarks.errors import BenchmarkError
from benchmarks.stream import PREFIX

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

_BATCH = 500
_IN_FLIGHT = 3
CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT id FROM bare_outbox WHERE status = 'pending' ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
    )
    UPDATE bare_outbox AS event
    SET status = 'in_progress'
    FROM due
    WHERE event.id = due.id
    RETURNING event.id, event.tenant_id || '.' || event.event_type, event.event_id::text, event.payload::text
"""
MARK = "UPDATE bare_outbox SET status = 'published', published_at = now() WHERE id = ANY(%s)"


class Acks:
    """Counts the acks of one batch at a time.

    Args:
        inbox: where they arrive.
    """

    def __init__(self, inbox: str) -> None:
        self.inbox = inbox
        self._missing = 0
        self._refusal: str | None = None
        self._all_there = asyncio.Event()

    def expect(self, number: int) -> None:
        """Begin to count for a batch."""
        self._missing = number
        self._all_there.clear()

    async def heard(self, msg: Msg) -> None:
        """Take one."""
        if b'"seq":' not in msg.data:
            self._refusal = msg.data.decode()
        self._missing -= 1
        if not self._missing:
            self._all_there.set()

    async def wait(self) -> None:
        """Return when all are there."""
        await self._all_there.wait()
        if self._refusal is not None:
            raise BenchmarkError(f"JetStream refused an event: {self._refusal}")


async def _carry_batches(conn: psycopg.AsyncConnection[Any], client: Client) -> None:
    """Take batch after batch, until there are no more."""
    acks = Acks(client.new_inbox())
    await client.subscribe(acks.inbox, cb=acks.heard)
    cursor = conn.cursor(binary=True)
    while True:
        await cursor.execute(CLAIM, (_BATCH,), prepare=True)
        rows = await cursor.fetchall()
        if not rows:
            await conn.close()
            return
        acks.expect(len(rows))
        for _, route, event_id, payload in rows:
            headers = {"Nats-Msg-Id": event_id}
            await client.publish(f"{PREFIX}.{route}", payload.encode(), acks.inbox, headers)
        await acks.wait()
        await cursor.execute(MARK, ([row[0] for row in rows],), prepare=True)


async def _main() -> None:
    url, nats_url = os.environ["OUTBOX_DATABASE_URL"], os.environ["OUTBOX_NATS_URL"]
    async with await nats.connect(nats_url) as client, asyncio.TaskGroup() as batches:
        connections = [
            await psycopg.AsyncConnection.connect(url, autocommit=True, options="-c synchronous_commit=off")
            for _ in range(_IN_FLIGHT)
        ]
        sys.stderr.write("ready\n")
        for conn in connections:
            batches.create_task(_carry_batches(conn, client))


if __name__ == "__main__":
    asyncio.run(_main())
