"""The yardstick for latency: a loop that listens, and publishes each event when it is told of it, as soon as can be.

Its trigger notifies with every insert. It claims one event for each notification, publishes it, and marks it when its
ack is there. It looks for nothing that it was not told of.

Run as `python -m benchmarks.bare_listen`, with the servers' addresses in the environment; ends when it is killed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

import nats
import psycopg

from benchmarks.bare import CLAIM, MARK, Acks
from benchmarks.stream import PREFIX

if TYPE_CHECKING:
    from nats.aio.client import Client

# What it needs in the database beside the bare table.
TRIGGER = """
    CREATE FUNCTION bare_notify() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('bare', '');
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER bare_notify AFTER INSERT ON bare_outbox FOR EACH STATEMENT EXECUTE FUNCTION bare_notify();
"""


async def _carry_one(cursor: psycopg.AsyncCursor[Any], client: Client, acks: Acks) -> None:
    await cursor.execute(CLAIM, (1,), prepare=True)
    for event, route, event_id, payload in await cursor.fetchall():
        acks.expect(1)
        await client.publish(f"{PREFIX}.{route}", payload.encode(), acks.inbox, {"Nats-Msg-Id": event_id})
        await acks.wait()
        await cursor.execute(MARK, ([event],), prepare=True)


async def _main() -> None:
    url = os.environ["OUTBOX_DATABASE_URL"]
    connect = psycopg.AsyncConnection.connect
    async with (
        await nats.connect(os.environ["OUTBOX_NATS_URL"]) as client,
        await connect(url, autocommit=True) as listening,
        await connect(url, autocommit=True, options="-c synchronous_commit=off") as working,
    ):
        acks = Acks(client.new_inbox())
        await client.subscribe(acks.inbox, cb=acks.heard)
        await listening.execute("LISTEN bare")
        sys.stderr.write("ready\n")
        async for _ in listening.notifies():
            await _carry_one(working.cursor(binary=True), client, acks)


if __name__ == "__main__":
    asyncio.run(_main())
