"""How long single events take from their commit to a subscriber."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import TYPE_CHECKING, LiteralString

import anyio
import nats
import psycopg

from benchmarks.stream import PREFIX

if TYPE_CHECKING:
    from nats.aio.msg import Msg

_INSERT: dict[str, LiteralString] = {
    "event_outbox": """
        INSERT INTO event_outbox (event_id, tenant_id, event_type, aggregate_type, aggregate_id, payload)
        VALUES (%s, 'tenant-0', 'stock.moved', 'single', %s, '{"quantity": 7}')
    """,
    "bare_outbox": """
        INSERT INTO bare_outbox (event_id, tenant_id, event_type, aggregate_type, aggregate_id, payload)
        VALUES (%s, 'tenant-0', 'stock.moved', 'single', %s, '{"quantity": 7}')
    """,
}
_WARM_UP = 20
_PATIENCE = 30.0
# Seconds between one event's arrival and the next one's insert: long enough to fall idle again.
_PAUSE = (0.01, 0.03)


def latencies(url: str, nats_url: str, events: int, table: str = "event_outbox") -> list[float]:
    """Commit events one by one, each when the one before has arrived, and return how long each took.

    The clock starts when the writer has the answer to its commit, and stops when a plain subscriber of the
    subject has the message.

    Args:
        url: of the database.
        nats_url: where to listen.
        events: how many.
        table: where to insert them.

    Returns:
        Milliseconds.

    Raises:
        TimeoutError: one did not arrive within half a minute.
    """
    return anyio.run(_latencies, url, nats_url, events, _INSERT[table])


async def _latencies(url: str, nats_url: str, events: int, insert: LiteralString) -> list[float]:
    arrivals: dict[str, asyncio.Future[float]] = {}

    async def hear(msg: Msg) -> None:
        waiting = arrivals.pop((msg.headers or {}).get("Nats-Msg-Id", ""), None)
        if waiting is not None:
            waiting.set_result(time.perf_counter())

    async with (
        await nats.connect(nats_url) as client,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as conn,
    ):
        await client.subscribe(f"{PREFIX}.>", cb=hear)
        # The ping of the first flush overtakes the subscription on its way out.
        await client.flush()
        await client.flush()
        taken = []
        for number in range(_WARM_UP + events):
            event_id = str(uuid.uuid4())
            arrival = arrivals[event_id] = asyncio.get_running_loop().create_future()
            await conn.execute(insert, (event_id, f"single-{number % 100}"))
            committed = time.perf_counter()
            async with asyncio.timeout(_PATIENCE):
                taken.append((await arrival - committed) * 1000)
            await asyncio.sleep(random.uniform(*_PAUSE))  # noqa: S311  # no secret
    return taken[_WARM_UP:]
