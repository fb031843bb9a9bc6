"""Transactions of a relay, seen from the server: they never wait for the relay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import psycopg
import pytest

from outbox_notify.relay.outcomes import Published
from tests.support.claiming import claiming
from tests.support.events import put
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedPostgres

pytestmark = pytest.mark.anyio

_OPEN = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name LIKE 'outbox-notify relay % work' AND datname = current_database()
    AND state LIKE 'idle in transaction%'
"""


async def test_transaction_never_waits_for_the_relay(
    database: str, postgres_server: EmbeddedPostgres
) -> None:
    seen: list[int] = []

    async def watch() -> None:
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
            while True:
                cursor = await conn.execute(_OPEN)
                seen.extend(await cursor.fetchone() or ())
                await anyio.sleep(0.005)

    with Proxy(postgres_server.port) as proxy:
        # So far away that a transaction of several messages would stay open between two of them.
        proxy.slow(delay=0.05)
        async with claiming(database.replace(f":{postgres_server.port}/", f":{proxy.port}/")) as desk:
            put(desk.conn)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                token, events = await desk.take()
                await desk.storage.settle(token, dict.fromkeys(events, Published("OUTBOX", 1)))
                await desk.storage.reclaim(10)
                tasks.cancel_scope.cancel()
    assert len(seen) > 10
    assert not any(seen)
