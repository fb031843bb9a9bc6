"""Events on connections of asyncpg that applications have made their own."""

from __future__ import annotations

import json

import asyncpg
import pytest

from outbox_notify import Event
from outbox_notify.writers.asyncpg import emit

pytestmark = pytest.mark.anyio

PAID = Event("acme", "order.paid", {"order": 1}, aggregate_type="order", aggregate_id="1")


async def test_codecs_of_the_application_change_nothing(database: str) -> None:
    connection = await asyncpg.connect(database)
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    async with connection.transaction():
        await emit(connection, PAID, serialize=True)

    assert await connection.fetchval("SELECT payload FROM event_outbox") == {"order": 1}
    await connection.close()


async def test_connections_of_a_pool_write_too(database: str) -> None:
    async with asyncpg.create_pool(database, min_size=1, statement_cache_size=0) as pool:
        async with pool.acquire() as connection, connection.transaction():
            (event_id,) = await emit(connection, PAID)

        assert await pool.fetchval("SELECT event_id FROM event_outbox") == event_id
